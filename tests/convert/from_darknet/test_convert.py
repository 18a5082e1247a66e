"""Files in, artifact out: what is written, what it says, the same bytes each time, and nothing left by errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.darknet.toys import write_cfg, write_weights
from zoo.base.artifact import read_artifact
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.from_darknet import DarknetOptions, build_model, darknet_to_onnx
from zoo.convert.from_darknet.model import build
from zoo.convert.onnx_graph.write import write_model
from zoo.darknet import read_network, read_weights

BODY = """[convolutional]
filters=40
size=3
pad=1
batch_normalize=1
activation=mish
[convolutional]
filters=18
size=1
activation=linear
[yolo]
classes=1
num=3
anchors=1,2,3,4,5,6
nms_kind=greedynms
"""


def toy(folder: Path, body: str = BODY) -> tuple[Path, Path]:
    cfg = write_cfg(folder, body)
    return cfg, write_weights(cfg)


def test_the_artifact_on_disk(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    artifact = darknet_to_onnx(cfg, weights, tmp_path / "out", name="toy", labels=("thing",))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"model.onnx", "artifact.json"}
    assert read_artifact(tmp_path / "out") == artifact
    assert artifact.is_intact()
    assert [(record.role, record.name) for record in artifact.sources] == [
        ("cfg", "toy.cfg"),
        ("weights", "toy.weights"),
    ]
    assert [(spec.name, spec.shape) for spec in (*artifact.inputs, *artifact.outputs)] == [
        ("images", ("batch", 3, 8, 8)),
        ("boxes", ("batch", 192, 4)),
        ("scores", ("batch", 192, 1)),
    ]
    assert artifact.detector["nms_kind"] == "greedynms"
    assert artifact.detector["resize"] == "stretch"
    assert artifact.detector["box_format"] == "cxcywh"
    assert artifact.options["dialect"] == "alexey"
    assert artifact.notes[0].startswith("dialect alexey: ")
    onnx.checker.check_model(str(artifact.model), full_check=True)
    session = onnxruntime.InferenceSession(artifact.model)
    for batch in (1, 3):
        boxes, scores = session.run(None, {"images": np.zeros((batch, 3, 8, 8), np.float32)})
        assert (boxes.shape, scores.shape) == ((batch, 192, 4), (batch, 192, 1))


def test_the_written_file_is_the_model_in_memory(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    artifact = darknet_to_onnx(cfg, weights, tmp_path / "out")
    network = read_network(cfg)
    expected = build_model(network, read_weights(weights, network), DarknetOptions())
    assert onnx.load(artifact.model) == expected


@pytest.mark.parametrize("options", [{}, {"heads": "raw"}, {"nms": True}, {"keep_batch_norm": True}, {"batch": 2}])
def test_the_same_files_give_the_same_bytes(tmp_path: Path, options: dict[str, Any]) -> None:
    cfg, weights = toy(tmp_path)
    first, second = (darknet_to_onnx(cfg, weights, tmp_path / n, DarknetOptions(**options)) for n in ("a", "b"))
    assert first.files == second.files
    assert (tmp_path / "a" / "artifact.json").read_bytes() == (tmp_path / "b" / "artifact.json").read_bytes()


def test_beyond_the_limit_weights_become_external_data(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    network = read_network(cfg)
    model = build(network, read_weights(weights, network), DarknetOptions())
    records = write_model(model, tmp_path / "big" / "model.onnx", limit=5000)
    assert [record.name for record in records] == ["model.onnx", "model.onnx.data"]
    assert (tmp_path / "big" / "model.onnx").stat().st_size < records[1].size
    onnx.checker.check_model(str(tmp_path / "big" / "model.onnx"))
    inline = write_model(model, tmp_path / "small" / "model.onnx")
    assert len(inline) == 1
    x = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    runs = [
        onnxruntime.InferenceSession(tmp_path / n / "model.onnx").run(None, {"images": x}) for n in ("big", "small")
    ]
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_options_reach_the_model(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    wide = darknet_to_onnx(cfg, weights, tmp_path / "a", DarknetOptions(width=16, height=12, batch=2, nms=True))
    assert wide.inputs[0].shape == (2, 3, 12, 16)
    assert wide.outputs[2].shape == (2, 300, 6)
    first = darknet_to_onnx(cfg, weights, tmp_path / "b", DarknetOptions(dialect="alexey", heads="raw"))
    assert [spec.name for spec in first.outputs] == ["002_yolo"]


def test_a_backbone_is_converted_on_request(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    weights.write_bytes(weights.read_bytes()[: 20 + 4 * (4 * 40 + 40 * 27)])
    with pytest.raises(ConversionError, match="holds the first 1 layers only"):
        darknet_to_onnx(cfg, weights, tmp_path / "out")
    artifact = darknet_to_onnx(cfg, weights, tmp_path / "out", DarknetOptions(layers=1))
    assert [(spec.name, spec.shape) for spec in artifact.outputs] == [("output", ("batch", 40, 8, 8))]


BAD = [
    ("", b"", "found none"),
    ("[net]\nwidth=8\nheight=8\nchannels=3\n[convolutionl]\n", b"", "did you mean 'convolutional'"),
    (None, b"short", "ends in layer 1"),
    (None, b"long", "4 bytes after the weights"),
    (None, b"html", "found an HTML page"),
    (None, b"other", "ends in layer 0"),
]


@pytest.mark.parametrize(("text", "damage", "message"), BAD)
def test_bad_input_is_named_and_leaves_nothing(tmp_path: Path, text: str | None, damage: bytes, message: str) -> None:
    cfg, weights = toy(tmp_path)
    whole = weights.read_bytes()
    contents = {
        b"": whole,
        b"short": whole[:-4],
        b"long": whole + bytes(4),
        b"html": b"<!DOCTYPE html><p>quota</p>",
        b"other": whole[:200],
    }
    weights.write_bytes(contents[damage])
    if text is not None:
        cfg.write_text(text)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConversionError) as caught:
        darknet_to_onnx(cfg, weights, tmp_path / "out")
    assert message in str(caught.value)
    assert caught.value.exit_code == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cfg, weights = toy(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.convert.onnx_graph.write._put", full)
    with pytest.raises(OSError, match="No space"):
        darknet_to_onnx(cfg, weights, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options",
    [{"heads": "cooked"}, {"heads": "raw", "nms": True}, {"batch": 0}, {"score_threshold": 0.0}, {"width": -1}],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DarknetOptions(**options)


def test_a_weight_is_scaled_in_float64(tmp_path: Path) -> None:
    cfg, weights = toy(tmp_path)
    network = read_network(cfg)
    loaded = read_weights(weights, network)
    model = build_model(network, loaded, DarknetOptions())
    kernel = next(t for t in model.graph.initializer if t.name == "000_convolutional.kernel")
    part = {name: array.astype(np.float64) for name, array in loaded[0].items()}
    factor = part["scale"] / np.sqrt(part["variance"] + np.float32(1e-5))
    expected = (part["kernel"] * factor.reshape(-1, 1, 1, 1)).astype(np.float32)
    assert np.array_equal(onnx.numpy_helper.to_array(kernel), expected)
