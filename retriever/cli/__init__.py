"""The command line: `retriever ingest`, `search`, `status`, `collections`, `models`, `config`.

`running` starts a command and ends it with an exit code, `commands` says which there are and
what they take; the other modules turn what the flows return into text and JSON.
"""

from retriever.cli.running import main

__all__ = ["main"]
