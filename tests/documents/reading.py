"""What the README and the other documents tell people to type: the commands and the Python in their code blocks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", re.MULTILINE)
SHELL = ("", "sh", "bash", "console")
REMARK = re.compile(r"\s{2,}\S.*$|\s+#.*$")  # what a command does, two blanks or a # after it
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Command:
    """One command of a document: `words` as a shell would split them."""

    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def commands(path: Path, program: str) -> list[Command]:
    """The lines of a document's code blocks that call `program`, in order."""
    lines = (line for block in _shell_blocks(path.read_text()) for line in _joined(block))
    bare = (REMARK.sub("", line.strip().removeprefix("$ ")) for line in lines)
    return [Command(line) for line in bare if line == program or line.startswith(f"{program} ")]


def python_blocks(path: Path) -> list[str]:
    """The Python of a document: fenced as python, or an indented block that begins with an import."""
    text = path.read_text()
    fenced = [body for kind, body in FENCE.findall(text) if kind == "python"]
    plain = (_dedented(block) for block in INDENTED.findall(FENCE.sub("", text)))
    return fenced + [block for block in plain if block.startswith(("from ", "import "))]


def links(path: Path) -> list[str]:
    """The targets of a document's links that are files beside it."""
    return [
        target for target in LINK.findall(path.read_text()) if not target.startswith(("http:", "https:", "mailto:"))
    ]


def _shell_blocks(text: str) -> Iterator[str]:
    yield from (body for kind, body in FENCE.findall(text) if kind in SHELL)
    yield from map(_dedented, INDENTED.findall(FENCE.sub("", text)))


def _dedented(block: str) -> str:
    return re.sub(r"^ {4}", "", block, flags=re.MULTILINE)


def _joined(block: str) -> list[str]:
    """The lines of a block, those that end with a backslash joined with the next."""
    return re.sub(r"\\\n\s*", " ", block).splitlines()
