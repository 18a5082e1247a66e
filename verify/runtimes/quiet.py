"""Keeps what a library's native code writes to stderr away from the user, and returns it for error messages."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


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
                yield lambda: os.pread(file.fileno(), 1 << 16, 0).decode(errors="replace").strip()
        finally:
            os.dup2(saved, 2)
            os.close(saved)
