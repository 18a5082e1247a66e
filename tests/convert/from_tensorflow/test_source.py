"""What a path may hold, told by names, sizes and first bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.source import FROZEN, SAVED, find_source


def make(folder: Path, *names: str, content: bytes = b"\n\x04node") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("names", "given", "kind", "found"),
    [
        (["a/frozen_inference_graph.pb", "a/saved_model/saved_model.pb"], "a", FROZEN, "a/frozen_inference_graph.pb"),
        (["a/b/frozen_inference_graph.pb"], "a", FROZEN, "a/b/frozen_inference_graph.pb"),
        (["a/saved_model/saved_model.pb", "a/checkpoint/x"], "a", SAVED, "a/saved_model"),
        (["sm/saved_model.pb"], "sm", SAVED, "sm"),
        (["sm/saved_model.pb"], "sm/saved_model.pb", SAVED, "sm"),
        (["mine.pb"], "mine.pb", FROZEN, "mine.pb"),
    ],
)
def test_the_model_is_found(tmp_path: Path, names: list[str], given: str, kind: str, found: str) -> None:
    make(tmp_path, *names)
    source = find_source(tmp_path / given)
    assert (source.kind, source.path) == (kind, tmp_path / found)


def test_what_lies_beside_it_is_found_too(tmp_path: Path) -> None:
    make(tmp_path, "saved_model/saved_model.pb", "saved_model/variables/variables.index", "pipeline.config")
    make(tmp_path, "mscoco_label_map.pbtxt")
    source = find_source(tmp_path)
    assert source.pipeline_config == tmp_path / "pipeline.config"
    assert source.label_map == tmp_path / "mscoco_label_map.pbtxt"
    assert [role for role, _ in source.files] == ["graph", "weights", "config"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html>", "HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"model {\n ssd {", "pipeline.config"),
    ],
)
def test_what_is_no_graph_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    make(tmp_path, "graph.pb", content=content)
    with pytest.raises(ConversionError, match=said):
        find_source(tmp_path / "graph.pb")


def test_a_file_beyond_protobuf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    with path.open("wb") as file:
        file.truncate(1 << 31)  # sparse: takes no space
    with pytest.raises(ConversionError, match="2147483648 bytes") as caught:
        find_source(path)
    assert "SavedModel" in caught.value.hint


def test_a_checkpoint_alone_is_no_model(tmp_path: Path) -> None:
    make(tmp_path, "checkpoint/ckpt-0.index")
    with pytest.raises(ConversionError, match="not a TensorFlow model"):
        find_source(tmp_path)
