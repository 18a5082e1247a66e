"""What the catalog knows of a model: a `Card`, its files and where they are published. Plain data, no behaviour.

A field that is empty (None, "" or ()) is not known. Nothing here is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILIES = {
    "darknet": "Darknet: a .cfg and its .weights",
    "tf1": "TensorFlow 1 detection zoo: a frozen graph",
    "tf2": "TensorFlow 2 detection zoo: a SavedModel",
}
TASKS = ("detection", "instance-segmentation", "keypoints", "classification", "backbone")
RESIZES = ("stretch", "letterbox", "in-graph")
# Algorithm → hex digits of a digest; the strongest first. A file is judged by the strongest one that is published.
ALGORITHMS = {"sha256": 64, "sha512": 128, "sha384": 96, "sha1": 40, "md5": 32}
ROLES = ("weights", "cfg", "names", "archive")
MEMBER_ROLES = ("frozen_graph", "saved_model", "pipeline", "checkpoint", "labels", "weights", "cfg", "names")

Hashes = Mapping[str, str]  # algorithm → lower-case hex digits


@dataclass(frozen=True)
class OtherContent:
    """Another content that is known to be found under a file's url: what it is, so that an error can say so."""

    sha256: str
    what: str


@dataclass(frozen=True)
class Member:
    """A file or folder inside an archive.

    `path` is relative to the archive; a first component `*` stands for the archive's one top folder, whatever
    its name; a path that ends in `/` is a folder with everything below it. `size` is in bytes.
    """

    role: str
    path: str
    size: int | None = None
    hashes: Hashes = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True)
class CardFile:
    """One published file: `name` is its own name, `urls` are places to look, in order; `size` is in bytes.

    `page` is a web page where a person can get it by hand; `size_about` is a published size in words ("194 MB").
    """

    role: str
    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    size_about: str = ""
    hashes: Hashes = field(default_factory=dict)
    page: str = ""
    members: tuple[Member, ...] = ()
    others: tuple[OtherContent, ...] = ()

    @property
    def is_pinned(self) -> bool:
        """True where a hash was published, so that the content is known before the first download."""
        return bool(self.hashes)

    @property
    def judge(self) -> tuple[str, str] | None:
        """The strongest published (algorithm, digest), which decides whether a content is the published one."""
        return next(((name, self.hashes[name]) for name in ALGORITHMS if name in self.hashes), None)


@dataclass(frozen=True)
class Accuracy:
    """A published figure. `value` is in percent, `at` the input size, `variant` e.g. "uint8"; `note` in words."""

    value: float
    metric: str
    dataset: str = ""
    at: str = ""
    variant: str = ""
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class Speed:
    """A published time for one picture, in milliseconds, and the device it was published for, where known."""

    ms: float
    device: str = ""


@dataclass(frozen=True)
class InputContract:
    """The input. `width`, `height` in pixels (None: any, or not known); `range` of the values that are fed.

    `resize` says how a picture comes to that size: "stretch", "letterbox", or "in-graph" (the network does it).
    """

    name: str
    dtype: str
    layout: str
    color: str
    range: tuple[float, float]
    resize: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class OutputContract:
    """One output: `shape` holds ints or the names of dimensions; `optional`: not every model of this kind has it."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str
    optional: bool = False


@dataclass(frozen=True)
class Card:
    """Everything known about one model.

    `labels` are class names in order; where they are empty, the file with the role "names" has them, if any.
    `dialect` is the Darknet program ("alexey" or "pj") that the weights were made with.
    `tolerances` are limits of the verification, by name. `defined_at` is the place of the entry: "file:line".
    """

    name: str
    family: str
    task: str
    files: tuple[CardFile, ...]
    input: InputContract | None = None
    outputs: tuple[OutputContract, ...] = ()
    labels: tuple[str, ...] = ()
    dialect: str = ""
    licence: str = ""
    accuracy: tuple[Accuracy, ...] = ()
    speed: tuple[Speed, ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    provenance: tuple[str, ...] = ()
    defined_at: str = ""

    @property
    def is_pinned(self) -> bool:
        """True where every file has a published hash. An unpinned model is trusted on first fetch, then locked."""
        return all(file.is_pinned for file in self.files)

    @property
    def format(self) -> str:
        """The format of the original files: "darknet", "frozen-graph", "saved-model", or "weights" without a cfg."""
        roles = {file.role for file in self.files} | {m.role for file in self.files for m in file.members}
        by_role = {"cfg": "darknet", "frozen_graph": "frozen-graph", "saved_model": "saved-model"}
        return next((name for role, name in by_role.items() if role in roles), "weights")

    def file(self, role: str) -> CardFile | None:
        """The first file with this role, or None."""
        return next((file for file in self.files if file.role == role), None)
