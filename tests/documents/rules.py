"""What is asked of a command in a document that is not run: there is what it names, and it takes these options.

A rule for each program: it gets the words of the command and gives what is wrong, "" for nothing. The working folder is
the project's. A program without a rule must not stand in a document.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

import click

from tests.conftest import ROOT
from tests.documents.reading import PLACEHOLDER
from zoo.cli.main import zoo
from zoo.view.openapi import describe

SHIM = ROOT / "tests" / "documents" / "only_parsing"
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w,]+)\])?.*")
OWN = "detector-zoo"
OURS = ("zoo", "benchmarks", "tests")  # packages of the project


def _zoo(words: Sequence[str]) -> str:
    """The commands exist, and each option is one of theirs."""
    command: click.Command = zoo
    context = click.Context(zoo)
    known = {"--help", "--version"}
    for word in words[1:]:
        if word.startswith("-"):
            if word.partition("=")[0] not in known:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group) and not word.isupper():
            found = command.get_command(context, word)
            if found is None:
                return f"{command.name} has no command {word}"
            command = found
            known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return ""


@functools.cache
def _parsed(words: tuple[str, ...]) -> str:
    """A program of the project reads its command line, and ends before it does anything."""
    paths = os.pathsep.join([str(SHIM), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr[-2000:]


def _python(words: Sequence[str]) -> str:
    """The script or module exists; one of the project takes these words, of which a placeholder says nothing."""
    first, *given = words[1:]
    script = ROOT / first
    if first == "-m":
        first, *given = given
        if first.split(".")[0] not in OURS:
            return "" if importlib.util.find_spec(first.split(".")[0]) else f"there is no module {first}"
        script = ROOT.joinpath(*first.removeprefix("zoo.").split(".")).with_suffix(".py")
    if not script.is_file():
        return f"there is no {first}"
    if "ArgumentParser" not in script.read_text():
        return "it takes no options" if any(word.startswith("-") for word in given) else ""
    return _parsed((*words[1 : len(words) - len(given)], *(["--help"] if PLACEHOLDER in given else given)))


def _make(words: Sequence[str]) -> str:
    """The targets exist, and make knows how to come to them."""
    done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr


def _pip(words: Sequence[str]) -> str:
    """What is installed is pinned in one of the constraints; of zoo itself the extras exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = "\n".join(path.read_text() for path in ROOT.glob("constraints*.txt"))
    for word in words[words.index("install") + 1 :]:
        match = REQUIREMENT.fullmatch(word)
        if match is None:
            return f"what is {word}?"
        if match[1] == OWN and (unknown := set(filter(None, (match[2] or "").split(","))) - set(extras)):
            return f"there is no extra {', '.join(unknown)}"
        if match[1] != OWN and not re.search(rf"^{re.escape(match[1])}==", pinned, re.MULTILINE):
            return f"{match[1]} is in no constraints"
    return ""


def _compiler(words: Sequence[str]) -> str:
    """The sources exist; tests/examples builds and runs them."""
    sources = [word for word in words if word.endswith(".cpp")]
    return "" if sources and all((ROOT / word).is_file() for word in sources) else "there is no such source"


def _curl(words: Sequence[str]) -> str:
    """The API of `zoo view` has the path, and its parameters."""
    url = urlsplit(words[-1])
    path = describe(0)["paths"].get(url.path, {})
    taken = {parameter["name"] for method in path.values() for parameter in method.get("parameters", ())}
    return "" if path and set(parse_qs(url.query)) <= taken else f"the API has no {words[-1]}"


def _of_the_system(_: Sequence[str]) -> str:
    """Packages of the system cannot be looked up here."""
    return ""


RULES: dict[str, Callable[[Sequence[str]], str]] = {
    "zoo": _zoo,
    "python": _python,
    "make": _make,
    "pip": _pip,
    "c++": _compiler,
    "curl": _curl,
    "apt-get": _of_the_system,
}
