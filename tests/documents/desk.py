"""A working folder that has everything the documents speak of, where what they say to type is typed.

Every Darknet model of the catalog stands in as the small detector that zoo ships, so that `zoo fetch yolov3` works
without a network and in no time; every folder outside the working folder that a document names lies inside it.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import OPENCV4, ROOT
from tests.documents.reading import Command
from zoo.base.files import sha256_of
from zoo.catalog import load_catalog
from zoo.cli.main import main
from zoo.pipeline.convert import convert_model
from zoo.shapes import CFG, NAMES, SAMPLE, WEIGHTS

SHIPPED: Mapping[str, Path] = {"cfg": CFG, "weights": WEIGHTS, "names": NAMES}
# What documents call a user's own files → which of the shipped detector's it is.
OWN = {
    **{f"{name}.{role}": SHIPPED[role] for name in ("my", "mine", "our", "detector") for role in SHIPPED},
    "pictures/one.png": SAMPLE,
    "my-pictures/one.png": SAMPLE,
    "picture.png": SAMPLE,
    "picture.jpg": SAMPLE,
}
ONNX = ("my.onnx", "mine.onnx", "new.onnx", "old.onnx", "model.onnx")
TF_1 = "ssd_mobilenet_v1_coco_2018_01_28"  # a small export of the same structure lies in a folder of this name
OUTSIDE = ("/mnt/models", "/media/usb/sources")


def lay(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay everything out in `folder`, which becomes the working folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZOO_HOME", str(folder / "home"))
    for name, source in OWN.items():
        put(source, folder / name)
    for place in OUTSIDE:
        for path in SHIPPED.values():
            put(path, folder / place.lstrip("/") / path.name)
    (artifact,) = convert_model("shapes-tiny")
    for name in ONNX:
        put(artifact.model, folder / name)
    convert_model("shapes-tiny", ["torch"], out=folder / "old")
    convert_model("shapes-tiny", out=folder / "models" / "detector")
    with tarfile.open(data / "models" / "tf" / "s_ssd_mobilenet_v1.tar.xz") as archive:
        archive.extractall(folder / TF_1, filter="data")
    for name in ("frozen_inference_graph.pb", "pipeline.config"):
        put(folder / TF_1 / name, folder / name)
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "docs").mkdir()
    if OPENCV4.is_file():
        program(folder / "opencv4" / "bin" / "python", OPENCV4)


def put(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)


def program(path: Path, meant: Path) -> None:
    """A program that calls another one. (A link to a virtual environment's Python would be a Python without it.)"""
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nexec "{meant}" "$@"\n')
    path.chmod(0o755)


def stand_ins(text: str, path: Path) -> Path:
    """A catalog in which the Darknet models that a document names, or all where it fetches all, are the shipped one."""
    darknet = [name for name, card in load_catalog().items() if card.family == "darknet" and name != "shapes-tiny"]
    names = [name for name in darknet if name in text or "zoo fetch --all" in text]
    path.write_text(yaml.safe_dump({"schema": 1, "models": {name: _card() for name in names}}))
    return path


def _card() -> dict[str, Any]:
    files = [
        {"role": role, "name": path.name, "urls": [path.as_uri()], "sha256": sha256_of(path)}
        for role, path in SHIPPED.items()
    ]
    size = {"width": 160, "height": 160, "resize": "stretch"}
    told = {"family": "darknet", "task": "detection", "contract": "darknet-detector", "dialect": "alexey"}
    return {**told, "input": size, "files": files}


def type_in(command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Run a command as if it had been typed in `folder`, `zoo` in this process; its exit code, and all that it said."""
    if command.program != "zoo":
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        shell = ["bash", "-c", command.text]
        done = subprocess.run(shell, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr
    words = command.words
    for place in OUTSIDE:
        words = [word.replace(place, str(folder / place.lstrip("/"))) for word in words]
    said = io.StringIO()
    with monkeypatch.context() as typed, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        typed.setattr(sys, "argv", words)
        for name, value in command.variables.items():
            typed.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    return code if isinstance(code, int) else 0, said.getvalue()
