"""Judged questions in, measures out: how well a collection answers what its users ask.

`questions` and `beir` read what was judged, `temporary` builds what is to be asked, `asking`
asks, `measures`, `spans` and `abstention` judge, `resampling` says how sure that is. `runs`
puts them together, `comparing` sets configurations side by side, `tuning` tries a grid of them.
`page` and `plots` draw, `drafting` proposes questions.
"""
