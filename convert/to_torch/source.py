"""The text of `model.py`: header, the functions it needs, one nn.Module, and `load()`."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.convert.to_torch.code import VARIABLE, Code
from zoo.convert.to_torch.functions import in_order, source_of
from zoo.convert.to_torch.layout import LIMIT, laid_out
from zoo.convert.to_torch.naming import variable_names
from zoo.convert.to_torch.program import Assign, Block, Program
from zoo.convert.to_torch.safetensors import KINDS

LOAD = '''
def load(path: str | Path | None = None) -> Model:
    """The model in eval mode, its weights mapped from `path`, by default the file {weights} beside this one."""
    path = Path(path or Path(__file__).with_name("{weights}"))
    with path.open("rb") as file:
        begin = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(begin - 8))
    data = torch.from_file(str(path), size=path.stat().st_size, dtype=torch.uint8)[begin:]
{kinds}
    state = {{
        name: data[slice(*entry["data_offsets"])].view(kinds[entry["dtype"]]).view(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }}
    with torch.device("meta"):
        model = Model()
    model.load_state_dict(state, assign=True)
    return model.eval()
'''


@dataclass(frozen=True)
class Header:
    """What the first lines of `model.py` say: lines of text, and the inputs and outputs in the order of the graph."""

    title: str
    lines: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def write_source(program: Program, header: Header, weights: str = "model.safetensors") -> str:
    """The whole text of `model.py`. `weights` is the name of the file that `load()` reads by default."""
    names = variable_names(program)
    functions = [source_of(name) for name in in_order(program.helpers)]
    model = "\n".join(_class(program, names, header))
    load = LOAD.format(weights=weights, kinds=_kinds(program)).strip()
    body = "\n\n\n".join([*functions, model, load])
    return "\n".join([*_docstring(header), "", *_imports(body), "", "", body, ""])


def plain(text: str) -> str:
    """`text` of a file, for docstrings: printable characters on one line, of which none can end or escape a string."""
    return "".join(character if character.isprintable() and character not in '"\\' else "?" for character in text[:200])


def _docstring(header: Header) -> list[str]:
    lines = [wrapped for line in header.lines for wrapped in textwrap.wrap(plain(line), LIMIT) or [""]]
    title = plain(header.title)
    return [f'"""{title}', "", *lines, '"""'] if lines else [f'"""{title}"""']


def _imports(body: str) -> list[str]:
    """The import lines that `body` uses."""
    lines = ["from __future__ import annotations", "", "import json"]
    if re.search(r"\bmath\.", body):
        lines.append("import math")
    for name, module in (("Any", "typing"), ("Callable|Iterator|Sequence", "collections.abc"), ("count", "itertools")):
        found = sorted(set(re.findall(rf"\b({name})\b(?=[\[,)( ])", body)))
        if name == "count":
            found = ["count"] if "return count()" in body else []
        if found:
            lines.append(f"from {module} import {', '.join(found)}")
    lines.append("from pathlib import Path")
    plain_imports = sorted(line for line in lines[2:] if line.startswith("import"))
    from_imports = sorted(line for line in lines[2:] if line.startswith("from"))
    torch_lines = ["import torch"]
    if re.search(r"\bF\.", body):
        torch_lines.append("import torch.nn.functional as F")
    return [*lines[:2], *plain_imports, *from_imports, "", *torch_lines, "from torch import Tensor, nn"]


def _kinds(program: Program) -> str:
    """The element types that a weights file may have: those of this one, and what a tuned one may be saved in."""
    used = {"float32", "float16", "bfloat16", "int64"} | {array.dtype.name for array in program.state().values()}
    entries = ", ".join(f'"{kind}": torch.{name}' for name, kind in KINDS.items() if name in used)
    return "\n".join(laid_out(f"    kinds: dict[str, torch.dtype] = {{{entries}}}"))


def _class(program: Program, names: dict[Code, str], header: Header) -> list[str]:
    inputs = [names[variable] for variable in program.inputs]
    lines = ["class Model(nn.Module):", *_class_docstring(inputs, header), ""]
    lines += ["    def __init__(self) -> None:", "        super().__init__()"]
    for layer in program.layers.values():
        lines += laid_out(f"        {layer.code} = {layer.constructor}")
    annotated = "".join(f", {name}: Tensor" for name in inputs)
    count = len(program.outputs)
    kind = f"tuple[{', '.join(['Tensor'] * count)}]" if count <= 4 else "tuple[Tensor, ...]"
    lines += ["", *laid_out(f"    def forward(self{annotated}) -> {kind}:")]
    preamble = _preamble(program, inputs)
    lines += preamble + _statements(program.statements, names, "        ", is_first=not preamble)
    outputs = ", ".join(_renamed(output, names) for output in program.outputs)
    return [*lines, *laid_out(f"        return ({outputs},)" if count == 1 else f"        return {outputs}")]


def _class_docstring(inputs: list[str], header: Header) -> list[str]:
    lines = ['    """Inputs, then outputs, each with its type and shape.', ""]
    described = [*zip(inputs, header.inputs, strict=True), *((plain(spec.name), spec) for spec in header.outputs)]
    for name, spec in described:
        shape = ", ".join(plain(str(size)) for size in spec.shape)
        meaning = f": {plain(spec.meaning)}" if spec.meaning else ""
        text = f"{name}: {plain(spec.dtype)} [{shape}]{meaning}"
        lines += textwrap.wrap(text, LIMIT, initial_indent="    ", subsequent_indent="        ")
    return [*lines, '    """']


def _preamble(program: Program, inputs: list[str]) -> list[str]:
    """Where new tensors must lie, and what type the module's numbers have now."""
    lines = []
    if program.uses_device:
        source = f"{inputs[0]}.device" if inputs else "torch.get_default_device()"
        lines.append(f"        device = {source}")
    if program.uses_dtype:
        lines.append(f"        dtype = {_dtype_source(program)}")
    return lines


def _dtype_source(program: Program) -> str:
    for layer in program.layers.values():
        for key, array in layer.weights.items():
            if array.dtype == np.float32:
                return f"{layer.code}.{key}.dtype" if key else f"{layer.code}.dtype"
    return "torch.float32"


def _statements(body: list[Assign | Block], names: dict[Code, str], indent: str, is_first: bool = True) -> list[str]:
    """The lines of `body`; `is_first` where nothing stands before them."""
    lines: list[str] = []
    for statement in body:
        if isinstance(statement, Block):
            is_function = statement.header.startswith("def ")
            lines += [""] if is_function and (lines[-1] if lines else not is_first) else []
            lines += laid_out(indent + _renamed(statement.header, names))
            lines += _statements(statement.body, names, indent + "    ") or [f"{indent}    pass"]
            lines += [""] if is_function else []
        else:
            targets = ", ".join(_renamed(target, names) for target in statement.targets)
            value = _renamed(statement.value, names)
            if targets != value:
                lines += laid_out(f"{indent}{targets} = {value}" if targets else indent + value)
    return lines


def _renamed(text: Code, names: dict[Code, str]) -> str:
    return VARIABLE.sub(lambda match: names[Code(match[0])], text)
