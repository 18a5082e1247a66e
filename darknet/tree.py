"""A class hierarchy (`tree=data/9k.tree`): lines of `name parent`, siblings on consecutive lines.

The one hierarchy that published models use is known here by its structure, so that they convert without the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.base.errors import ConversionError

MAX_BYTES = 1 << 23
KNOWN = {"9k.tree": Path(__file__).with_name("9k.groups")}  # file name → its structure, shipped with zoo


@dataclass(frozen=True)
class Tree:
    """`parents[i]` is the parent of class i, -1 for a root; `groups` are the (first, count) of each run of siblings."""

    parents: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]


def find_beside(name: str, cfg: Path) -> Path | None:
    """The file a cfg names: in the current folder, as Darknet finds it, or in the cfg's folder or one above it.

    A cfg is untrusted: it cannot name a file elsewhere.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    for folder in (Path(), cfg.parent, *cfg.resolve().parents):
        if (folder / name).is_file():
            return folder / name
    return None


def read_tree(path: Path) -> Tree:
    """Read a hierarchy. Raises ConversionError where a line is not `name parent` or a parent comes after its child."""
    if path.stat().st_size > MAX_BYTES:
        raise ConversionError(f"{path.name}: expected a class tree of at most {MAX_BYTES} bytes")
    parents: list[int] = []
    groups: list[tuple[int, int]] = []
    for number, line in enumerate(path.read_text("latin-1").splitlines(), 1):
        parent = _parent(line, len(parents))
        if parent is None:
            raise ConversionError(
                f"{path.name}:{number}: expected a name and the number of an earlier line (or -1), found {line[:60]!r}"
            )
        if parents and parents[-1] == parent:
            groups[-1] = (groups[-1][0], groups[-1][1] + 1)
        else:
            groups.append((len(parents), 1))
        parents.append(parent)
    return Tree(tuple(parents), tuple(groups))


def known_tree(name: str) -> Tree | None:
    """The hierarchy of that file name, where zoo knows it."""
    path = KNOWN.get(Path(name).name)
    if path is None:
        return None
    lines = [line.split() for line in path.read_text("ascii").splitlines() if line[0] != "#"]
    parents: list[int] = []
    groups: list[tuple[int, int]] = []
    for parent, count in lines:
        groups.append((len(parents), int(count)))
        parents += [int(parent)] * int(count)
    return Tree(tuple(parents), tuple(groups))


def _parent(line: str, index: int) -> int | None:
    words = line.split()[:2]
    if len(words) != 2 or not words[1].lstrip("-").isdigit() or not -1 <= int(words[1]) < index:
        return None
    return int(words[1])
