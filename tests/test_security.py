"""The code of zoo never uses what could run a file: no pickle, no eval, no shell, no library named by a model."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_architecture import MAY_IMPORT, ROOT, sources

FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
FORBIDDEN_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "torch.ops.load_library", "yaml.load", "yaml.unsafe_load"),
    *("tf.load_op_library", "tf.keras.models.load_model", "keras.models.load_model", "tempfile.mktemp"),
}
# Called methods that must not be called on anything, and keywords that must not have this value.
FORBIDDEN_METHODS = {"register_custom_ops_library", "extractall"}
FORBIDDEN_KEYWORDS = {("shell", True), ("allow_pickle", True), ("weights_only", False)}


def violations(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        for what in forbidden(node):
            yield f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}: {what}"


def forbidden(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names if alias.name.partition(".")[0] in FORBIDDEN_MODULES)
        case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in FORBIDDEN_MODULES:
            yield module
        case ast.Call(func=function, keywords=keywords):
            called = ast.unparse(function)
            if called in FORBIDDEN_CALLS or called.rpartition(".")[2] in FORBIDDEN_METHODS:
                yield called
            for keyword in keywords:
                if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in FORBIDDEN_KEYWORDS:
                    yield f"{called}({ast.unparse(keyword)})"


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_nothing_runs_what_a_file_says(room: str) -> None:
    assert not [found for path in sources(room) for found in violations(path)]


def test_the_search_finds_what_it_looks_for() -> None:
    bad = [
        "import pickle",
        "eval('1')",
        "torch.load(f)",
        "run(c, shell=True)",
        "tar.extractall()",
        "from dill import x",
    ]
    assert all(any(any(True for _ in forbidden(node)) for node in ast.walk(ast.parse(text))) for text in bad)
    assert not any(any(True for _ in forbidden(node)) for node in ast.walk(ast.parse("re.compile('x'); model.eval()")))
