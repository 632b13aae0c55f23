"""Bring a collection up to date with folders of files, from Python as an application would.

    python scripts/ingest.py FOLDER... [--config FILE]... [--collection NAME]

The command line does the same: `retriever ingest FOLDER...`.
"""

import argparse
import sys

from retriever import IngestReport, RetrieverError, Settings, ingest


def main() -> int:
    """Ingest, print the report, and return the exit code."""
    parser = argparse.ArgumentParser(description="Ingest folders of files into a collection.")
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="PATH or NAME=PATH")
    parser.add_argument("--config", action="append", default=[], metavar="FILE")
    parser.add_argument("--collection")
    arguments = parser.parse_args()
    try:
        settings = Settings.load(*arguments.config, collection=arguments.collection)
        print_report(ingest(arguments.folders, settings))
    except RetrieverError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def print_report(report: IngestReport) -> None:
    """Print what was done, and every file that was skipped with its reason."""
    documents = f"{report.added} added, {report.updated} updated, {report.deleted} deleted"
    print(f"{report.collection}: {documents}, {report.unchanged} unchanged")
    print(f"{report.chunks.embedded} chunks embedded in {report.seconds:.1f} s")
    for skipped in report.skipped:
        print(f"  skipped {skipped.source!a}: {skipped.reason}")


if __name__ == "__main__":
    sys.exit(main())
