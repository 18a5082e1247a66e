"""Processes that work beside each other for one command, and end with it: when it is done, interrupted or killed.

Each worker leads a process group of its own, with all that it starts, and waits for the end of a pipe whose other end
only the command holds. The system closes that end, however the command ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection

# What libraries read when a worker loads them: how many threads work inside of one call. A thread that waits for
# another does that by spinning; where workers take each other's processors, it may wait for longer than the call would
# have taken in one thread. Speeds are taken with as many threads as are asked for: a runtime is told how many.
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def workers(count: int) -> Iterator[ProcessPoolExecutor]:
    """So many worker processes. An exception inside, such as an interrupt, ends them at once."""
    context = multiprocessing.get_context("spawn")  # threads of frameworks do not survive a fork
    line, held = context.Pipe(duplex=False)
    variables = ONE_THREAD if count > 1 else {}
    with line, held, _environment(variables), ProcessPoolExecutor(count, context, _end_with, (line,)) as pool:
        try:
            yield pool
        except BaseException:
            held.close()
            raise


def _end_with(line: Connection) -> None:
    """In a worker, before its work: see to its end."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    threading.Thread(target=_wait_for_end, args=(line,), daemon=True).start()


def _wait_for_end(line: Connection) -> None:
    """End this process, and what it started, at the end of the line: nobody ever writes to it."""
    line.poll(None)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Processes started meanwhile get these variables, but for those that the user has set."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ |= new
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
