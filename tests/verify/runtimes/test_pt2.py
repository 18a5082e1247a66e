"""Hostile `.pt2` files: none of the ways in which PyTorch's reader would run what a file says is left open."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.base.errors import VerificationError
from zoo.verify.runtimes.pt2 import refuse_code

Change = Callable[[dict[str, Any]], object]
EVIL = "__import__('os').system('touch owned')"


class Halve(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(x.shape[0] // 2, -1)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The content of a harmless program with open sizes, which has expressions and a guard."""
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(Halve(), (torch.zeros(4, 6),), dynamic_shapes=({0: 2 * batch},))
    program.example_inputs = None
    torch.export.save(program, path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def changed(members: dict[str, bytes], ending: str, change: Change) -> dict[str, bytes]:
    (name,) = (name for name in members if name.endswith(ending))
    content = json.loads(members[name])
    change(content)
    return {**members, name: json.dumps(content).encode()}


def graph(program: dict[str, Any]) -> dict[str, Any]:
    inner: dict[str, Any] = program["graph_module"]["graph"]
    return inner


def evil_size(program: dict[str, Any]) -> None:
    text = json.dumps(program)
    assert '"expr_str": "' in text
    program.update(json.loads(text.replace('"expr_str": "', f'"expr_str": "{EVIL} or ')))


def test_a_harmless_program_passes(members: dict[str, bytes], tmp_path: Path) -> None:
    refuse_code(write(tmp_path / "m.pt2", members))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (evil_size, "expression of sizes"),
        (lambda program: program["guards_code"].append(EVIL), "expression of sizes"),
        (
            lambda program: program["guards_code"].append("().__class__.__base__.__subclasses__()"),
            "expression of sizes",
        ),
        (lambda program: program["guards_code"].append("torch.load('x')"), "expression of sizes"),
        (lambda program: graph(program)["nodes"][0].update(target="os.system"), "operator of PyTorch"),
        (lambda program: graph(program)["nodes"][0].update(target="torch.hub.load"), "operator of PyTorch"),
        *(
            (lambda program, target=target: graph(program)["nodes"][0].update(target=target), "operator of PyTorch")
            for target in (
                "torch.ops.load_library.__call__",
                "torch.ops.aten.from_file.default",
                "torch.ops.aten.save.default",
                "torch.ops.aten.__class__.__call__",
                "torch.ops.aten.add.__class__",
                "_operator.call",
                "_operator.methodcaller",
                "_operator.attrgetter",
                "math.__loader__",
            )
        ),
        (lambda program: graph(program)["nodes"][0].update(name=f"x = {EVIL}\n"), "plain name"),
    ],
)
def test_code_in_the_graph_is_refused(change: Change, said: str, members: dict[str, bytes], tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=said):
        refuse_code(write(tmp_path / "m.pt2", changed(members, "models/model.json", change)))


def test_pickles_are_refused(members: dict[str, bytes], tmp_path: Path) -> None:
    (inputs,) = (name for name in members if name.endswith("sample_inputs/model.pt"))
    with pytest.raises(VerificationError, match="a pickle"):
        refuse_code(write(tmp_path / "inputs.pt2", {**members, inputs: pickle.dumps([1])}))
    opaque = {"config": {"c": {"use_pickle": False, "path_name": "opaque_obj_0"}}}
    with pytest.raises(VerificationError, match="'c' is pickled"):
        refuse_code(
            write(tmp_path / "c.pt2", changed(members, "constants_config.json", lambda config: config.update(opaque)))
        )
    (folder,) = {name.partition("/")[0] for name in members}
    with pytest.raises(VerificationError, match="unexpected content"):
        refuse_code(write(tmp_path / "w.pt2", {**members, f"{folder}/data/weights/model.pt": pickle.dumps({})}))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.pt2"
    path.write_bytes(pickle.dumps({}))
    with pytest.raises(VerificationError, match="is no archive"):
        refuse_code(path)
