"""Darknet's picture rules: by hand where decoding plays no role, and against Darknet's own inputs."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.goldens.cases import CASE_NAMES, load_case
from zoo.base.errors import UsageError
from zoo.vision.preprocess import GREY, Placement, load_picture, place, preprocess, resize

Array = NDArray[np.float32]


def column(*values: float) -> Array:
    """A picture of one channel, one value a row."""
    return np.array(values, np.float32).reshape(1, -1, 1)


def resize_by_loops(picture: Array, width: int, height: int) -> Array:
    """The rule cell by cell, every operation rounded to float32."""
    f = np.float32
    channels, old_height, old_width = picture.shape
    part = np.zeros((channels, old_height, width), f)
    output = np.zeros((channels, height, width), f)
    across, down = f(old_width - 1) / f(width - 1), f(old_height - 1) / f(height - 1)
    for x in range(width):
        if x == width - 1 or old_width == 1:
            part[:, :, x] = picture[:, :, -1]
            continue
        at = f(x) * across
        left = int(at)
        share = at - f(left)
        part[:, :, x] = (f(1) - share) * picture[:, :, left] + share * picture[:, :, left + 1]
    for y in range(height):
        at = f(y) * down
        upper = int(at)
        share = at - f(upper)
        output[:, y] = (f(1) - share) * part[:, upper]
        if y < height - 1 and old_height > 1:
            output[:, y] += share * part[:, upper + 1]
    return output


def test_corners_stay_and_the_middle_is_between() -> None:
    assert resize(column(0, 1), 1, 3).ravel().tolist() == [0, 0.5, 1]
    assert resize(column(0, 4, 8), 1, 5).ravel().tolist() == [0, 2, 4, 6, 8]
    assert resize(column(0, 1, 2, 3, 4), 1, 3).ravel().tolist() == [0, 2, 4]
    square = np.array([[[0, 1], [2, 3]]], np.float32)
    assert resize(square, 3, 3).tolist() == [[[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]]]


def test_the_same_size_is_a_copy() -> None:
    picture = column(1, 2)
    copy = resize(picture, 1, 2)
    copy += 1
    assert picture.ravel().tolist() == [1, 2]


@pytest.mark.parametrize("size", [(7, 5), (3, 11), (40, 31), (13, 2), (2, 17)])
@pytest.mark.parametrize("old", [(9, 13), (1, 6), (6, 1), (1, 1), (32, 3)])
def test_every_bit_of_a_resize(size: tuple[int, int], old: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).uniform(0, 1, (3, *old)).astype(np.float32)
    assert (resize(picture, *size) == resize_by_loops(picture, *size)).all()


def test_the_last_row_may_be_dark_as_in_darknet() -> None:
    """Where (height − 1) · (2 / (height − 1)) is below 2 in float32, the last row takes from one row only."""
    heights = range(2, 200)
    below = [n for n in heights if np.float32(n - 1) * (np.float32(2) / np.float32(n - 1)) < 2]
    assert [n for n in heights if resize(column(1, 1, 1), 1, n).ravel()[-1] < 0.5] == below
    assert below


def test_load_gives_rgb_between_0_and_1(tmp_path: Path) -> None:
    path = tmp_path / "two.png"
    Image.fromarray(np.array([[[255, 0, 51], [0, 102, 255]]], np.uint8)).save(path)
    picture = load_picture(path)
    assert picture.dtype == np.float32
    assert picture.shape == (3, 1, 2)
    assert picture[:, 0].T.tolist() == [[1, 0, np.float32(0.2)], [0, np.float32(0.4), 1]]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_load_makes_rgb_of_other_kinds(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "grey.png"
    Image.new("L", (2, 2), 255).convert(mode).save(path)
    assert load_picture(path).tolist() == np.ones((3, 2, 2)).tolist()


def test_load_takes_the_upper_byte_of_16_bits(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 0x80FF, 0xFFFF]], np.uint16)).save(path)
    assert load_picture(path)[0, 0] == pytest.approx(np.array([0, 128, 255]) / 255)


def test_load_drops_transparency(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.fromarray(np.array([[[10, 20, 30, 0]]], np.uint8)).save(path)
    assert load_picture(path).ravel() * 255 == pytest.approx([10, 20, 30])


# A picture to Pillow, which would have Ghostscript run it.
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(owned) (w) file closefile\nshowpage\n"


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a picture.*, found an empty file"),
        (b"<!DOCTYPE html>", "expected a picture"),
        (POSTSCRIPT, "expected a picture"),
        (png_of(20_000, 20_000), "pixels"),
        (png_of(10_001, 10_000), "at most 100000000 pixels, found 10001 × 10000"),
        (png_of(64, 64), "cannot read the picture"),
        (png_of(64, 64)[:40], "picture"),
    ],
)
def test_load_refuses_what_is_no_picture(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        load_picture(path)


def test_load_refuses_a_truncated_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "half.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(UsageError, match=r"half\.jpg"):
        load_picture(path)
    with pytest.raises(UsageError, match="cannot read the picture"):
        load_picture(tmp_path / "none.jpg")


def test_stretch_fills_the_input() -> None:
    picture = np.random.default_rng(1).uniform(0, 1, (3, 5, 9)).astype(np.float32)
    output, placement = preprocess(picture, 6, 4, "stretch")
    assert placement == Placement(6, 4, 6, 4)
    assert output.dtype == np.float32
    assert output.shape == (1, 3, 4, 6)
    assert (output[0] == resize(picture, 6, 4)).all()


@pytest.mark.parametrize(
    ("size", "inside"),
    [((20, 10), (10, 5)), ((10, 20), (5, 10)), ((30, 20), (10, 6)), ((7, 7), (10, 10)), ((3, 1000), (0, 10))],
)
def test_letterbox_keeps_the_shape(size: tuple[int, int], inside: tuple[int, int]) -> None:
    placement = place(*size, 10, 10, "letterbox")
    assert (placement.width, placement.height) == inside


def test_letterbox_is_grey_around_the_picture() -> None:
    output, placement = preprocess(np.ones((3, 10, 20), np.float32), 8, 9, "letterbox")
    assert (placement.left, placement.top, placement.width, placement.height) == (0, 2, 8, 4)
    assert output[0, 0, :, 0].tolist() == [GREY] * 2 + [1] * 4 + [GREY] * 3


def test_a_picture_of_which_nothing_would_be_left_is_refused() -> None:
    with pytest.raises(UsageError, match="less than one pixel"):
        preprocess(np.ones((3, 1000, 3), np.float32), 10, 10, "letterbox")


def test_boxes_return_to_the_picture() -> None:
    """The right half of a picture of 20 × 10 in an input of 10 × 10."""
    placement = place(20, 10, 10, 10, "letterbox")
    whole = np.array([[0.5, 0.5, 1.0, 0.5], [0.75, 0.5, 0.5, 0.5]])
    assert placement.undo(whole).tolist() == [[0.5, 0.5, 1, 1], [0.75, 0.5, 0.5, 1]]
    assert (place(20, 10, 10, 10, "stretch").undo(whole) == whole).all()


@pytest.mark.parametrize("name", [name for name in CASE_NAMES if name.startswith("real_yolo-fastest_")])
def test_darknets_own_inputs(name: str, data: Path) -> None:
    """Where the JPEG decoders agree every pixel is the same; they differ by up to 3 of 255 levels elsewhere.

    Measured: 72 to 90 % of the values are identical, the mean difference is 0.03 to 0.13 levels.
    """
    case = load_case(name, data)
    assert case.image is not None
    height, width = case.input.shape[1:]
    output, _ = preprocess(load_picture(case.image), width, height, "letterbox" if case.letterbox else "stretch")
    difference = np.abs(output[0] - case.input) * 255
    assert (difference == 0).mean() > 0.7
    assert difference.mean() < 0.15
    assert difference.max() < 3
