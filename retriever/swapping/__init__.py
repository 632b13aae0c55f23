"""Another model for a collection, without downtime: built beside the live one, then switched."""
