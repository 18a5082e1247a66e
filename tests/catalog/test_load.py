"""Catalogs over catalogs: what adds, what replaces, and what is said of names that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalog.test_schema import HEAD, MODEL
from zoo.base.errors import UsageError
from zoo.catalog import Store, load_catalog
from zoo.catalog.built_in import PATH as BUILT_IN
from zoo.catalog.load import project_catalog
from zoo.catalog.select import select


def named(name: str, url: str = "https://example.org/m.weights") -> str:
    return HEAD + MODEL.replace("  m:\n", f"  {name}:\n").replace("https://example.org/m.weights", url)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_named_catalog_adds_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(named("yolov3") + MODEL.replace("  m:", "  own:"))
    catalog = load_catalog([path])
    assert len(catalog) == len(load_catalog()) + 1
    assert catalog["yolov3"].defined_at == f"{path}:3"
    assert catalog["yolov3"].files[0].name == "m.weights"
    assert catalog["own"].task == "detection"
    assert catalog["yolov4"].defined_at.startswith("zoo.yaml (built in):")


def test_the_order_is_project_environment_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zoo.yaml").write_text(named("m", "https://example.org/project"))
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert load_catalog()["m"].files[0].urls == ("https://example.org/project",)
    (tmp_path / "env.yaml").write_text(named("m", "https://example.org/environment"))
    monkeypatch.setenv("ZOO_CATALOG", str(tmp_path / "env.yaml"))
    assert load_catalog()["m"].files[0].urls == ("https://example.org/environment",)
    (tmp_path / "named.yaml").write_text(named("m", "https://example.org/named"))
    assert load_catalog([tmp_path / "named.yaml"])["m"].files[0].urls == ("https://example.org/named",)


def test_zoos_own_repository_is_no_project() -> None:
    assert project_catalog(BUILT_IN.parent) is None
    assert project_catalog(BUILT_IN.parent / "catalog") is None


def test_a_users_model_may_use_the_built_in_contracts(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + MODEL + "    contract: darknet-detector\n    input: {width: 64, height: 32}\n")
    card = load_catalog([path])["m"]
    assert card.input is not None and (card.input.name, card.input.width, card.input.height) == ("images", 64, 32)
    assert [output.name for output in card.outputs] == ["boxes", "scores"]


def test_a_catalog_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_catalog([tmp_path / "none.yaml"])


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("yolo3", "did you mean yolov3"),
        ("YOLOv4-Tiny", "did you mean yolov4-tiny"),
        ("mobilenet_v3_small", "ssd_mobilenet_v3_small_coco"),
        ("qqqqqqqq", "zoo list shows all models"),
        ("", "zoo list shows all models"),
    ],
)
def test_a_wrong_name_has_a_suggestion(wrong: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_catalog()[wrong]
    assert hint in caught.value.hint


def test_select() -> None:
    catalog = load_catalog()
    assert {card.family for card in select(catalog, family="tf2")} == {"tf2"}
    assert {card.task for card in select(catalog, task="keypoints")} == {"keypoints"}
    assert {card.format for card in select(catalog, format="frozen-graph")} == {"frozen-graph"}
    found = [card.name for card in select(catalog, text=("efficientdet", "D7"))]
    assert found == ["efficientdet_d7_coco17_tpu-32"]
    assert [card.name for card in select(catalog, format="onnx", converted=lambda card: ["onnx"])] == list(catalog)


def test_the_store_lies_where_the_user_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    store = Store()
    assert store.root == tmp_path / "home"
    assert not store.root.exists()
    assert store.source_folder("yolov3") == store.root / "sources" / "yolov3"
    assert store.artifact_folder("yolov3", "onnx") == store.root / "artifacts" / "yolov3" / "onnx"
    assert store.artifact_folder("yolov3", "onnx", "nms") == store.root / "artifacts" / "yolov3" / "onnx-nms"
    monkeypatch.delenv("ZOO_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Store().root.name == "detector-zoo"


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", ".hidden", "a\\b", "x" * 300])
def test_a_name_cannot_lead_out_of_the_store(name: str) -> None:
    store = Store("/nowhere")
    for path in (store.source_folder, store.record, store.part, store.lock, store.blob):
        with pytest.raises(UsageError):
            path(name)
    with pytest.raises(UsageError):
        store.artifact_folder("m", name)
