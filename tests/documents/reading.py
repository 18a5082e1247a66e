"""What the README and the other documents tell people to type: the commands and the Python in their code blocks.

An indented block, and a fenced one without a language, is Python where it begins with an import; else it is typed into
a shell, line by line. What is no command stands in a block of another language. Commands that cannot be run in a test
stand in one called `text`, or within a sentence.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n(?:\n(?= {4}))?)+", re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")
SHELL = ("", "sh", "bash", "console")
REMARK = re.compile(r"\s{2,}\S.*$|\s+#.*$")  # what a command does, two blanks or a # after it
VARIABLE = re.compile(r"([A-Z_]+)=(.*)")
PLACEHOLDER = "…"
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Command:
    """One command of a document."""

    text: str

    @property
    def words(self) -> list[str]:
        """As a shell would split them, without the variables that are set for it."""
        return self._split()[1]

    @property
    def variables(self) -> dict[str, str]:
        """The variables that are set for it, e.g. in `ZOO_HOME=/mnt zoo cache`."""
        return self._split()[0]

    @property
    def program(self) -> str:
        """The program's name without its folder; "" where there is none."""
        return Path(self.words[0]).name if self.words else ""

    def _split(self) -> tuple[dict[str, str], list[str]]:
        words, variables = shlex.split(self.text), {}
        while words and (match := VARIABLE.fullmatch(words[0])):
            variables[match[1]] = match[2]
            del words[0]
        return variables, words


def commands(path: Path) -> list[Command]:
    """What a document's code blocks tell to type into a shell, in order."""
    return _commands(line for block in _shell_blocks(path.read_text()) for line in _joined(block))


def named(path: Path, programs: Collection[str]) -> list[Command]:
    """Calls of these programs that a document names without telling to type them."""
    text = path.read_text()
    shown = (line for kind, body in FENCE.findall(text) if kind == "text" for line in _joined(body))
    spans = (span for span in INLINE.findall(FENCE.sub("", text)) if len(span.split()) > 1)
    starts = re.compile(rf"(?:[A-Z_]+=\S+ )*(?:{'|'.join(map(re.escape, programs))}) ")
    return _commands(line for line in (*shown, *spans) if starts.match(line))


def python_blocks(path: Path) -> list[str]:
    """The Python of a document: fenced as python, or an indented block that begins with an import."""
    text = path.read_text()
    fenced = [body for kind, body in FENCE.findall(text) if kind == "python"]
    return fenced + [block for block in _indented(text) if _is_python(block)]


def links(path: Path) -> list[str]:
    """The targets of a document's links that are files beside it."""
    return [
        target for target in LINK.findall(path.read_text()) if not target.startswith(("http:", "https:", "mailto:"))
    ]


def _commands(lines: Iterable[str]) -> list[Command]:
    bare = (REMARK.sub("", line.strip().removeprefix("$ ")) for line in lines)
    return [Command(one) for line in bare for one in line.split(" && ") if one]


def _shell_blocks(text: str) -> Iterator[str]:
    yield from (body for kind, body in FENCE.findall(text) if kind in SHELL)
    yield from (block for block in _indented(text) if not _is_python(block))


def _indented(text: str) -> Iterator[str]:
    return (re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in INDENTED.findall(FENCE.sub("", text)))


def _is_python(block: str) -> bool:
    return block.startswith(("from ", "import "))


def _joined(block: str) -> list[str]:
    """The lines of a block, those that end with a backslash joined with the next."""
    return re.sub(r"\\\n\s*", " ", block).splitlines()
