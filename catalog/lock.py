"""zoo.lock: size and sha256 of files that were published without a hash, as they were when first fetched.

It is meant to be committed beside a project's code, so that everybody gets the same bytes from then on.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from zoo.base.errors import FetchError, UsageError
from zoo.base.files import atomic_file
from zoo.catalog.exclusive import exclusive
from zoo.catalog.load import project_catalog

FILE_NAME = "zoo.lock"
ENVIRONMENT = "ZOO_LOCK"
SCHEMA = 1


@dataclass(frozen=True)
class Locked:
    """What was found under `url` when a file was first fetched; `size` is in bytes."""

    sha256: str
    size: int
    url: str = ""


class LockFile:
    """The lock file at `path`, which need not exist yet."""

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path).absolute() if path is not None else default_path()

    def get(self, model: str, file: str) -> Locked | None:
        """What is locked for a file of a model. Raises UsageError where the lock file is damaged."""
        return self._read().get(model, {}).get(file)

    def add(self, model: str, file: str, locked: Locked) -> Locked:
        """Lock a file, unless another process has done so meanwhile; returns what is locked now.

        Raises FetchError where the lock file cannot be written.
        """
        try:
            with exclusive(self.path.with_name(f".{self.path.name}.busy")):
                content = self._read()
                kept = content.setdefault(model, {}).setdefault(file, locked)
                if kept is locked:
                    self._write(content)
                return kept
        except OSError as error:
            raise FetchError(
                f"{model} is published without hashes, and {self.path} cannot record what was fetched: "
                f"{error.strerror or error}",
                hint=f"name a lock file that can be written: --lock FILE, or the variable {ENVIRONMENT}",
            ) from error

    def _read(self) -> dict[str, dict[str, Locked]]:
        try:
            content = json.loads(self.path.read_bytes())
            if content["schema"] != SCHEMA:
                raise ValueError(f"schema {content['schema']!r} is not {SCHEMA}")
            return {
                model: {file: _checked(entry) for file, entry in files.items()}
                for model, files in content["models"].items()
            }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(
                f"the lock file {self.path} cannot be read: {error}",
                hint="restore it from version control; to accept new contents, delete the entry or the file",
            ) from error

    def _write(self, content: dict[str, dict[str, Locked]]) -> None:
        models = {model: {file: asdict(entry) for file, entry in files.items()} for model, files in content.items()}
        with atomic_file(self.path) as file:
            file.write(json.dumps({"schema": SCHEMA, "models": models}, indent=2, sort_keys=True).encode() + b"\n")


def default_path() -> Path:
    """`$ZOO_LOCK`; or the nearest zoo.lock here or above; or beside the project's zoo.yaml; or in this folder."""
    if named := os.environ.get(ENVIRONMENT):
        return Path(named).absolute()
    here = Path.cwd()
    found = next((path / FILE_NAME for path in (here, *here.parents) if (path / FILE_NAME).is_file()), None)
    project = project_catalog(here)
    return found or (project.parent if project else here) / FILE_NAME


def _checked(entry: dict[str, object]) -> Locked:
    sha256, size, url = entry["sha256"], entry["size"], entry.get("url", "")
    if not isinstance(sha256, str) or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"not a sha256: {sha256!r}")
    if not isinstance(size, int) or not isinstance(url, str):
        raise ValueError(f"not a size and a url: {size!r}, {url!r}")
    return Locked(sha256, size, url)
