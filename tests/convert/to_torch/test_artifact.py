"""What `onnx_to_torch` writes: a folder that runs without zoo, is deterministic, and can be trained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo.cli.main as entry
from tests.conftest import ROOT
from tests.convert.judge import run_onnxruntime
from tests.convert.to_torch.graphs import detector, model, node, noise
from zoo.base.artifact import Artifact, FileRecord, TensorSpec, read_artifact
from zoo.convert.to_torch import TorchOptions, onnx_to_torch
from zoo.convert.to_torch.module import module_from_file

# Runs without zoo: model.py and its weights, and model.pt2 alone in a folder of its own.
FRESH = """
import sys, numpy as np
sys.modules["zoo"] = sys.modules["onnx"] = None
import torch
with np.load("images.npz") as given:
    batches = [torch.from_numpy(given[name]) for name in given.files]
if sys.argv[1] == "source":
    from model import load
    model = load()
else:
    model = torch.export.load("model.pt2").module()
with torch.inference_mode():
    for number, images in enumerate(batches):
        np.savez(f"{number}.npz", *(output.numpy() for output in model(images)))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "toy.onnx"
    onnx.save(detector(), path)
    return path


@pytest.fixture(scope="module")
def artifact(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return onnx_to_torch(source, tmp_path_factory.mktemp("torch") / "toy")


def loaded(artifact: Artifact) -> nn.Module:
    return module_from_file(artifact.folder / "model.py", "model.safetensors")


def test_the_manifest_describes_what_lies_there(artifact: Artifact, source: Path) -> None:
    assert read_artifact(artifact.folder) == artifact
    assert artifact.is_intact()
    assert {(record.role, record.name) for record in artifact.files} == {
        ("model", "model.pt2"),
        ("source", "model.py"),
        ("weights", "model.safetensors"),
    }
    assert artifact.inputs == (TensorSpec("images", "float32", ("batch", 3, "height", "width")),)
    assert [spec.name for spec in artifact.outputs] == ["boxes", "scores", "selected"]
    assert artifact.sources == (FileRecord.of(source, "model"),)
    assert artifact.notes == ()
    assert artifact.sources[0].sha256 in (artifact.folder / "model.py").read_text()


@pytest.mark.parametrize("way", ["source", "export"])
def test_a_fresh_process_without_zoo_gets_the_same_numbers(way: str, artifact: Artifact, tmp_path: Path) -> None:
    """Any batch and any size; the exported program lies in a folder without model.py."""
    for name in ("model.pt2",) if way == "export" else ("model.py", "model.safetensors"):
        (tmp_path / name).symlink_to(artifact.folder / name)
    batches = [noise(1, 3, 32, 48), noise(3, 3, 64, 32)]
    np.savez(tmp_path / "images.npz", *batches)
    ran = subprocess.run([sys.executable, "-c", FRESH, way], cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    for number, images in enumerate(batches):
        expected = run_onnxruntime(detector(), images)
        with np.load(tmp_path / f"{number}.npz") as found:
            boxes, scores, selected = (found[name] for name in found.files)
        np.testing.assert_allclose(boxes, expected[0], atol=1e-5)
        np.testing.assert_allclose(scores, expected[1], atol=1e-5)
        assert set(map(tuple, selected)) == set(map(tuple, expected[2]))


def test_converting_twice_gives_the_same_bytes_and_a_silent_terminal(
    artifact: Artifact, source: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from zoo.convert.to_torch import onnx_to_torch;"
        "onnx_to_torch(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "again")], capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    assert read_artifact(tmp_path / "again").files == artifact.files


def test_nothing_written_is_a_pickle_or_names_this_machine(artifact: Artifact) -> None:
    for path in artifact.folder.iterdir():
        content = path.read_bytes()
        assert str(Path.home()).encode() not in content or Path.home() == Path("/")
        assert str(ROOT).encode() not in content, path.name
        assert not content.startswith(b"\x80"), path.name


def test_the_source_needs_no_formatter_and_no_type_checker(artifact: Artifact) -> None:
    """Also at lengths that have to be broken: see `wide`."""
    path = artifact.folder / "model.py"
    for command in (["format", "--check"], ["check"]):
        ran = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(ROOT / "pyproject.toml"), str(path)],
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(("asked", "files"), [(["--no-pt2"], 2), (["--pt2-size", "32", "64"], 3)])
def test_the_command_line(
    asked: list[str], files: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["zoo", "convert", str(source), "--to", "torch", "--out", str(tmp_path), *asked])
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert not stop.value.code
    made = read_artifact(tmp_path)
    assert len(made.files) == files
    assert made.options == {"export": files == 3, "size": [480, 640] if files == 2 else [32, 64]}


def test_a_parent_manifest_carries_over(source: Path, tmp_path: Path) -> None:
    parent = Artifact(
        folder=source.parent,
        name="toy",
        format="onnx",
        family="darknet",
        sources=(FileRecord("cfg", "toy.cfg", "0" * 64, 3),),
        files=(FileRecord.of(source, "model"),),
        inputs=(TensorSpec("images", "float32", ("batch", 3, "height", "width"), "RGB pictures"),),
        outputs=(TensorSpec("boxes", "float32", ("batch", 512, 4), "centre x, y"),),
        detector={"resize": "stretch"},
        labels=("person",),
    )
    made = onnx_to_torch(source, tmp_path / "torch", TorchOptions(export=False), parent=parent)
    assert (made.family, made.labels, made.sources, made.detector) == (
        "darknet", ("person",), parent.sources, parent.detector,
    )  # fmt: skip
    assert made.model.name == "model.py"
    text = made.model.read_text()
    assert "images: float32 [batch, 3, height, width]: RGB pictures" in text
    assert "Made from toy.cfg, sha256 " + "0" * 64 in text


def doubling(collects: bool) -> onnx.ModelProto:
    """x, doubled until its largest element is 100 or more; `collects` gives what it was on the way too."""
    info = onnx.helper.make_tensor_value_info
    outputs = [info("more", onnx.TensorProto.BOOL, []), info("next", onnx.TensorProto.FLOAT, ["n"])]
    body = onnx.helper.make_graph(
        [
            node("Add", ["held", "held"], ["next"]),
            node("ReduceMax", ["next"], ["most"], keepdims=0),
            node("Less", ["most", "hundred"], ["more"]),
        ],
        "body",
        [
            info("step", onnx.TensorProto.INT64, []),
            info("go", onnx.TensorProto.BOOL, []),
            info("held", onnx.TensorProto.FLOAT, ["n"]),
        ],
        [*outputs, outputs[1]] if collects else outputs,
    )
    results = ["last", "y"] if collects else ["y"]
    constants = {"true": np.array(True), "hundred": np.array(100, np.float32)}
    return model([node("Loop", ["", "true", "x"], results, "grow", body=body)], {"x": ["n"]}, ["y"], 17, constants)


@pytest.mark.parametrize("collects", [False, True])
def test_a_loop_that_ends_by_data(collects: bool, tmp_path: Path) -> None:
    """What only carries tensors is exported. What collects is refused by torch.export, and model.py remains."""
    proto = doubling(collects)
    onnx.save(proto, tmp_path / "loop.onnx")
    made = onnx_to_torch(tmp_path / "loop.onnx", tmp_path / "out")
    modules = [loaded(made)]
    if collects:
        (note,) = made.notes
        assert note.startswith("no model.pt2: torch.export cannot express this model")
        assert made.model.name == "model.py"
        assert not (tmp_path / "out" / "model.pt2").exists()
    else:
        modules.append(torch.export.load(made.model).module())
    for x in (np.array([1, 3], np.float32), np.array([70, 1, 2], np.float32)):
        for module in modules:
            (found,) = module(torch.from_numpy(x))
            np.testing.assert_array_equal(found.numpy(), run_onnxruntime(proto, x)[0])


@pytest.mark.parametrize(
    ("shape", "attempts"), [(["n", 3, "h", "w"], 3), (["n", 3, 8, 8], 2), ([2, 3, "h", "w"], 2), ([2, 3, 8, 8], 1)]
)
def test_an_export_that_failed_is_not_tried_again(
    shape: list[int | str], attempts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every size open, with only the batch, with none: as many attempts as there are different ones."""
    tried = []

    def refused(*given: object, dynamic_shapes: object, **options: object) -> None:
        tried.append(dynamic_shapes)
        raise ValueError("no")

    monkeypatch.setattr(torch.export, "export", refused)
    onnx.save(model([node("Relu", ["x"], ["y"])], {"x": shape}, ["y"]), tmp_path / "relu.onnx")
    made = onnx_to_torch(tmp_path / "relu.onnx", tmp_path / "out")
    assert made.notes == ("no model.pt2: torch.export cannot express this model (ValueError: no); use model.py",)
    assert len(tried) == attempts
    assert not tried[-1][0]  # type: ignore[index]


def test_equal_names_of_sizes_are_fixed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two inputs of one height and width: the size that model.pt2 is fixed to is that of both."""
    shapes = {"x": ["n", 1, "h", "w"], "y": ["n", 2, "h", "w"]}
    onnx.save(model([node("Add", ["x", "y"], ["z"])], shapes, ["z"]), tmp_path / "add.onnx")
    monkeypatch.setattr("zoo.convert.to_torch.artifact._follows_size", lambda program: True)
    made = onnx_to_torch(tmp_path / "add.onnx", tmp_path / "out", TorchOptions(size=(6, 8)))
    assert len(made.notes) == 4
    (found,) = torch.export.load(made.model).module()(torch.ones(3, 1, 6, 8), torch.ones(3, 2, 6, 8))
    assert found.shape == (3, 2, 6, 8)


def test_fine_tuning(artifact: Artifact, tmp_path: Path) -> None:
    """Gradients reach every parameter, steps lower the loss, statistics move, the mapped file stays as it is, and what
    was learned can be saved and loaded.
    """
    weights = (artifact.folder / "model.safetensors").read_bytes()
    module = loaded(artifact).train()
    assert all(isinstance(parameter, nn.Parameter) for parameter in module.parameters())
    statistics = module.get_buffer("convolutional_0_norm.running_mean").clone()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
    images, target = torch.from_numpy(noise(4, 3, 32, 32)), torch.full((), 0.25)
    losses = []
    for _ in range(4):
        _, scores, _ = module(images)
        loss = ((scores - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert losses[-1] < losses[0]
    assert not torch.equal(module.get_buffer("convolutional_0_norm.running_mean"), statistics)
    assert (artifact.folder / "model.safetensors").read_bytes() == weights
    save_file(module.state_dict(), tmp_path / "tuned.safetensors")
    tuned = sys.modules[type(module).__module__].load(tmp_path / "tuned.safetensors")
    for name, tensor in module.state_dict().items():
        assert torch.equal(tuned.state_dict()[name], tensor), name


def test_half_precision_and_saved_state(artifact: Artifact) -> None:
    """`.half()` runs and stays close; a state saved by PyTorch loads again."""
    images = torch.from_numpy(noise(2, 3, 32, 32))
    module = loaded(artifact)
    with torch.inference_mode():
        boxes = module(images)[0]
        halved = loaded(artifact).half()(images.half())[0]
    assert halved.dtype == torch.float16
    torch.testing.assert_close(halved.float(), boxes, rtol=0.02, atol=0.02)
    other = loaded(artifact)
    nn.init.zeros_(other.get_parameter("convolutional_0.weight"))
    other.load_state_dict(module.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(other(images)[0], boxes)


def test_gradients_through_an_activation_in_place() -> None:
    """SiLU and Mish need their input for the gradient; overwriting it must not change what is learned."""
    from zoo.convert.to_torch import module_from_onnx

    proto = model(
        [
            node("Conv", ["x", "w"], ["c"], "000_convolutional.conv"),
            node("Sigmoid", ["c"], ["s"], "000_convolutional.sigmoid"),
            node("Mul", ["c", "s"], ["a"], "000_convolutional"),
            node("Conv", ["a", "v"], ["d"], "001_convolutional.conv"),
            node("Softplus", ["d"], ["p"], "001_convolutional.softplus"),
            node("Tanh", ["p"], ["t"], "001_convolutional.tanh"),
            node("Mul", ["d", "t"], ["y"], "001_convolutional"),
        ],
        {"x": [1, 3, 8, 8]},
        ["y"],
        w=noise(4, 3, 3, 3),
        v=noise(2, 4, 1, 1),
    )
    module = module_from_onnx(proto)
    assert repr(module.get_submodule("convolutional_0_silu")) == "SiLU(inplace=True)"
    assert repr(module.get_submodule("convolutional_1_mish")) == "Mish(inplace=True)"
    x = torch.from_numpy(noise(1, 3, 8, 8))
    np.testing.assert_allclose(module(x)[0].detach().numpy(), run_onnxruntime(proto, x.numpy())[0], atol=1e-4)
    module(x)[0].sum().backward()
    w, v = (torch.from_numpy(noise(*shape)).requires_grad_() for shape in ((4, 3, 3, 3), (2, 4, 1, 1)))
    hidden = nn.functional.conv2d(x, w)
    plain = nn.functional.conv2d(hidden * hidden.sigmoid(), v)
    (plain * plain.exp().log1p().tanh()).sum().backward()
    for name, weight in (("convolutional_0", w), ("convolutional_1", v)):
        torch.testing.assert_close(module.get_parameter(f"{name}.weight").grad, weight.grad, rtol=1e-4, atol=1e-4)
