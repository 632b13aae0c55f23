"""What vectors are for: likeness, analogies, recommendations, clusters, outliers, maps.

Plain functions on arrays: `cosines`, `analogies`, `clustering`, `density`, `naming`,
`projecting`. The same on a collection: `comparing`, `vocabulary`, `recommending`, `clusters`,
`outliers`, `maps`. All are deterministic for a seed, and hold a bounded part in memory.
"""
