"""Folders into a collection: look, plan, apply, report.

`surveying` looks and `planning` decides, `applying` does it in batches (`batching`) whose vectors
`embedding` brings, `runs` puts them together.
"""

from retriever.ingestion.runs import IngestEstimate, IngestOptions, estimate, ingest

__all__ = ["IngestEstimate", "IngestOptions", "estimate", "ingest"]
