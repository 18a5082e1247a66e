"""Names and strings of an ONNX file never become code, whatever they are."""

from __future__ import annotations

import ast
import keyword
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.convert.to_torch.graphs import assert_same, model, node, noise
from zoo.base.artifact import TensorSpec
from zoo.base.errors import ConversionError
from zoo.convert.onnx_graph.fold import simplified
from zoo.convert.onnx_graph.read import graph_of
from zoo.convert.to_torch import module_from_onnx
from zoo.convert.to_torch.code import Code, call, literal
from zoo.convert.to_torch.module import header_of
from zoo.convert.to_torch.naming import identifier
from zoo.convert.to_torch.source import Header, write_source
from zoo.convert.to_torch.writer import write_program

HOSTILE = [
    '"; import os; os.system("touch hacked")',
    "a\nimport os\nraise SystemExit(1)",
    '"""\nimport os\n"""',
    "class",
    "self",
    "torch",
    "forward",
    "__class__",
    "load_state_dict",
    "$0",
    "{0}",
    "non_max_suppression",
    "\\",
    "\u202egnp.exe",
    "ｉｍｐｏｒｔ",
    "0",
    "",
    " ",
    "x" * 5000,
]


def named(names: list[str]) -> onnx.ModelProto:
    """A model in which every name and the equation's letters come from outside."""
    image, weight, middle, scale, result, first, second = names
    return model(
        [
            node("Conv", [image, weight], [middle], first),
            node("Mul", [middle, scale], [result], second),
        ],
        {image: ["batch", 3, 8, 8]},
        [result],
        constants={weight: noise(4, 3, 3, 3), scale: noise(4, 1, 1)},
    )


def source_of(proto: onnx.ModelProto) -> str:
    graph = simplified(graph_of(proto))
    return write_source(write_program(graph), header_of(graph))


def skeleton(source: str) -> str:
    """The syntax tree with every identifier that we may choose, and every docstring, blanked."""
    tree = ast.parse(source)
    for entry in ast.walk(tree):
        for field in ("id", "arg", "attr"):
            if hasattr(entry, field):
                setattr(entry, field, "_")
        if isinstance(entry, ast.Expr) and isinstance(entry.value, ast.Constant):
            entry.value.value = ""
    return ast.dump(tree)


PLAIN = ["image", "weight", "middle", "scale", "result", "first", "second"]
DISTINCT = st.lists(st.sampled_from(HOSTILE[:-3]) | st.text(min_size=1), min_size=5, max_size=5, unique=True)


@settings(max_examples=60, deadline=None)
@given(values=DISTINCT, nodes=st.lists(st.sampled_from(HOSTILE) | st.text(), min_size=2, max_size=2))
def test_names_change_identifiers_only(values: list[str], nodes: list[str]) -> None:
    """The program of hostile names is the program of plain names, in other words."""
    try:
        proto = named([*values, *nodes])
    except (UnicodeEncodeError, ValueError):  # protobuf itself refuses lone surrogates
        return
    assert skeleton(source_of(proto)) == skeleton(source_of(named(PLAIN)))


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_a_hostile_name_in_every_place(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place in range(len(PLAIN)):
        names = list(PLAIN)
        names[place] = name
        assert_same(named(names), noise(1, 3, 8, 8), atol=1e-4)
    assert not list(tmp_path.iterdir())


@given(st.text())
def test_identifiers(text: str) -> None:
    name = identifier(text)
    assert name.isidentifier()
    assert name.isascii()
    assert not name.startswith("_")
    assert len(name) <= 70


@given(st.text())
def test_strings_become_literals(text: str) -> None:
    """A string that is not `Code` can only ever be its own quoted value, and never holds a variable's `$`."""
    quoted = literal(text)
    assert "$" not in quoted
    assert quoted.isascii()
    value = ast.literal_eval(quoted)
    assert value == text
    ((argument,),) = [entry.args for entry in ast.walk(ast.parse(call("f", text))) if isinstance(entry, ast.Call)]
    assert isinstance(argument, ast.Constant)


@pytest.mark.parametrize("value", [0, -1, 1.5, float("inf"), float("-inf"), None, True, (1,), [1, (2.5, "a")], ()])
def test_numbers_become_literals(value: Any) -> None:
    assert eval(literal(value), {"float": float}) == value  # noqa: S307  (what is tested is that this is safe)


def test_float32_is_written_with_the_digits_it_needs() -> None:
    assert literal(np.float32(0.1)) == "0.1"
    largest = np.finfo(np.float32).max
    assert np.float32(float(literal(largest))) == largest
    assert float(literal(largest)) <= float(largest)


def test_an_unknown_object_has_no_source() -> None:
    with pytest.raises(TypeError):
        literal(object())


def test_docstrings_cannot_be_left() -> None:
    graph = simplified(graph_of(named(PLAIN)))
    for text in HOSTILE:
        spec = TensorSpec(text, text, (text,), text)
        header = Header(text, (text,), (spec,), (spec,))
        tree = ast.parse(write_source(write_program(graph), header))
        assert [type(entry).__name__ for entry in tree.body[:2]] == ["Expr", "ImportFrom"]


def test_hostile_attributes() -> None:
    equation = 'ij->ij"); import os; ("'
    with pytest.raises(ConversionError, match="equation"):
        module_from_onnx(model([node("Einsum", ["x"], ["y"], equation=equation)], {"x": [2, 2]}, ["y"]))
    proto = model(
        [node("GridSample", ["x", "g"], ["y"], mode='bilinear", __import__("os")')],
        {"x": [1, 1, 2, 2]},
        ["y"],
        g=noise(1, 2, 2, 2),
    )
    with pytest.raises(ConversionError, match="GridSample"):
        module_from_onnx(proto)


def test_no_keyword_is_an_identifier_in_use() -> None:
    for word in [*keyword.kwlist, *sys.builtin_module_names[:3], "None", "print", "torch", "nn", "F"]:
        source = source_of(named([word, *PLAIN[1:5], word, word]))
        compile(source, "model.py", "exec")
        assert f"def forward(self, {word}:" not in source


def test_code_is_only_what_zoo_marks() -> None:
    assert literal(Code("torch.relu")) == "torch.relu"
    assert literal("torch.relu") == '"torch.relu"'
