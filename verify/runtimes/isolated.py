"""Any runtime in a process of its own: a crash of a native library becomes a VerificationError, not the end of zoo.

Also gives a runtime a fresh process where its settings can be made only once. The child keeps the feeds of a timed
run, so timing pays for a message without content each way (about 0.1 ms) and for no copies.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.base import errors
from zoo.base.artifact import TensorSpec
from zoo.base.errors import VerificationError, ZooError
from zoo.verify.runtimes.protocol import Array, Bound, Settings, Tensors
from zoo.verify.runtimes.wire import receive, send

TIMEOUT = 10  # seconds that a child gets to end by itself


class IsolatedRunner:
    """A runner whose work is done in a child process, with these variables set in its environment."""

    def __init__(
        self, path: Path, module: str, settings: Settings, environment: Mapping[str, str] | None = None
    ) -> None:
        self._path = path
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "zoo.verify.runtimes.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(environment or {})},
        )
        try:
            request = {"do": "load", "path": str(path), "module": module, "settings": dataclasses.asdict(settings)}
            answer, _ = self._ask(request)
        except BaseException:
            self.close()
            raise
        self.runtime, self.device = answer["runtime"], answer["device"]
        self.inputs, self.outputs = (_specs(answer[kind]) for kind in ("inputs", "outputs"))

    def run(self, feeds: Tensors) -> dict[str, Array]:
        return self._ask({"do": "run"}, feeds)[1]

    def bind(self, feeds: Tensors) -> Bound:
        self._ask({"do": "bind"}, feeds)

        def call() -> None:
            self._ask({"do": "call"})

        return call, lambda: self._ask({"do": "outputs"})[1]

    def tensors(self, feeds: Tensors) -> dict[str, Array]:
        """As the runtime's own: every inner float tensor of one run."""
        return self._ask({"do": "tensors"}, feeds)[1]

    def moved(
        self,
        feeds: Tensors,
        share: float,
        seed: int = 0,
        inner: bool = False,
        crops: bool = False,
        exact: bool = False,
        ties: bool = False,
    ) -> dict[str, Array]:
        """As the runtime's own: a run with the picture moved."""
        how = {"share": share, "seed": seed, "inner": inner, "crops": crops, "exact": exact, "ties": ties}
        return self._ask({"do": "moved", **how}, feeds)[1]

    def nodes(self) -> list[tuple[str, str, list[str]]]:
        """As the runtime's own: name, type and sources of the nodes that `tensors` shows."""
        return [(name, kind, sources) for name, kind, sources in self._ask({"do": "nodes"})[0]["nodes"]]

    def memory(self) -> dict[str, int]:
        memory: dict[str, int] = self._ask({"do": "memory"})[0]["memory"]
        return memory

    def close(self) -> None:
        """End the child: it ends by itself when its input ends, and is killed where it takes too long over that."""
        try:
            self._child.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
        self._log.close()

    def _ask(self, request: dict[str, Any], tensors: Tensors | None = None) -> tuple[dict[str, Any], dict[str, Array]]:
        assert self._child.stdin
        assert self._child.stdout
        try:
            send(self._child.stdin, request, tensors)
            answer, results = receive(self._child.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise VerificationError(self._obituary(), hint="the runtime itself crashed, not zoo") from error
        if "error" in answer:
            raise _error(answer)
        return answer, results

    def _obituary(self) -> str:
        """How the child ended, with the last line it wrote."""
        code = self._child.wait()  # its output has ended, so it ends
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"{self._path.name}: the process that runs it was ended {how}" + (f": {lines[-1]}" if lines else "")


def _specs(entries: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(one["name"], one["dtype"], tuple(one["shape"]), one["meaning"]) for one in entries)


def _error(answer: dict[str, Any]) -> ZooError:
    """The child's error, of the same class."""
    kind = getattr(errors, answer["error"], VerificationError)
    error: ZooError = kind(answer["message"], hint=answer["hint"])
    return error
