"""The schema of a catalog file: from checked YAML nodes to typed cards. docs/catalog.md is its description for users.

Every refusal names file and line. Nothing is filled in that the file does not say, except what a named contract says.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from zoo.catalog import cards
from zoo.catalog.cards import Accuracy, Card, CardFile, InputContract, Member, OtherContent, OutputContract, Speed
from zoo.catalog.fields import Fields
from zoo.catalog.yaml_nodes import Node, Scalar, Sequence, Table, fail, read_nodes

SCHEMA = "1"
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+ -]{0,199}")
URL = re.compile(r"(https?|file)://[^\s]+|package:[A-Za-z0-9_]+/[A-Za-z0-9_][A-Za-z0-9._-]*")
# Names that Windows gives to devices: a file cannot be called so there.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
EMPTY = {name: hashlib.new(name, b"", usedforsecurity=False).hexdigest() for name in cards.ALGORITHMS}


@dataclass(frozen=True)
class Contract:
    """A named pair of input and outputs that many models share."""

    input: InputContract | None
    outputs: tuple[OutputContract, ...]


@dataclass
class CatalogFile:
    """The content of one catalog file."""

    cards: dict[str, Card] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)


def read_catalog_file(content: bytes, source: str, contracts: Mapping[str, Contract]) -> CatalogFile:
    """Read and validate one catalog file. `contracts` are those of the catalogs before it, which it may use too.

    Raises UsageError with `source` and the line where anything is not as the schema says.
    """
    root = read_nodes(content, source)
    result = CatalogFile(contracts=dict(contracts))
    with Fields(root, source, "the catalog") as fields:
        fields.text("schema", among=(SCHEMA,))
        for name, (_line, node) in _entries(fields, "contracts"):
            result.contracts[name] = _contract(node, source, name)
        for name, (line, node) in _entries(fields, "models"):
            if not MODEL_NAME.fullmatch(name) or RESERVED.fullmatch(name):
                fail(source, line, f"{name!r} cannot be the name of a model: use letters, digits and . _ + -")
            result.cards[name] = _card(node, source, name, line, result.contracts)
    return result


def _entries(fields: Fields, key: str) -> list[tuple[str, tuple[int, Node]]]:
    node = fields.get(key)
    if node is None:
        return []
    if not isinstance(node, Table):
        fields.refuse(node, key, "a mapping from names to entries")
    return list(node.entries.items())


def _card(node: Node, source: str, name: str, line: int, contracts: Mapping[str, Contract]) -> Card:
    with Fields(node, source, f"model {name!r}") as fields:
        contract = _chosen_contract(fields, contracts)
        card = Card(
            name=name,
            family=fields.text("family", among=cards.FAMILIES),
            task=fields.text("task", among=cards.TASKS),
            files=fields.each("files", lambda item: _file(item, source, name)),
            input=_sized_input(fields, source, contract),
            outputs=contract.outputs,
            labels=fields.texts("labels"),
            dialect=fields.maybe_text("dialect", among=("alexey", "pj")),
            licence=fields.maybe_text("licence"),
            accuracy=fields.each("accuracy", lambda item: _accuracy(item, source, name)),
            speed=fields.each("speed", lambda item: _speed(item, source, name)),
            tolerances=_numbers(fields, "tolerances"),
            notes=fields.texts("notes"),
            provenance=fields.texts("provenance"),
            defined_at=f"{source}:{line}",
        )
    _check_files(card, source, line)
    return card


def _check_files(card: Card, source: str, line: int) -> None:
    if not card.files:
        fail(source, line, f"model {card.name!r} needs the key 'files' with at least one file")
    # On many file systems `A.cfg` and `a.cfg` are one file.
    names = [file.name.casefold() for file in card.files]
    for file in card.files:
        if names.count(file.name.casefold()) > 1:
            fail(source, line, f"model {card.name!r} has two files of the name {file.name!r}")


def _chosen_contract(fields: Fields, contracts: Mapping[str, Contract]) -> Contract:
    name = fields.maybe_text("contract", among=contracts)
    return contracts[name] if name else Contract(None, ())


def _sized_input(fields: Fields, source: str, contract: Contract) -> InputContract | None:
    """The contract's input with what this model says of it: its size, how it is resized."""
    node = fields.get("input")
    if node is None:
        return contract.input
    if contract.input is None:
        fail(source, node.line, f"the input of {fields.what} needs a 'contract' that says what it is")
    with Fields(node, source, f"the input of {fields.what}") as own:
        return dataclasses.replace(
            contract.input,
            width=own.integer("width"),
            height=own.integer("height"),
            resize=own.maybe_text("resize", among=cards.RESIZES) or contract.input.resize,
        )


def _contract(node: Node, source: str, name: str) -> Contract:
    with Fields(node, source, f"contract {name!r}") as fields:
        own = fields.get("input")
        return Contract(
            _input(own, source, name) if own else None,
            fields.each("outputs", lambda item: _output(item, source, name)),
        )


def _input(node: Node, source: str, name: str) -> InputContract:
    with Fields(node, source, f"the input of contract {name!r}") as fields:
        low, high = (fields.as_number(item, "range") for item in _exactly(fields, "range", 2))
        return InputContract(
            name=fields.text("name"),
            dtype=fields.text("dtype", among=("float32", "uint8")),
            layout=fields.text("layout", among=("NCHW", "NHWC")),
            color=fields.text("color", among=("RGB", "BGR")),
            range=(low, high),
            resize=fields.text("resize", among=cards.RESIZES),
        )


def _exactly(fields: Fields, key: str, count: int) -> tuple[Node, ...]:
    node = fields.need(key)
    if not isinstance(node, Sequence) or len(node.items) != count:
        fields.refuse(node, key, f"a list of {count}")
    return node.items


def _output(node: Node, source: str, name: str) -> OutputContract:
    with Fields(node, source, f"an output of contract {name!r}") as fields:
        return OutputContract(
            name=fields.text("name"),
            dtype=fields.text("dtype", among=("float32", "int64", "uint8")),
            shape=tuple(int(word) if word.isdecimal() else word for word in fields.texts("shape")),
            meaning=fields.text("meaning"),
            optional=fields.flag("optional"),
        )


def _file(node: Node, source: str, model: str) -> CardFile:
    with Fields(node, source, f"a file of {model!r}") as fields:
        file = CardFile(
            role=fields.text("role", among=cards.ROLES),
            name=_file_name(fields.need("name"), source),
            urls=fields.each("urls", lambda item: _url(item, source)),
            size=fields.integer("size"),
            size_about=fields.maybe_text("size_about"),
            hashes=_hashes(fields, source),
            page=fields.maybe_text("page"),
            members=fields.each("members", lambda item: _member(item, source, model)),
            others=fields.each("others", lambda item: _other(item, source, model)),
        )
    if (file.role == "archive") != bool(file.members):
        fail(source, node.line, f"file {file.name!r} of {model!r}: an archive, and only an archive, has 'members'")
    return file


def _file_name(node: Node, source: str) -> str:
    name = node.text if isinstance(node, Scalar) else ""
    if not FILE_NAME.fullmatch(name) or RESERVED.fullmatch(name) or name.endswith((" ", ".")):
        fail(source, node.line, f"{name!r} is not a file name: no folders, no '..', only letters, digits and . _ + -")
    return name


def _url(node: Node, source: str) -> str:
    text = node.text if isinstance(node, Scalar) else ""
    if not URL.fullmatch(text) or not _is_splittable(text):
        fail(source, node.line, f"{text!r} is not a url that can be fetched: https, http, file or package:FOLDER/FILE")
    return text


def _is_splittable(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _hashes(fields: Fields, source: str) -> Mapping[str, str]:
    found = {}
    for algorithm in cards.ALGORITHMS:
        node = fields.get(algorithm)
        if node is not None:
            found[algorithm] = _digest(node, algorithm, source)
    return found


def _digest(node: Node, algorithm: str, source: str) -> str:
    digits = cards.ALGORITHMS[algorithm]
    text = node.text.lower() if isinstance(node, Scalar) else ""
    if not re.fullmatch(rf"[0-9a-f]{{{digits}}}", text):
        fail(
            source, node.line, f"{algorithm} must be {digits} hexadecimal digits, not {text!r} ({len(text)} characters)"
        )
    if text == EMPTY[algorithm]:
        fail(source, node.line, f"this is the {algorithm} of an empty file: somebody hashed a failed download")
    return text


def _member(node: Node, source: str, model: str) -> Member:
    with Fields(node, source, f"an archive member of {model!r}") as fields:
        path = fields.need("path")
        text = path.text if isinstance(path, Scalar) else ""
        parts = text.removesuffix("/").split("/")
        inner = parts[1:] if parts[0] == "*" else parts
        if not inner or not all(FILE_NAME.fullmatch(part) for part in inner):
            fail(
                source, path.line, f"{text!r} is not a path inside an archive: no '..', no leading '/', '*' only first"
            )
        return Member(
            role=fields.text("role", among=cards.MEMBER_ROLES),
            path=text,
            size=fields.integer("size"),
            hashes=_hashes(fields, source),
            optional=fields.flag("optional"),
        )


def _other(node: Node, source: str, model: str) -> OtherContent:
    with Fields(node, source, f"another content of a file of {model!r}") as fields:
        return OtherContent(_digest(fields.need("sha256"), "sha256", source), fields.text("what"))


def _accuracy(node: Node, source: str, model: str) -> Accuracy:
    with Fields(node, source, f"an accuracy of {model!r}") as fields:
        words = ("dataset", "at", "variant", "note", "source")
        return Accuracy(fields.number("value"), fields.text("metric"), *(fields.maybe_text(key) for key in words))


def _speed(node: Node, source: str, model: str) -> Speed:
    with Fields(node, source, f"a speed of {model!r}") as fields:
        return Speed(fields.number("ms"), fields.maybe_text("device"))


def _numbers(fields: Fields, key: str) -> dict[str, float]:
    return {name: fields.as_number(node, name) for name, (_line, node) in _entries(fields, key)}
