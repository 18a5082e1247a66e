"""Label maps and pipeline.config, as the Object Detection API writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoo.base.errors import ConversionError
from zoo.convert.from_tensorflow.text_protos import parse_text, read_labels, read_pipeline


def test_labels_stand_at_their_number(tmp_path: Path) -> None:
    path = tmp_path / "label_map.pbtxt"
    path.write_text(
        "# made by hand\nitem { id: 1 name: '/m/01' display_name: \"a cat\" }\nitem {\n  name: 'dog'\n  id: 3\n}\n"
    )
    assert read_labels(path) == ("a cat", "", "dog")


def test_an_item_without_a_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label_map.pbtxt"
    path.write_text("item { name: 'cat' }")
    with pytest.raises(ConversionError, match="no number"):
        read_labels(path)


def test_the_pipeline_says_what_the_model_is(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.config"
    path.write_text(
        "model { ssd { num_classes: 90 image_resizer { fixed_shape_resizer { height: 300 width: 301 } } } }"
    )
    resizer = {"kind": "fixed_shape_resizer", "height": "300", "width": "301"}
    assert read_pipeline(path) == {"architecture": "ssd", "num_classes": 90, "resizer": resizer}


@pytest.mark.parametrize("text", ["a: 1 }", "a {", "a:"])
def test_broken_text_is_refused(text: str) -> None:
    with pytest.raises(ConversionError, match="file"):
        parse_text(text, "file")
