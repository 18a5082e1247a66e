"""Choosing among the models of a catalog."""

from __future__ import annotations

from collections.abc import Callable

from zoo.catalog.cards import Card
from zoo.catalog.load import Catalog


def select(
    catalog: Catalog,
    *,
    family: str = "",
    task: str = "",
    format: str = "",
    text: tuple[str, ...] = (),
    converted: Callable[[Card], list[str]] = lambda card: [],
) -> list[Card]:
    """The cards that fit everything that is asked, in the order of the catalog.

    `format` is that of the original files ("darknet", "frozen-graph", "saved-model"), or one that `converted` says
    there are artifacts in. Every word of `text` must occur in the name, the family, the task or the notes.
    """
    return [
        card
        for card in catalog.values()
        if family in ("", card.family)
        and task in ("", card.task)
        and (format in ("", card.format) or format in converted(card))
        and all(word.casefold() in _words(card) for word in text)
    ]


def _words(card: Card) -> str:
    files = [file.name for file in card.files]
    return "\n".join([card.name, card.family, card.task, card.licence, *files, *card.notes]).casefold()
