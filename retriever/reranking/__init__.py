"""Rerankers read query and text together: one file for each kind, `opening` chooses."""
