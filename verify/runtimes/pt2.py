"""What a `.pt2` may hold before PyTorch's reader gets it: numbers, and a graph whose texts are plain names and sums.

That reader unpickles what an archive says is pickled, evaluates its expressions, runs its guards and makes source code
of its names: a hostile file would act. A program that zoo exported has none of it, so everything else is refused.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.base.errors import VerificationError

MEMBERS = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|models/model\.json|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
EMPTY = "data/sample_inputs/model.pt"  # the example inputs are a pickle; zoo writes none
NAME = re.compile(r"[A-Za-z_][\w.]*")
# Operators of PyTorch's own library but those that read and write files, and arithmetic on sizes. PyTorch calls
# whatever these names lead to: torch.ops has methods that load libraries, _operator some that call anything.
TARGET = re.compile(
    r"torch\.ops\.aten\.((?!__|from_file\.|save\.)\w+|__(and|or|xor)__)\.[A-Za-z]\w*|torch\.ops\.higher_order\.(while_loop|cond)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
    r"|math\.[a-z]\w*|torch\.sym_\w+"
)
SYMBOL = re.compile(r"[a-z]{1,2}\d+")
TEXT = re.compile(r"[A-Za-z_]\w*|-?\d+(\.\d*)?(e[-+]?\d+)?")  # the name of a symbol or input, or a number
# What expressions of sizes call: SymPy's classes, and in guards the functions of Python, math and torch.
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
        Symbol Integer Max Min Mod PythonMod FloorDiv CleanDiv CeilDiv Add Mul Pow IntTrueDiv
        FloatTrueDiv TruncToInt ToFloat RoundToInt Float Piecewise ExprCondPair true false ceiling
        floor Eq Ne Gt Ge Lt Le And Or Not GreaterThan LessThan StrictGreaterThan StrictLessThan
        Equality Unequality min max abs int float round
        """,
    )
)
SPACES = frozenset({"L", "math", "torch"})  # L holds a guard's inputs by name
METHODS = re.compile(r"(math|torch)\.(sym_\w+|trunc|floor|ceil|sqrt)|.*\.size", re.DOTALL)
ARITHMETIC = (
    *(ast.Expression, ast.Constant, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.keyword, ast.Load),
    *(ast.operator, ast.unaryop, ast.cmpop, ast.boolop, ast.Tuple, ast.Subscript, ast.IfExp),
)
LARGEST = 1 << 28  # bytes of one JSON text; that of a network with 3,000 nodes has 4 MB


def refuse_code(path: Path) -> None:
    """Raise VerificationError where loading the .pt2 could run anything that the file says."""
    try:
        with zipfile.ZipFile(path) as archive:
            problem = next(_problems(archive), "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, zipfile.BadZipFile) as error:
        problem = f"it is no archive of torch.export: {type(error).__name__}: {error}"
    if problem:
        raise VerificationError(
            f"{path.name} is not loaded: {problem}",
            hint="export it without example inputs (program.example_inputs = None), or compare its ONNX",
        )


def _problems(archive: zipfile.ZipFile) -> Iterator[str]:
    for member in archive.infolist():
        inside = member.filename.partition("/")[2]
        if inside == EMPTY and member.file_size:
            yield f"{inside} holds example inputs, which are a pickle"
        elif inside != EMPTY and not MEMBERS.fullmatch(inside):
            yield f"unexpected content {member.filename[:80]!r}"
        elif inside.endswith("_config.json"):
            yield from _pickled(_json(archive, member))
        elif inside.startswith("models/"):
            yield from _texts(_json(archive, member))


def _json(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Any:
    if member.file_size > LARGEST:
        raise ValueError(f"{member.filename} has {member.file_size} bytes")
    return json.loads(archive.read(member))


def _pickled(config: Any) -> Iterator[str]:
    for name, entry in config["config"].items():
        if entry["use_pickle"] or not re.fullmatch(r"(weight|tensor)_\d+", entry["path_name"]):
            yield f"{name[:80]!r} is pickled"


def _texts(program: Any) -> Iterator[str]:
    for key, text in _strings(program):
        expected = EXPECTED.get(key)
        if expected and text and not expected[0](text):
            yield f"expected {expected[1]}, found {text[:80]!r}"


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value, with the nearest key above it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry, key)
    elif isinstance(value, dict):
        for inner, entry in value.items():
            yield from _strings(entry, inner)


def _is_arithmetic(text: str) -> bool:
    """True for an expression of numbers, symbols such as s34 and the functions of sizes, and nothing else."""
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return all(_is_harmless(node) for node in nodes)


def _is_harmless(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return name in FUNCTIONS
        case ast.Call(func=ast.Attribute()):
            return True  # what is called is looked at as a node of its own
        case ast.Attribute():
            return METHODS.fullmatch(ast.unparse(node)) is not None
        case ast.Name(id=name):
            return name in FUNCTIONS or name in SPACES or SYMBOL.fullmatch(name) is not None
        case ast.Constant(value=str(name)):
            return TEXT.fullmatch(name) is not None
        case _:
            return isinstance(node, ARITHMETIC)


# Key of the graph's JSON → what its texts must be, as a test and in words.
EXPECTED: dict[str, tuple[Callable[[str], object], str]] = {
    **dict.fromkeys(("expr_str", "guards_code"), (_is_arithmetic, "an expression of sizes")),
    "target": (TARGET.fullmatch, "an operator of PyTorch"),
    **dict.fromkeys(("name", "as_name", "forward_arg_names"), (NAME.fullmatch, "a plain name")),
}
