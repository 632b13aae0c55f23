"""A worker like the real one that has one more format: `misbehave` does what its bytes say."""

import ctypes
import os
import sys
import time

from retriever.loading import formats, worker
from retriever.loading.content import Content, FileBytes, LoadingOptions
from retriever.records import PageSpan


def read(file: FileBytes, options: LoadingOptions) -> Content:
    """Do what the bytes say."""
    how = file.data.decode("latin-1")
    if how == "exit":
        ctypes.string_at(0)
    if how == "exit at the next file":
        formats._BY_NAME["pdf"] = formats._BY_NAME["misbehave"]
        return Content("done", "text", "plain")
    if how.startswith("%PDF"):
        os._exit(1)
    if how == "print":
        sys.stdout.write("in between")
        sys.stdout.flush()
        os.write(1, b"the answers")
        return Content("printed", "text", "plain")
    if how == "raise":
        raise ZeroDivisionError
    if how == "memory":
        return Content("x" * (1 << 40), "text", "plain")
    if how == "lie":
        return Content("short", "text", "plain", pages=(PageSpan(1, 0, 1000),))
    time.sleep(60)
    return Content("late", "text", "plain")


if __name__ == "__main__":
    row = formats.Format("misbehave", "a test", (), "sample_readers:read")
    formats._BY_NAME["misbehave"] = row
    original = formats.reader_of
    formats.reader_of = lambda row: read if row.name == "misbehave" else original(row)
    sys.argv[1:] = sys.argv[1:] or ["512"]
    worker.main()
