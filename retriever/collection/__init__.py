"""Collections: the one source of truth, kept in Chroma.

`client` is the only importer of chromadb, `rows` maps records to Chroma's rows, `filters`
translates `where`, `locking` keeps writers apart, `store` is what the flows work with.
Distances never leave this room: `store` turns them into scores.
"""
