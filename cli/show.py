"""`zoo show`: everything known about one model, and what of it is on this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from zoo.base.artifact import Artifact, read_artifact
from zoo.base.errors import ZooError
from zoo.catalog.cards import Accuracy, Card, CardFile
from zoo.catalog.load import load_catalog
from zoo.catalog.lock import LockFile
from zoo.catalog.store import Store
from zoo.cli.options import catalog_option, complete_models, in_bytes, json_option, say
from zoo.fetch.model import look_at


@click.command("show")
@click.argument("name", shell_complete=complete_models)
@catalog_option
@json_option
def command(name: str, catalogs: tuple[Path, ...], as_json: bool) -> None:
    """Show all that is known about a model: files and hashes, contract, accuracy, licence; what is here of it.

    \b
    Example:  zoo show yolov3
    """
    card = load_catalog(catalogs)[name]
    store, lock_file = Store(), LockFile()
    if as_json:
        click.echo(json.dumps(_document(card, store, lock_file), indent=2))
    else:
        say("\n".join(_lines(card, store, lock_file)))


def _artifacts(card: Card, store: Store) -> Iterator[tuple[Path, Artifact | None]]:
    """The artifacts of a model; None for one whose manifest cannot be read."""
    for folder in store.artifact_folders(card.name):
        try:
            yield folder, read_artifact(folder)
        except ZooError:
            yield folder, None


def _document(card: Card, store: Store, lock_file: LockFile) -> dict[str, Any]:
    found = look_at(card, store, lock_file)
    return {
        **dataclasses.asdict(card),
        "format": card.format,
        "pinned": card.is_pinned,
        "store": {
            "folder": str(store.source_folder(card.name)),
            "files": [dataclasses.asdict(kept) for kept in found.there],
            "missing": [file.name for file in found.missing],
            "damaged": found.damaged,
        },
        "artifacts": [
            {"folder": str(folder), "format": artifact and artifact.format, "verdicts": artifact and artifact.verdicts}
            for folder, artifact in _artifacts(card, store)
        ],
    }


def _lines(card: Card, store: Store, lock_file: LockFile) -> Iterator[str]:
    yield f"{card.name}  ({card.family}, {card.task}, {card.format}; {card.defined_at})"
    for file in card.files:
        yield from _file_lines(card, file, lock_file)
    yield from _contract_lines(card)
    yield from _listed("accuracy", [_accuracy(entry) for entry in card.accuracy])
    yield from _listed("speed", [f"{s.ms:g} ms" + (f" on {s.device}" if s.device else "") for s in card.speed])
    yield from _listed("labels", [", ".join(card.labels)] if card.labels else [])
    yield from _listed("licence", [card.licence or "not known"])
    yield from _listed("notes", list(card.notes))
    yield from _listed("known from", list(card.provenance))
    yield from _here_lines(card, store, lock_file)


def _file_lines(card: Card, file: CardFile, lock_file: LockFile) -> Iterator[str]:
    size = in_bytes(file.size) if file.size else file.size_about and f"about {file.size_about}"
    yield f"\n{file.role}  {file.name}" + (f"  ({size})" if size else "")
    for algorithm, digest in file.hashes.items():
        yield f"    {algorithm} {digest}"
    if not file.is_pinned:
        locked = lock_file.get(card.name, file.name)
        known = f"locked: sha256 {locked.sha256}" if locked else "not locked yet"
        yield f"    unpinned: no hash was published; {known}"
    for url in file.urls:
        yield f"    {url}"
    if file.page:
        yield f"    by hand from {file.page}"
    for member in file.members:
        yield f"    → {member.role}  {member.path}" + ("  (if it is there)" if member.optional else "")
        yield from (f"        {algorithm} {digest}" for algorithm, digest in member.hashes.items())
    for other in file.others:
        yield f"    not this: sha256 {other.sha256}, {other.what}"


def _contract_lines(card: Card) -> Iterator[str]:
    if card.input:
        own = card.input
        size = f"{own.width}x{own.height}, " if own.width else ""
        values = f"{own.color} {own.range[0]:g}..{own.range[1]:g}"
        yield f"\ninput  {own.name}  {own.dtype} {own.layout}, {size}{values}, resize: {own.resize}"
    for output in card.outputs:
        shape = ", ".join(str(size) for size in output.shape)
        yield f"output {output.name}  {output.dtype} [{shape}]  {output.meaning}" + (" (if any)" * output.optional)


def _accuracy(entry: Accuracy) -> str:
    words = (entry.dataset, f"at {entry.at}" if entry.at else "", entry.variant)
    where = " ".join(word for word in words if word)
    more = "; ".join(word for word in (entry.note, entry.source) if word)
    return f"{entry.value:g} {entry.metric} {where}".rstrip() + (f"  ({more})" if more else "")


def _listed(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield f"\n{title}"
        yield from (f"    {entry}" for entry in entries)


def _here_lines(card: Card, store: Store, lock_file: LockFile) -> Iterator[str]:
    found = look_at(card, store, lock_file)
    yield f"\non this machine  {store.source_folder(card.name)}"
    for kept in found.there:
        yield f"    {kept.name}  {in_bytes(kept.size)}, checked"
    for file in found.missing:
        yield f"    {file.name}  " + ("damaged" if file.name in found.damaged else "not fetched")
    for folder, artifact in _artifacts(card, store):
        yield f"    {folder}  {_verdicts(artifact) if artifact else 'its manifest cannot be read'}"


def _verdicts(artifact: Artifact) -> str:
    told = [f"{verdict.get('verdict')} on {verdict.get('device')}" for verdict in artifact.verdicts]
    return ", ".join(told) or "not verified"
