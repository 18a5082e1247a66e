"""Workers end with the command that started them, and with them what they have started themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from zoo.pipeline.workers import workers

# A command with a worker that has a child; the child says so, and would go on for ten minutes.
COMMAND = """
import signal, subprocess, sys, time
from zoo.pipeline.workers import workers

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    child = "import time; print('at work', flush=True); time.sleep(600)"
    with workers(2) as pool:
        pool.submit(subprocess.call, [sys.executable, "-c", child]).result()
"""


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_workers_and_their_children_end_with_the_command(ended_by: signal.Signals) -> None:
    command = [sys.executable, "-c", COMMAND]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == "at work\n"
        parent.send_signal(ended_by)
        try:  # all of them hold this stdout: it ends when the last of them is gone
            assert parent.communicate(timeout=60)[0] == ""
        finally:
            parent.kill()
    assert parent.returncode == -ended_by


def test_who_works_beside_others_takes_one_thread_of_blas() -> None:
    with workers(2) as pool:
        assert pool.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() == "1"
    assert "OPENBLAS_NUM_THREADS" not in os.environ
