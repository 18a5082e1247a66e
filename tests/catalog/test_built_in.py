"""zoo.yaml says what the recorded facts say, and nothing more."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from zoo.catalog import Card, CardFile, Catalog, load_catalog
from zoo.catalog.built_in import PATH, SHOWN
from zoo.catalog.schema import read_catalog_file
from zoo.fetch.hashing import digests_of
from zoo.fetch.local import PACKAGE

Row = dict[str, str]
NAMES = {
    "yolo-voc (yolov2 VOC)": "yolo-voc",
    "enetb0-coco (enet-coco)": "enetb0-coco",
    "darknet53 backbone": "darknet53-backbone",
    "yolov4 backbone": "yolov4-backbone",
    "yolov4-tiny backbone": "yolov4-tiny-backbone",
}
FAMILIES = {"darknet": "darknet", "tf1-detection": "tf1", "tf2-detection": "tf2"}
ALGORITHMS = ("sha256", "sha384", "sha1", "md5")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(folder=Path("/"))


@pytest.fixture(scope="module")
def rows(data: Path) -> dict[str, Row]:
    """Name in the catalog → recorded facts, of the families that are offered."""
    with (data / "facts" / "catalog.csv").open(newline="") as file:
        return {NAMES.get(row["name"], row["name"]): row for row in csv.DictReader(file) if row["family"] in FAMILIES}


@pytest.fixture(scope="module")
def repository_files(data: Path) -> dict[str, Row]:
    """Url pinned by commit → recorded facts of a cfg or names file."""
    with (data / "facts" / "darknet_cfgs.csv").open(newline="") as file:
        return {
            f"https://raw.githubusercontent.com/{row['repo']}/{row['commit']}/{row['path']}": row
            for row in csv.DictReader(file)
        }


def test_reading_model_by_model_is_reading_the_whole(catalog: Catalog) -> None:
    """The same cards, in the same order, with the same lines."""
    whole = read_catalog_file(PATH.read_bytes(), SHOWN, {}).cards
    assert list(whole) == list(catalog)
    assert all(whole[name] == catalog[name] for name in whole)


def main_file(card: Card) -> CardFile:
    return card.files[0]


def test_every_recorded_model_is_offered(catalog: Catalog, rows: dict[str, Row]) -> None:
    published = {name for name, card in catalog.items() if not card.name.startswith("shapes-")}
    assert published == set(rows)
    families = [card.family for name, card in catalog.items() if name in rows]
    assert [families.count(family) for family in ("tf1", "tf2", "darknet")] == [50, 43, 33]
    assert all(catalog[name].family == FAMILIES[row["family"]] for name, row in rows.items())


def test_hashes_and_sizes_are_the_recorded_ones(catalog: Catalog, rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        file = main_file(catalog[name])
        assert file.name == row["file_name"]
        assert file.hashes == {key: row[key].lower() for key in ALGORITHMS if row[key]}
        assert file.size == (int(row["size_bytes"]) if row["size_bytes"] else None)
        assert file.size_about == ("" if row["size_bytes"] else row["approx_size"])
        assert all(card_hash in row["note"] for card_hash in (other.sha256 for other in file.others))


def test_urls_are_the_recorded_ones(catalog: Catalog, rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        file = main_file(catalog[name])
        recorded = [row["url"], *row["mirror_urls"].split()]
        for url in (*file.urls, *filter(None, [file.page])):
            pinned = re.sub(
                r"https://raw\.githubusercontent\.com/([^/]+/[^/]+)/96a2900d16/",
                r"https://github.com/\1/raw/master/",
                url,
            )
            assert pinned in recorded, (name, url)
        assert all(url in (*file.urls, file.page) for url in recorded if url)
        assert not any("drive.google" in url for url in file.urls)


def test_members_are_the_recorded_ones(catalog: Catalog, rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        file = main_file(catalog[name])
        graphs = [member for member in file.members if member.role == "frozen_graph"]
        if FAMILIES[row["family"]] == "tf1":
            (graph,) = graphs
            assert graph.path == (row["member"] or "*/frozen_inference_graph.pb")
            assert graph.size == (int(row["member_size"]) if row["member_size"] else None)
            assert graph.hashes == {key: row[f"member_{key}"] for key in ("sha256", "sha1") if row[f"member_{key}"]}
        else:
            assert not graphs
        assert ("saved_model" in {member.role for member in file.members}) == (row["family"] == "tf2-detection")


def test_accuracies_are_recorded_figures(catalog: Catalog, rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        published = [entry for entry in catalog[name].accuracy if not entry.source]
        figures = re.findall(r"\d+(?:\.\d+)?", re.sub(r"\((AP50|AP|fp32/uint8|uint8)\)", "", row["published_map"]))
        if not figures:
            figures = re.findall(r"mAP@0\.5 (\d+)", row["map_kind"])
        assert [entry.value for entry in published] == [float(figure) for figure in figures], name


def test_accuracies_of_the_open_model_zoo_are_recorded(catalog: Catalog, data: Path) -> None:
    with (data / "facts" / "omz_reference_accuracy.csv").open(newline="") as file:
        recorded = {(row["dataset"], round(float(row["reference"]) * 100, 6)) for row in csv.DictReader(file)}
    entries = [entry for card in catalog.values() for entry in card.accuracy if entry.source]
    assert len(entries) >= 15
    assert all((entry.dataset, entry.value) in recorded for entry in entries)


def test_speeds_and_licences_are_the_recorded_ones(catalog: Catalog, rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        card = catalog[name]
        assert card.licence == row["license"]
        told = [f"{speed.ms:g}" + (f" ({speed.device})" if speed.device else "") for speed in card.speed]
        assert told == ([row["published_speed_ms"].replace(".0 ", " ")] if row["published_speed_ms"] else [])


def test_repository_files_are_pinned_by_commit_and_hash(
    catalog: Catalog, rows: dict[str, Row], repository_files: dict[str, Row]
) -> None:
    seen = 0
    for name in rows:
        for file in catalog[name].files[1:]:
            seen += 1
            for url in file.urls:
                row = repository_files[url]
                assert file.hashes == {"sha256": row["sha256_computed"]}
                assert file.size == int(row["size_bytes"])
                assert file.role == ("names" if url.endswith(".names") else "cfg")
    assert seen > 50


def test_the_input_size_is_that_of_the_pinned_cfg(catalog: Catalog, repository_files: dict[str, Row]) -> None:
    for card in catalog.values():
        cfg = card.file("cfg")
        if cfg is not None and not cfg.urls[0].startswith("package:"):
            row = repository_files[cfg.urls[0]]
            assert card.input is not None
            assert (card.input.width, card.input.height) == (int(row["width"]), int(row["height"])), card.name


def test_the_cfg_comes_from_the_repository_of_the_weights(catalog: Catalog) -> None:
    """yolov3.cfg is 608x608 in one repository and 416x416 in another."""
    for card in catalog.values():
        cfg = card.file("cfg")
        if cfg is None or not main_file(card).urls:
            continue
        weights, place = main_file(card).urls[0], cfg.urls[0]
        owners = {"pjreddie.com": "pjreddie", "AlexeyAB": "AlexeyAB", "hank-ai": "hank-ai", "dog-qiuqiu": "dog-qiuqiu"}
        owner = next((owner for part, owner in owners.items() if part in weights), None)
        assert owner is None or f"/{owner}/" in place, card.name
    yolov3 = catalog["yolov3"]
    assert yolov3.input is not None and yolov3.input.width == 608 and yolov3.dialect == "pj"


def test_every_detector_has_a_contract(catalog: Catalog) -> None:
    for card in catalog.values():
        if card.task != "backbone":
            assert card.input is not None and card.outputs, card.name


def test_no_model_of_the_tf2_zoo_is_pinned(catalog: Catalog) -> None:
    """No hash was ever published; one that turns up here was invented."""
    assert not any(card.is_pinned for card in catalog.values() if card.family == "tf2")


def test_shipped_files_are_what_the_catalog_says(catalog: Catalog) -> None:
    """The hash of a file inside the package is the hash of that file."""
    for card in catalog.values():
        for file in card.files:
            for url in file.urls:
                if url.startswith("package:"):
                    path = PACKAGE / url.removeprefix("package:")
                    assert digests_of(path, ("sha256",)) == file.hashes, url
                    assert path.stat().st_size == file.size
