"""What a section's builder sees: its place in the network, its options as typed values, and how to refuse.

A builder is a function of a `Place` that returns a `Layer`; this file knows no section.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from zoo.base.errors import ConversionError
from zoo.darknet.cfg import INT_LIMIT, Cfg, Option, Section
from zoo.darknet.keys import BOTH, LAYER_REFUSED, LAYER_TRAINING, PROGRAMS, Dialect, Key
from zoo.darknet.layers import Layer, Shape, size_of
from zoo.darknet.tree import Tree, find_beside, known_tree, read_tree

L = TypeVar("L", bound=Layer)


@dataclass(frozen=True)
class Net:
    """The [net] section, resolved: `inputs` counts values; without a picture (w·h·c = 0) it is the vector's length.

    `batch` is what one forward pass of the program takes; `time_steps` how many steps of a sequence a batch holds.
    """

    line: int
    width: int
    height: int
    channels: int
    inputs: int
    batch: int
    time_steps: int
    letter_box: bool


@dataclass(frozen=True)
class Spec:
    """One section of the language. `training` are keys without influence on inference, of both programs or of one;
    `unread` are keys of real cfgs that neither program reads. `why_not` refuses the whole section."""

    name: str
    build: Callable[[Place], Layer] | None = None
    keys: tuple[Key, ...] = ()
    training: tuple[str, ...] = ()
    training_alexey: tuple[str, ...] = ()
    training_pj: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    dialects: tuple[Dialect, ...] = BOTH
    why_not: str = ""

    @property
    def by_name(self) -> dict[str, list[Key]]:
        """Every honoured key by name; two entries where the dialects differ in type or default."""
        table: dict[str, list[Key]] = {}
        for key in (*self.keys, *LAYER_REFUSED):
            table.setdefault(key.name, []).append(key)
        return table

    @property
    def ignored(self) -> frozenset[str]:
        return frozenset((*self.training, *self.training_alexey, *self.training_pj, *self.unread, *LAYER_TRAINING))


@dataclass(frozen=True)
class Place:
    """Where a layer is being built: after `layers`, in `cfg`, from `section`, with `values` for its keys."""

    cfg: Cfg
    section: Section
    type: str
    dialect: Dialect
    net: Net
    layers: Sequence[Layer]
    values: Mapping[str, Any]
    warnings: list[str]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    @property
    def index(self) -> int:
        return len(self.layers)

    @property
    def shape(self) -> Shape:
        """The shape that comes in."""
        return self.layers[-1].output_shape if self.layers else _input_shape(self.net)

    @property
    def flat(self) -> bool:
        return self.layers[-1].flat if self.layers else not self.net.width * self.net.height * self.net.channels

    def image(self) -> Shape:
        """The shape that comes in, where it is an image; else an error."""
        if self.flat:
            raise self.error(f"expected an image (channels × height × width), found a vector of {size_of(self.shape)}")
        return self.shape

    def error(self, problem: str, key: str = "", hint: str = "") -> ConversionError:
        """An error at `key`'s line (or the section's)."""
        option = self.section.options.get(key)
        where = self.cfg.where(option.line if option else self.section.line)
        return ConversionError(f"{where}: layer {self.index} [{self.type}]: {problem}", hint=hint)

    def warn(self, key: str, problem: str) -> None:
        """Note something that the program accepts and a reader should know."""
        option = self.section.options.get(key)
        where = self.cfg.where(option.line if option else self.section.line)
        self.warnings.append(f"{where}: layer {self.index} [{self.type}]: {key} {problem}")

    def earlier(self, number: int, key: str) -> int:
        """A layer number of the cfg (negative: counted back from here) → the index of an earlier layer."""
        index = self.index + number if number < 0 else number
        if not 0 <= index < self.index:
            raise self.error(
                f"{key}={number}: expected a layer before this one (0 to {self.index - 1}), found layer {index}", key
            )
        return index

    def tree(self, classes: int) -> Tree | None:
        """The class hierarchy that `tree=` names, for `classes` classes."""
        name = self["tree"]
        if name is None:
            return None
        path = find_beside(name, self.cfg.path)
        tree = read_tree(path) if path else known_tree(name)
        if tree is None:
            raise self.error(
                f"tree={name}: no such file in the current folder, in the cfg's folder or above it",
                "tree",
                hint="the file belongs to the model: put it where the cfg says",
            )
        if path is None:
            self.warn("tree", f"{name} is not there: zoo's own copy of that hierarchy is used")
        if len(tree.parents) != classes:
            raise self.error(f"tree: expected {classes} classes, found {len(tree.parents)}", "tree")
        return tree

    def make(
        self,
        kind: Callable[..., L],
        output: Shape,
        /,
        *,
        sources: tuple[int, ...] | None = None,
        flat: bool = False,
        **fields: Any,
    ) -> L:
        """Build the layer; refuses an output that is empty or larger than the program's own integers."""
        if min(output) < 1:
            c, h, w = output
            raise self.error(f"expected an output of at least 1×1×1, found {c}×{h}×{w} (channels × height × width)")
        if size_of(output) > INT_LIMIT:
            raise self.error(f"expected an output of at most {INT_LIMIT} values, found {size_of(output)}")
        reads = (self.index - 1,) if sources is None else sources
        return kind(self.index, self.type, self.section.line, reads, self.shape, output, flat, **fields)


def _input_shape(net: Net) -> Shape:
    image = (net.channels, net.height, net.width)
    return image if all(image) else (net.inputs, 1, 1)


def resolve(cfg: Cfg, section: Section, spec: Spec, dialect: Dialect) -> dict[str, Any]:
    """The typed value of every key of `spec` for `section`. Raises ConversionError for what is not honoured."""
    table, ignored = spec.by_name, spec.ignored
    values = {key.name: key.default for keys in table.values() for key in keys if dialect in key.dialects}
    for name, option in section.options.items():
        keys = table.get(name)
        if keys is None:
            if name not in ignored:
                raise unknown_key(cfg, section, option, spec)
            continue
        key = next((key for key in keys if dialect in key.dialects), None)
        if key is None:
            raise ConversionError(
                f"{cfg.where(option.line)}: [{section.type}] {name}: {PROGRAMS[dialect]} has no such key",
                hint=f"the cfg was written for {PROGRAMS[keys[0].dialects[0]]}: use dialect {keys[0].dialects[0]}",
            )
        values[name] = _read(cfg, section, option, key)
    return values


def _read(cfg: Cfg, section: Section, option: Option, key: Key) -> Any:
    value = key.kind.read(option.value)
    where = f"{cfg.where(option.line)}: [{section.type}] {key.name}={option.value[:60]}"
    if value is None:
        raise ConversionError(f"{where}: expected {key.kind.expected}, found {option.value[:60]!r}")
    if key.only is not None and value not in key.only:
        raise ConversionError(f"{where}: not supported: {key.reason}")
    return value


def unknown_key(cfg: Cfg, section: Section, option: Option, spec: Spec) -> ConversionError:
    """The error for a key that is in no table, with what it may have been meant to be."""
    known = sorted({*spec.by_name, *spec.ignored})
    return ConversionError(
        f"{cfg.where(option.line)}: [{section.type}]: unknown key {option.key[:60]!r}",
        hint=did_you_mean(option.key, known) or f"[{section.type}] knows: {', '.join(sorted(spec.by_name))}",
    )


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """'did you mean …?', or nothing where no known word is close."""
    close = difflib.get_close_matches(word[:60], known, n=1)
    return f"did you mean {close[0]!r}?" if close else ""
