"""The child's side of `isolated`: `python -m zoo.verify.runtimes.child` answers requests on stdin until it ends."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from pathlib import Path
from typing import IO, Any

from zoo.base.errors import ZooError
from zoo.verify.runtimes.memory import peak_memory
from zoo.verify.runtimes.protocol import Array, Bound, Runner, Settings
from zoo.verify.runtimes.wire import receive, send

Answer = tuple[dict[str, Any], dict[str, Array]]


class Server:
    """Holds one runner and answers for it."""

    def __init__(self) -> None:
        self.runner: Runner
        self.bound: Bound

    def answer(self, request: dict[str, Any], tensors: dict[str, Array]) -> Answer:
        match request["do"]:
            case "load":
                return self.load(request), {}
            case "run":
                return {}, self.runner.run(tensors)
            case "bind":
                self.bound = self.runner.bind(tensors)
            case "call":
                self.bound[0]()
            case "outputs":
                return {}, self.bound[1]()
            case "tensors":
                return {}, self.runner.tensors(tensors)
            case "moved":
                told = {key: request[key] for key in ("share", "seed", "inner", "crops", "exact", "ties")}
                return {}, self.runner.moved(tensors, **told)  # type: ignore[attr-defined]
            case "nodes":
                return {"nodes": self.runner.nodes()}, {}  # type: ignore[attr-defined]
            case "memory":
                return {"memory": {"host_peak": peak_memory(), **self.runner.memory()}}, {}
        return {}, {}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        module = importlib.import_module(f"zoo.verify.runtimes.{request['module']}")
        self.runner = module.load(Path(request["path"]), Settings(**request["settings"]))
        described = {
            kind: [dataclasses.asdict(spec) for spec in specs]
            for kind, specs in (("inputs", self.runner.inputs), ("outputs", self.runner.outputs))
        }
        return {"runtime": self.runner.runtime, "device": self.runner.device, **described}


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the requests end. An error of zoo is an answer; any other ends the process with its traceback."""
    server = Server()
    while True:
        try:
            request, tensors = receive(requests)
        except EOFError:
            return
        try:
            send(answers, *server.answer(request, tensors))
        except ZooError as error:
            send(answers, {"error": type(error).__name__, "message": error.message, "hint": error.hint})


def main() -> None:
    """What native code prints must not get between the answers: stdout becomes stderr, answers have their own."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
    os._exit(0)  # everything is answered; a framework may take a second over a tidy end


if __name__ == "__main__":
    main()
