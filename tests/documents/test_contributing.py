"""CONTRIBUTING.md is true: its diffs apply, and what they add works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documents.reading import FENCE
from tests.test_architecture import MAY_IMPORT
from zoo.catalog import load_catalog

GUIDE = ROOT / "CONTRIBUTING.md"
# What each diff promises, run in a process that sees the changed copy.
CHECKS = {
    "section": """
import numpy as np, onnxruntime
from zoo.convert.from_darknet import DarknetOptions
from zoo.convert.from_darknet.model import build_model
from zoo.darknet import read_network, read_weights
from zoo.verify.reference.darknet import interpret
Path("toy.cfg").write_text("[net]\\nwidth=4\\nheight=4\\nchannels=3\\n[gain]\\ngain=2.5\\n")
Path("toy.weights").write_bytes(np.array([0, 2, 5, 0, 0], np.int32).tobytes())
network = read_network(Path("toy.cfg"), weights=Path("toy.weights"))
weights = read_weights(Path("toy.weights"), network)
image = np.random.default_rng(0).random((1, 3, 4, 4), np.float32)
model = build_model(network, weights, DarknetOptions(heads="raw"))
(found,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"images": image})
np.testing.assert_allclose(found, image * 2.5)
(expected,) = interpret(network, weights, image).values()
np.testing.assert_allclose(expected, image * 2.5)
""",
    "operator": """
import numpy as np, torch
from onnx import helper, numpy_helper
from zoo.convert.to_torch import module_from_onnx
scale, zero = numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(np.uint8(3), "zero")
node = helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["y"])
given, output = helper.make_tensor_value_info("x", 2, [4]), helper.make_tensor_value_info("y", 1, [4])
graph = helper.make_graph([node], "g", [given], [output], [scale, zero])
module = module_from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]))
(found,) = module(torch.tensor([0, 3, 5, 255], dtype=torch.uint8))
assert found.tolist() == [-1.5, 0, 1, 126]
""",
    "operator of TensorFlow": """
import numpy as np, tensorflow as tf
from onnx import helper, numpy_helper
from zoo.convert.to_tensorflow import module_from_onnx
scale, zero = numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(np.uint8(3), "zero")
node = helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["y"])
given, output = helper.make_tensor_value_info("x", 2, [4]), helper.make_tensor_value_info("y", 1, [4])
graph = helper.make_graph([node], "g", [given], [output], [scale, zero])
module = module_from_onnx(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]))
(found,) = module(tf.constant([0, 3, 5, 255], tf.uint8))
assert found.numpy().tolist() == [-1.5, 0, 1, 126]
""",
    "runtime": """
import json, sys
from zoo.cli.main import main
sys.argv = ["zoo", "verify", "shapes-tiny", "--runtime", "onnx_reference", "--batch", "1", "--no-speed", "--json", "o"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0
(report,) = json.loads(Path("o").read_bytes())["reports"]
assert report["device"]["runtime"].startswith("onnx "), report["device"]
""",
}


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `zoo` is a copy of the project with all diffs of the guide applied."""
    folder = tmp_path_factory.mktemp("contributed")
    for room in MAY_IMPORT:
        shutil.copytree(ROOT / room, folder / "zoo" / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "zoo.yaml"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder / "zoo" / name)
    diffs = "".join(body for kind, body in FENCE.findall(GUIDE.read_text()) if kind == "diff")
    subprocess.run(["git", "apply", "-"], input=diffs, text=True, cwd=folder / "zoo", check=True)
    return folder


@pytest.mark.parametrize("what", CHECKS)
def test_what_the_guide_adds_works(what: str, changed: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path\nimport zoo.base\nassert 'contributed' in zoo.base.__file__\n" + CHECKS[what]
    environment = {**os.environ, "PYTHONPATH": str(changed)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_model_of_the_guide(tmp_path: Path) -> None:
    (card,) = (body for kind, body in FENCE.findall(GUIDE.read_text()) if kind == "yaml")
    (tmp_path / "ours.yaml").write_text(card)
    weights = load_catalog([tmp_path / "ours.yaml"])["our-detector"].file("weights")
    assert weights is not None and weights.name == "our.weights"
