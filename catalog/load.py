"""The catalog: the built-in zoo.yaml, and over it the user's own files.

Later files add models or replace those of the same name, whole: the built-in one, then the project's `zoo.yaml` (found
by walking up from the working folder), then `ZOO_CATALOG`, then the files that are asked for (`--catalog`).
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from zoo.base.errors import UsageError
from zoo.catalog.built_in import PATH as BUILT_IN
from zoo.catalog.built_in import Reader, built_in_models
from zoo.catalog.cards import Card
from zoo.catalog.schema import read_catalog_file

FILE_NAME = "zoo.yaml"
ENVIRONMENT = "ZOO_CATALOG"  # paths, separated as in PATH


class Catalog(Mapping[str, Card]):
    """Model name → card, in the order of the files. `files` are the catalog files it was read from."""

    def __init__(self, cards: Mapping[str, Card | Reader], files: tuple[Path, ...] = ()) -> None:
        self._cards = dict(cards)
        self.files = files

    def __getitem__(self, name: str) -> Card:
        """The card of a model. Raises UsageError, with the nearest names, where there is none."""
        card = self._cards.get(name)
        if card is None:
            raise UsageError(f"there is no model {name!r} in the catalog", hint=self._suggestion(name))
        if not isinstance(card, Card):
            card = self._cards[name] = card()
        return card

    def __contains__(self, name: object) -> bool:
        return name in self._cards

    def __iter__(self) -> Iterator[str]:
        return iter(self._cards)

    def __len__(self) -> int:
        return len(self._cards)

    def _suggestion(self, name: str) -> str:
        folded = {known.casefold(): known for known in self._cards}
        close = [folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)]
        inside = [known for key, known in folded.items() if name.casefold() in key][: 3 if name else 0]
        nearest = list(dict.fromkeys(close + inside))[:3]
        return f"did you mean {' or '.join(nearest)}?" if nearest else "zoo list shows all models"


def load_catalog(files: Iterable[Path | str] = (), *, folder: Path | None = None) -> Catalog:
    """The built-in catalog and all that lies over it; `files` are the last to be read.

    `folder` is where the search for a project's zoo.yaml begins (default: the working folder). Raises UsageError,
    with file and line, where a catalog is not as the schema says, and where a file that was named is not there.
    """
    paths = [*user_catalogs(folder), *(Path(file) for file in files)]
    cards: dict[str, Card | Reader] = {}
    readers, contracts = built_in_models()
    cards.update(readers)
    for path in paths:
        read = read_catalog_file(_content(path), str(path), contracts)
        contracts.update(read.contracts)
        cards.update(read.cards)
    return Catalog(cards, (BUILT_IN, *paths))


def user_catalogs(folder: Path | None = None) -> list[Path]:
    """The catalog files of the project and the environment, in the order in which they are read."""
    project = project_catalog(folder or Path.cwd())
    named = [Path(name) for name in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if name]
    return ([project] if project else []) + named


def project_catalog(folder: Path) -> Path | None:
    """The nearest zoo.yaml in `folder` or above it; the built-in one, in zoo's own repository, is not a project's."""
    for parent in [folder.absolute(), *folder.absolute().parents]:
        path = parent / FILE_NAME
        if path.is_file():
            return None if path.resolve() == BUILT_IN else path
    return None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"the catalog {path} cannot be read: {error.strerror or error}") from error
