"""A cfg → a network: the [net] section, the dialect, and every section as a typed layer.

`read_network` is the way in. What a section means stands in the tables of sections_*.py; this file only walks them.
"""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoo.base.errors import ConversionError, UsageError
from zoo.darknet.activations import ACTIVATIONS
from zoo.darknet.cfg import Cfg, Option, Section, parse_cfg
from zoo.darknet.keys import PROGRAMS, Dialect
from zoo.darknet.layers import Head, Layer
from zoo.darknet.place import Net, Place, Spec, did_you_mean, resolve
from zoo.darknet.sections_heads import HEADS
from zoo.darknet.sections_joins import JOINS
from zoo.darknet.sections_net import NET
from zoo.darknet.sections_spatial import SPATIAL
from zoo.darknet.sections_vectors import VECTORS

MAX_LAYERS = 10_000
MAX_SIDE = 1 << 15  # pixels of the input

SECTIONS: tuple[Spec, ...] = (*SPATIAL, *JOINS, *VECTORS, *HEADS)
_BY_NAME = {name: spec for spec in SECTIONS for name in (spec.name, *spec.aliases)}


@dataclass(frozen=True)
class Network:
    """A network as the program would build it: `reason` says how the dialect was decided, `warnings` what the
    program accepts silently and a reader should know."""

    cfg: Cfg
    dialect: Dialect
    reason: str
    net: Net
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return self.cfg.path

    @property
    def heads(self) -> tuple[Head, ...]:
        """The layers that give detections, in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Head))

    @property
    def resize(self) -> Literal["stretch", "letterbox"]:
        """How the program fits a picture into the input."""
        return "letterbox" if self.dialect == "pj" or self.net.letter_box else "stretch"

    def upto(self, count: int) -> Network:
        """The network of the first `count` layers: what a partial (backbone) weights file belongs to."""
        if not 1 <= count <= len(self.layers):
            raise UsageError(f"expected a number of layers from 1 to {len(self.layers)}, found {count}")
        return dataclasses.replace(self, layers=self.layers[:count])


def read_network(
    cfg: Path,
    *,
    dialect: Literal["auto", "alexey", "pj"] = "auto",
    weights: Path | None = None,
    width: int | None = None,
    height: int | None = None,
    batch: int | None = None,
) -> Network:
    """Read a cfg. `width`, `height` and `batch` override the cfg's, as if they stood there.

    `dialect` is whose program the network was made for ("alexey": AlexeyAB/darknet, "pj": pjreddie/darknet). "auto"
    takes the one that knows every section, key and activation of the cfg; where both do, the program that wrote
    `weights`; where that is not known either, AlexeyAB's. Raises ConversionError with the line of the cfg.
    """
    parsed = parse_cfg(cfg)
    net = _net(parsed, width, height, batch)
    if dialect != "auto":
        if dialect not in PROGRAMS:
            raise UsageError(f"expected a dialect of auto, {', '.join(PROGRAMS)}; found {dialect!r}")
        return _build(parsed, net, dialect, "as asked")
    chosen, reason = _guess(parsed, weights)
    try:
        return _build(parsed, net, chosen, reason)
    except ConversionError:
        other: Dialect = "pj" if chosen == "alexey" else "alexey"
        try:
            return _build(parsed, net, other, f"only {PROGRAMS[other]} can run it")
        except ConversionError:
            pass
        raise


def _build(cfg: Cfg, net: Net, dialect: Dialect, reason: str) -> Network:
    if dialect == "pj":
        net = dataclasses.replace(net, letter_box=False)
    layers: list[Layer] = []
    warnings = list(cfg.warnings)
    for section in cfg.sections[1:]:
        layers.append(_layer(cfg, section, dialect, net, layers, warnings))
    return Network(cfg, dialect, reason, net, tuple(layers), tuple(warnings))


def _layer(cfg: Cfg, section: Section, dialect: Dialect, net: Net, layers: list[Layer], warnings: list[str]) -> Layer:
    spec = _spec(cfg, section, dialect)
    _check_activation(cfg, section, dialect)
    values = resolve(cfg, section, spec, dialect)
    place = Place(cfg, section, spec.name, dialect, net, layers, values, warnings)
    if layers and layers[-1].type == "cost":
        raise place.error("expected nothing after [cost], which has no output at inference")
    assert spec.build is not None
    return spec.build(place)


def _spec(cfg: Cfg, section: Section, dialect: Dialect) -> Spec:
    where = cfg.where(section.line)
    spec = _BY_NAME.get(section.type)
    if spec is None:
        raise ConversionError(
            f"{where}: unknown section [{section.type[:60]}]",
            hint=did_you_mean(section.type, list(_BY_NAME)) or f"known are: {', '.join(sorted(_BY_NAME))}",
        )
    if spec.why_not:
        raise ConversionError(f"{where}: [{section.type}] is not supported: {spec.why_not}")
    if dialect not in spec.dialects or (spec.name == "reorg3d" and dialect == "pj"):
        raise ConversionError(
            f"{where}: {PROGRAMS[dialect]} has no section [{section.type}]",
            hint=f"the cfg was written for {PROGRAMS[spec.dialects[0]]}: use dialect {spec.dialects[0]}",
        )
    return spec


def _check_activation(cfg: Cfg, section: Section, dialect: Dialect) -> None:
    """Both programs run an unknown activation as relu, without a word."""
    option = section.options.get("activation")
    if option is None:
        return
    where = f"{cfg.where(option.line)}: [{section.type}]"
    if option.value not in ACTIVATIONS:
        raise ConversionError(
            f"{where}: unknown activation {option.value[:60]!r}",
            hint=did_you_mean(option.value, list(ACTIVATIONS)) or f"known are: {', '.join(sorted(ACTIVATIONS))}",
        )
    if dialect not in ACTIVATIONS[option.value]:
        raise ConversionError(
            f"{where}: {PROGRAMS[dialect]} has no activation {option.value!r}",
            hint="the cfg was written for AlexeyAB/darknet: use dialect alexey",
        )


def _net(cfg: Cfg, width: int | None, height: int | None, batch: int | None) -> Net:
    section = cfg.sections[0]
    if section.type not in (NET.name, *NET.aliases):
        raise ConversionError(
            f"{cfg.where(section.line)}: expected [net] as the first section, found [{section.type[:60]}]"
        )
    if len(cfg.sections) == 1:
        raise ConversionError(f"{cfg.where(section.line)}: expected layers after [net], found none")
    if len(cfg.sections) - 1 > MAX_LAYERS:
        raise ConversionError(f"{cfg.path.name}: expected at most {MAX_LAYERS} layers, found {len(cfg.sections) - 1}")
    values = resolve(cfg, section, NET, "alexey")
    w, h, c = _side(values["width"], width), _side(values["height"], height), values["channels"]
    if max(w, h) > MAX_SIDE or c > MAX_SIDE:
        raise _net_error(cfg, section, f"expected at most {MAX_SIDE} for width, height and channels, found {w}×{h}×{c}")
    inputs = w * h * c if values["inputs"] is None else values["inputs"]
    if not inputs:
        raise _net_error(cfg, section, f"expected width, height and channels (or inputs), found {w}×{h}×{c}")
    if w * h * c and inputs != w * h * c:
        raise _net_error(cfg, section, f"inputs={inputs}: expected width · height · channels = {w * h * c}")
    steps = max(1, values["time_steps"])
    default = max(1, values["batch"] // max(1, values["subdivisions"])) * steps
    return Net(section.line, w, h, c, inputs, batch or default, steps, bool(values["letter_box"]))


def _net_error(cfg: Cfg, section: Section, problem: str) -> ConversionError:
    option = section.options.get("width") or section.options.get("inputs")
    return ConversionError(f"{cfg.where(option.line if option else section.line)}: [{section.type}]: {problem}")


def _side(own: int, override: int | None) -> int:
    if override is None:
        return own
    if override < 1:
        raise UsageError(f"expected a width and height of at least 1, found {override}")
    return override


def _guess(cfg: Cfg, weights: Path | None) -> tuple[Dialect, str]:
    """The dialect, and what told it."""
    for section in cfg.sections:
        spec = NET if section is cfg.sections[0] else _BY_NAME.get(section.type)
        if spec is None:
            continue
        if len(spec.dialects) == 1:
            return spec.dialects[0], f"{cfg.where(section.line)}: only it has [{section.type}]"
        for option in section.options.values():
            found = _only(spec, option)
            if found:
                return found, f"{cfg.where(option.line)}: only it knows {option.key}={option.value[:40]}"
    return _guess_by_weights(weights)


def _only(spec: Spec, option: Option) -> Dialect | None:
    """The one dialect that knows this option, if only one does."""
    keys = spec.by_name.get(option.key, ())
    dialects = {dialect for key in keys for dialect in key.dialects}
    if option.key == "activation":
        dialects &= set(ACTIVATIONS.get(option.value, PROGRAMS))
    dialects |= {"alexey"} if option.key in spec.training_alexey else set()
    dialects |= {"pj"} if option.key in spec.training_pj else set()
    names: dict[str, Dialect] = {"alexey": "alexey", "pj": "pj"}
    return names[dialects.pop()] if len(dialects) == 1 else None


def _guess_by_weights(weights: Path | None) -> tuple[Dialect, str]:
    """pjreddie's program writes version 0.2.0 into the header, AlexeyAB's 0.2.5."""
    header: Any = None
    if weights is not None and weights.is_file():
        with weights.open("rb") as file:
            start = file.read(12)
        header = struct.unpack("<iii", start) if len(start) == 12 else None
    if header == (0, 2, 0):
        return "pj", "the weights have pjreddie/darknet's version 0.2.0"
    if header == (0, 2, 5):
        return "alexey", "the weights have AlexeyAB/darknet's version 0.2.5"
    return "alexey", "nothing in the cfg tells the programs apart"
