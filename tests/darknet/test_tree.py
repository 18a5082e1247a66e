"""Class hierarchies: the file, where it is looked for, and the one that zoo knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.darknet.toys import write_cfg
from zoo.base.errors import ConversionError
from zoo.darknet import read_network
from zoo.darknet.layers import Softmax
from zoo.darknet.tree import find_beside, known_tree, read_tree

TREE = "animal -1\nthing -1\ncat 0\ndog 0\nfox 0\npug 3\n"


def test_groups_are_runs_of_siblings(tmp_path: Path) -> None:
    path = tmp_path / "x.tree"
    path.write_text(TREE)
    tree = read_tree(path)
    assert tree.parents == (-1, -1, 0, 0, 0, 3)
    assert tree.groups == ((0, 2), (2, 3), (5, 1))


@pytest.mark.parametrize("text", ["a 0\n", "a -1\nb 1\n", "a -1\nb\n", "a -2\n", "a x\n", "a -1\n\n"])
def test_what_is_no_hierarchy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.tree"
    path.write_text(text)
    with pytest.raises(ConversionError, match="expected a name and the number of an earlier line"):
        read_tree(path)


def test_it_is_found_beside_or_above_the_cfg(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "cfg").mkdir()
    (tmp_path / "data" / "x.tree").write_text(TREE)
    cfg = write_cfg(tmp_path / "cfg", "[softmax]\ntree=data/x.tree\n", w=1, h=2, c=3)
    layer = read_network(cfg).layers[0]
    assert isinstance(layer, Softmax)
    assert layer.tree == read_tree(tmp_path / "data" / "x.tree")


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tree").write_text(TREE)
    with pytest.raises(ConversionError, match="expected 192 classes, found 6"):
        read_network(write_cfg(tmp_path, "[softmax]\ntree=x.tree\n"))


def test_the_hierarchy_of_yolo9000_is_known() -> None:
    tree = known_tree("data/9k.tree")
    assert tree is not None
    assert (len(tree.parents), len(tree.groups)) == (9418, 1846)
    assert all(parent < index for index, parent in enumerate(tree.parents))
    assert known_tree("other.tree") is None


def test_a_cfg_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "secret").write_text("root -1\n")
    cfg = tmp_path / "models" / "net.cfg"
    assert find_beside("../secret", cfg) is None
    assert find_beside(str(tmp_path / "secret"), cfg) is None
    assert find_beside("secret", cfg) == tmp_path / "secret"
