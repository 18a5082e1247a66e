"""docs/darknet.md: section × key × dialect → supported or refused, written from the tables that the reader itself uses.

`python -m zoo.darknet.coverage` prints the page.
"""

from __future__ import annotations

from collections.abc import Iterator

from zoo.darknet.activations import ACTIVATIONS
from zoo.darknet.keys import BOTH, LAYER_REFUSED, LAYER_TRAINING, PROGRAMS, Dialect, Key
from zoo.darknet.network import SECTIONS
from zoo.darknet.place import Spec
from zoo.darknet.sections_net import NET

INTRODUCTION = """\
# The Darknet language

Written by `python -m zoo.darknet.coverage` from the tables that the reader uses; do not edit.

`alexey` is [AlexeyAB/darknet](https://github.com/AlexeyAB/darknet), `pj` is
[pjreddie/darknet](https://github.com/pjreddie/darknet). ✓ the key is honoured; **refused** the section or value is an
error that names the line; – the program does not know it (an error as well). What is in no table is an error with a
suggestion, never skipped. Training-only keys are accepted and change nothing.
"""


def page() -> str:
    """The whole page, as markdown."""
    return "\n".join([INTRODUCTION, *_sections(), *_keys(), *_activations()]) + "\n"


def _sections() -> Iterator[str]:
    yield "## Sections\n"
    yield "| section | also called | alexey | pj | |"
    yield "|---|---|---|---|---|"
    for spec in (NET, *SECTIONS):
        marks = ["–" if name not in spec.dialects else "**refused**" if spec.why_not else "✓" for name in BOTH]
        aliases = ", ".join(f"`[{name}]`" for name in spec.aliases)
        yield f"| `[{spec.name}]` | {aliases} | {' | '.join(marks)} | {spec.why_not} |"
    yield ""


def _keys() -> Iterator[str]:
    yield "## Keys\n"
    yield "Every layer: " + _names(LAYER_TRAINING) + " are training-only; of the following only 0 is accepted:\n"
    yield from _table(Spec("layer"), LAYER_REFUSED)
    for spec in (NET, *SECTIONS):
        if not (spec.keys or spec.training or spec.training_alexey or spec.training_pj):
            continue
        yield f"### `[{spec.name}]`\n"
        yield from _table(spec, spec.keys)
        for title, names in (
            ("Training-only", spec.training),
            ("Training-only, of alexey", spec.training_alexey),
            ("Training-only, of pj", spec.training_pj),
            ("Found in cfgs, read by neither program", spec.unread),
        ):
            if names:
                yield f"{title}: {_names(names)}.\n"


def _table(spec: Spec, keys: tuple[Key, ...]) -> Iterator[str]:
    if not keys:
        return
    yield "| key | value | default | alexey | pj | |"
    yield "|---|---|---|---|---|---|"
    for name in dict.fromkeys(key.name for key in keys):
        entries = [key for key in keys if key.name == name]
        marks = [_mark(spec, entries, dialect) for dialect in BOTH]
        kinds = " / ".join(dict.fromkeys(key.kind.expected.replace("|", "\\|") for key in entries))
        defaults = " / ".join(dict.fromkeys("" if key.default is None else f"{key.default:}" for key in entries))
        notes = "; ".join(dict.fromkeys(_note(key) for key in entries if key.reason))
        yield f"| `{name}` | {kinds} | {defaults} | {' | '.join(marks)} | {notes} |"
    yield ""


def _mark(spec: Spec, keys: list[Key], dialect: Dialect) -> str:
    key = next((key for key in keys if dialect in key.dialects and dialect in spec.dialects), None)
    if key is None:
        return "–"
    return "✓" if key.only is None else f"only {', '.join(f'{value:g}' for value in key.only)}"


def _note(key: Key) -> str:
    return f"other values refused: {key.reason}" if key.only else key.reason


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _activations() -> Iterator[str]:
    yield "## Activations\n"
    yield "| activation | alexey | pj |"
    yield "|---|---|---|"
    for name, dialects in sorted(ACTIVATIONS.items()):
        yield f"| `{name}` | {' | '.join('✓' if dialect in dialects else '–' for dialect in PROGRAMS)} |"


if __name__ == "__main__":
    print(page(), end="")
