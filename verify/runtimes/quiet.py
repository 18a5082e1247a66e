"""Keeps what a library writes to stderr away from the user, and returns it for error messages.

With `ZOO_VERBOSE` set (the command's -v) the user sees it as well, afterwards.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO

MOST = 1 << 16  # bytes that are kept of it


@contextmanager
def captured_stderr() -> Iterator[Callable[[], str]]:
    """Redirect the process's stderr, native code's too, and what Python prints. Yields a function that returns what
    was written so far."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile("w", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 2)
        try:
            with redirect_stdout(file), redirect_stderr(file):
                yield lambda: _written(file).strip()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            if os.environ.get("ZOO_VERBOSE"):
                sys.stderr.write(_written(file))


def _written(file: IO[str]) -> str:
    file.flush()
    return os.pread(file.fileno(), MOST, 0).decode(errors="replace")
