"""What a catalog file may say, and that everything else is refused with its line."""

from __future__ import annotations

import hashlib

import pytest

from zoo.base.errors import UsageError
from zoo.catalog.cards import Accuracy, Card, InputContract, Speed
from zoo.catalog.schema import CatalogFile, read_catalog_file

SHA = "ab" * 32
HEAD = "schema: 1\nmodels:\n"
MODEL = f"""\
  m:
    family: darknet
    task: detection
    files:
      - role: weights
        name: m.weights
        urls: [https://example.org/m.weights]
        size: 5
        sha256: {SHA}
"""


def read(text: str) -> CatalogFile:
    return read_catalog_file(text.encode(), "mine.yaml", {})


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_least_that_a_model_needs() -> None:
    card = read(HEAD + MODEL).cards["m"]
    assert isinstance(card, Card)
    assert (card.name, card.family, card.task, card.defined_at) == ("m", "darknet", "detection", "mine.yaml:3")
    assert card.files[0].hashes == {"sha256": SHA}
    assert card.is_pinned and card.format == "weights"
    assert (card.input, card.outputs, card.labels, card.licence) == (None, (), (), "")


def test_all_that_a_model_may_have() -> None:
    text = (
        """\
schema: 1
contracts:
  boxes:
    input: {name: images, dtype: float32, layout: NCHW, color: RGB, range: [0, 1], resize: stretch}
    outputs: [{name: boxes, dtype: float32, shape: [N, B, 4], meaning: corners, optional: true}]
models:
"""
        + MODEL
        + """\
    contract: boxes
    input: {width: 416, height: 320, resize: letterbox}
    dialect: pj
    labels: [person, "yes", 1]
    licence: MIT
    accuracy: [{value: 48.1, metric: AP50, dataset: COCO, at: 608, variant: uint8, note: rounded, source: paper}]
    speed: [{ms: 12.5, device: Pixel 1}]
    tolerances: {boxes: 1e-3}
    notes: [old]
    provenance: [the README]
"""
    )
    card = read(text).cards["m"]
    assert card.input == InputContract("images", "float32", "NCHW", "RGB", (0.0, 1.0), "letterbox", 416, 320)
    assert card.outputs[0].shape == ("N", "B", 4) and card.outputs[0].optional
    assert card.labels == ("person", "yes", "1")
    assert card.accuracy == (Accuracy(48.1, "AP50", "COCO", "608", "uint8", "rounded", "paper"),)
    assert card.speed == (Speed(12.5, "Pixel 1"),)
    assert card.tolerances == {"boxes": 1e-3}
    assert (card.dialect, card.notes, card.provenance) == ("pj", ("old",), ("the README",))


def test_an_archive_with_members() -> None:
    text = (
        HEAD
        + MODEL.replace("role: weights", "role: archive")
        + (
            '        members:\n          - {role: frozen_graph, path: "*/g.pb", size: 3}\n'
            f'          - {{role: saved_model, path: "*/saved_model/", optional: true, sha1: {"cd" * 20}}}\n'
        )
    )
    card = read(text).cards["m"]
    frozen, saved = card.files[0].members
    assert (frozen.path, frozen.size, frozen.optional) == ("*/g.pb", 3, False)
    assert (saved.path, saved.hashes, saved.optional) == ("*/saved_model/", {"sha1": "cd" * 20}, True)
    assert card.format == "frozen-graph"


def edited(old: str, new: str) -> str:
    assert old in MODEL
    return HEAD + MODEL.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + MODEL + MODEL, "mine.yaml:12: duplicate 'm'; the first is at line 3"),
        (
            edited("    task: detection\n", "    task: detection\n    task: detection\n"),
            "mine.yaml:6: duplicate 'task'",
        ),
        (
            edited("    task:", "    tusk: x\n    task:"),
            "mine.yaml:5: unknown key 'tusk' in model 'm'\ndid you mean 'task'?",
        ),
        (edited("size: 5", "bytes: 5"), "mine.yaml:10: unknown key 'bytes' in a file of 'm'"),
        (edited(SHA, SHA[:-1] + "g"), "mine.yaml:11: sha256 must be 64 hexadecimal digits"),
        (edited(SHA, SHA[:-1]), "mine.yaml:11: sha256 must be 64 hexadecimal digits, not '" + SHA[:-1] + "' (63 char"),
        (edited(SHA, hashlib.sha256().hexdigest()), "mine.yaml:11: this is the sha256 of an empty file"),
        (
            edited(f"sha256: {SHA}", f"md5: {hashlib.md5().hexdigest()}"),
            "mine.yaml:11: this is the md5 of an empty file",
        ),
        (edited("name: m.weights", "name: ../m.weights"), "mine.yaml:8: '../m.weights' is not a file name"),
        (edited("name: m.weights", "name: a/m.weights"), "mine.yaml:8: 'a/m.weights' is not a file name"),
        (edited("name: m.weights", "name: a\\m.weights"), "is not a file name"),
        (edited("name: m.weights", "name: .hidden"), "is not a file name"),
        (edited("name: m.weights", "name: con.weights"), "is not a file name"),
        (edited("  m:\n", "  ../m:\n"), "mine.yaml:3: '../m' cannot be the name of a model"),
        (edited("  m:\n", "  a b:\n"), "mine.yaml:3: 'a b' cannot be the name of a model"),
        (
            edited("https://example.org/m.weights", "ftp://example.org/m"),
            "mine.yaml:9: 'ftp://example.org/m' is not a url",
        ),
        (edited("https://example.org/m.weights", "package:../etc/passwd"), "is not a url that can be fetched"),
        (edited("https://example.org/m.weights", "package:a/.."), "is not a url that can be fetched"),
        (edited("size: 5", "size: 0"), "mine.yaml:10: 'size' of a file of 'm' must be a whole number above 0, not '0'"),
        (edited("size: 5", "size: -5"), "must be a whole number above 0"),
        (edited("size: 5", "size: '5'"), "must be a whole number above 0"),
        (edited("size: 5", "size: 1e3"), "must be a whole number above 0"),
        (
            edited("family: darknet", "family: caffe"),
            "'family' of model 'm' must be one of darknet, tf1, tf2, not 'caffe'",
        ),
        (
            edited("family: darknet\n", "family: [darknet]\n"),
            "mine.yaml:4: 'family' of model 'm' must be text, not a list",
        ),
        (edited("    family: darknet\n", ""), "mine.yaml:4: model 'm' needs the key 'family'"),
        (edited("role: weights", "role: poison"), "must be one of weights, cfg, names, archive"),
        (edited("role: weights", "role: archive"), "an archive, and only an archive, has 'members'"),
        (
            edited("    task: detection", "    contract: none\n    task: detection"),
            "'contract' of model 'm' must be one of",
        ),
        (edited("    task: detection", "    input: {width: 5}\n    task: detection"), "needs a 'contract'"),
        (HEAD + "  m: {family: darknet, task: detection}\n", "mine.yaml:3: model 'm' needs the key 'files'"),
        (HEAD + "  m: 5\n", "mine.yaml:3: model 'm' must be a mapping"),
        (HEAD + "  m:\n", "mine.yaml:3: model 'm' must be a mapping"),
        (edited("family: darknet", "family: !!python/name:os.system x"), "mine.yaml:4: YAML tag"),
        (edited("family: darknet", "family: !!str darknet"), "mine.yaml:4: YAML tag"),
        (edited("family: darknet", "family: &a darknet"), "mine.yaml:4: YAML anchors and aliases are not allowed"),
        (edited("family: darknet", "family: *a"), "mine.yaml:4:"),
        ("schema: 2\n", "mine.yaml:1: 'schema' of the catalog must be one of 1, not '2'"),
        ("models: {}\n", "mine.yaml:1: the catalog needs the key 'schema'"),
        ("schema: 1\nmodel: {}\n", "mine.yaml:2: unknown key 'model' in the catalog\ndid you mean 'models'?"),
        ("- a\n", "mine.yaml:1: a catalog is a mapping"),
        ("", "the catalog needs the key 'schema'"),
        ("schema: 1\n---\nschema: 1\n", "mine.yaml:3: a second document"),
        ("schema: 1\n? [a]\n: b\n", "mine.yaml:2: a key must be a plain word"),
        ("schema: 1\nmodels: [a\n", "not YAML"),
        ("schema: 1\n\tmodels: x\n", "mine.yaml:2: not YAML"),
        ("schema: 1\nmodels: " + "[" * 30 + "]" * 30, "mine.yaml:2: nested deeper than 20 levels"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line(text: str, message: str) -> None:
    assert message in refused(text)


def test_two_files_of_one_name() -> None:
    text = HEAD + MODEL + "      - {role: cfg, name: M.weights}\n"
    assert "mine.yaml:3: model 'm' has two files of the name" in refused(text)


def test_an_alias_bomb_is_refused_at_its_first_anchor() -> None:
    lines = [
        "a: &a [x, x]",
        *(f"{new}: &{new} [*{old}, *{old}]" for old, new in zip("abcdefghi", "bcdefghij", strict=True)),
    ]
    assert "mine.yaml:2: YAML anchors" in refused("schema: 1\n" + "\n".join(lines))


def test_a_catalog_that_is_no_text() -> None:
    with pytest.raises(UsageError, match=r"mine\.yaml:2: this is not UTF-8 text"):
        read_catalog_file(b"schema: 1\n\xff\xfe", "mine.yaml", {})


def test_a_catalog_that_is_too_large() -> None:
    with pytest.raises(UsageError, match="at most 8388608 are read"):
        read_catalog_file(b"#" * (9 << 20), "mine.yaml", {})


@pytest.mark.parametrize(
    "path", ["../g.pb", "/g.pb", "a/../g.pb", "*", "a/*/g.pb", "**/g.pb", "a//g.pb", "a\\\\g.pb", ".", ""]
)
def test_a_member_path_that_leads_elsewhere(path: str) -> None:
    text = (
        HEAD
        + MODEL.replace("role: weights", "role: archive")
        + f'        members: [{{role: pipeline, path: "{path}"}}]\n'
    )
    assert "mine.yaml:12:" in refused(text)


def test_upper_case_digests_are_the_same_digests() -> None:
    assert read(edited(SHA, SHA.upper())).cards["m"].files[0].hashes == {"sha256": SHA}
