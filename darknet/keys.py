"""The vocabulary of a section: which keys it knows, of which type, with which default, in which dialect.

Only describes and reads single values. A key is honoured (`Key`), known to be without influence on inference
(`TRAINING`), or refused; there is no fourth kind, so nothing is skipped silently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zoo.darknet.activations import ACTIVATIONS
from zoo.darknet.cfg import INT_LIMIT, c_float, c_int, c_list

Dialect = Literal["alexey", "pj"]
ALEXEY: tuple[Dialect, ...] = ("alexey",)
PJ: tuple[Dialect, ...] = ("pj",)
BOTH: tuple[Dialect, ...] = ("alexey", "pj")
MAX_LIST = 1 << 12  # values of one key
PROGRAMS: dict[Dialect, str] = {"alexey": "AlexeyAB/darknet", "pj": "pjreddie/darknet"}


@dataclass(frozen=True)
class Kind:
    """A type of value: what a message calls it, and how its text is read (None: not such a value)."""

    expected: str
    read: Callable[[str], Any]


@dataclass(frozen=True)
class Key:
    """A key that is honoured. `default` counts where the cfg does not give the key; `only` holds the values that
    are honoured where that is not all of them, and `reason` says why the others are refused."""

    name: str
    kind: Kind
    default: Any = None
    dialects: tuple[Dialect, ...] = BOTH
    only: tuple[Any, ...] | None = None
    reason: str = ""


def _bounded(read: Callable[[str], Any], low: float, high: float) -> Callable[[str], Any]:
    def bounded(text: str) -> Any:
        value = read(text)
        return value if value is not None and low <= value <= high else None

    return bounded


def _every(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def every(text: str) -> tuple[Any, ...] | None:
        if text.count(",") > MAX_LIST:
            return None
        values = tuple(read(part) for part in c_list(text))
        return None if None in values else values

    return every


def choice(*names: str) -> Kind:
    """One of `names`, exactly."""
    return Kind("one of " + ", ".join(names), lambda text: text if text in names else None)


INTEGER = Kind("an integer", c_int)
COUNT = Kind("an integer of at least 1", _bounded(c_int, 1, INT_LIMIT))
NATURAL = Kind("an integer of at least 0", _bounded(c_int, 0, INT_LIMIT))
SWITCH = Kind("0 or 1", c_int)
NUMBER = Kind("a number", c_float)
TEXT = Kind("a text", lambda text: text)
INTEGERS = Kind(f"at most {MAX_LIST} integers separated by commas", _every(c_int))
NUMBERS = Kind(f"at most {MAX_LIST} numbers separated by commas", _every(c_float))
ACTIVATION = Kind("an activation", lambda text: text if text in ACTIVATIONS else None)


def refused(name: str, reason: str, dialects: tuple[Dialect, ...] = BOTH) -> Key:
    """A switch that would change what the network computes, and is honoured only where it is off."""
    return Key(name, NUMBER, 0.0, dialects, only=(0.0,), reason=reason)


# Keys that any layer may have and that change nothing at inference.
LAYER_TRAINING = (
    "burnin_update",
    "clip",
    "dont_update",
    "dontsave",
    "learning_rate",
    "onlyforward",
    "smooth",
    "stopbackward",
    "train_only_bn",
    "truth",
)
# Keys that any layer may have and that change which weights it gets.
_WEIGHTS = "the layer would keep random weights"
LAYER_REFUSED = (
    refused("dontload", _WEIGHTS),
    refused("dontloadscales", _WEIGHTS),
    refused("numload", _WEIGHTS, PJ),
)
