"""What disagrees in a collection, rebuilt from what is left of it; no text is given up."""
