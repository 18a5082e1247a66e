"""The samples: reproducible, in range, of the right type, and different from each other."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verify.tiny import INPUTS
from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.verify.inputs import as_inputs, batch_limit, closed, make_samples, stack


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    one, same, other = (make_samples(INPUTS, seed) for seed in (7, 7, 8))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a.feeds["images"], b.feeds["images"])
    changed = [a.name for a, b in zip(one, other, strict=True) if (a.feeds["images"] != b.feeds["images"]).any()]
    assert changed == ["uniform", "scene"]
    assert {sample.name: sample.seed for sample in one} == {
        "uniform": 7, "zeros": 0, "ones": 0, "impulse": 0, "scene": 7
    }  # fmt: skip


def test_samples_are_in_range_and_typed() -> None:
    for sample in make_samples(INPUTS, 0):
        array = sample.feeds["images"]
        assert array.shape == (1, 3, 16, 16)
        assert array.dtype == np.float32
        assert array.min() >= 0
        assert array.max() <= 1


def test_the_impulse_is_one_element_off_the_middle() -> None:
    impulse = next(sample for sample in make_samples(INPUTS, 0) if sample.name == "impulse").feeds["images"]
    assert impulse.sum() == 1
    for axis in (1, 2, 3):
        assert not np.array_equal(impulse, np.flip(impulse, axis)), axis


def test_bytes_open_sizes_and_channels_last() -> None:
    spec = TensorSpec("image_tensor", "uint8", ("batch", "height", "width", 3))
    shapes = {sample.feeds["image_tensor"].shape for sample in make_samples(closed([spec], []), 0)}
    assert shapes == {(1, 256, 320, 3)}
    uniform = make_samples(closed([spec], []), 0)[0].feeds["image_tensor"]
    assert uniform.dtype == np.uint8
    assert (uniform.min(), uniform.max()) == (0, 255)


def test_other_types_are_refused() -> None:
    with pytest.raises(UsageError, match="int64"):
        make_samples([TensorSpec("x", "int64", (1, 3))], 0)


def test_pictures_come_last_and_need_one_input() -> None:
    picture = np.zeros((1, 3, 16, 16), np.float32)
    assert make_samples(INPUTS, 0, {"dog": picture})[-1].name == "dog"
    with pytest.raises(UsageError, match="one input"):
        make_samples([INPUTS[0], TensorSpec("more", "float32", (1, 3))], 0, {"dog": picture})


def test_stack_and_limit() -> None:
    samples = make_samples(INPUTS, 0)
    assert stack(samples[:3])["images"].shape == (3, 3, 16, 16)
    assert batch_limit(INPUTS) is None
    assert batch_limit([TensorSpec("x", "float32", (4, 3))]) == 4


def test_open_sizes_are_those_of_the_reference() -> None:
    spec = TensorSpec("images", "float32", ("batch", 3, "height", "width"))
    known = TensorSpec("images", "float32", ("batch", 3, 96, 160))
    assert closed([spec], [known])[0].shape == ("batch", 3, 96, 160)
    assert closed([spec], [])[0].shape == ("batch", 3, 256, 320)


def test_a_candidate_may_have_the_channels_elsewhere_and_take_bytes_as_floats() -> None:
    """As an OpenCV file does of a TensorFlow model."""
    spec = TensorSpec("image_tensor", "uint8", ("batch", "?", "?", 3))
    blob = TensorSpec("blob", "float32", (1, 3, 20, 30))
    (fixed,) = closed([spec], [blob])
    assert fixed.shape == ("batch", 20, 30, 3)
    feeds = make_samples([fixed], 0)[0].feeds
    (given,) = as_inputs(feeds, [blob]).values()
    assert (given.dtype.name, given.shape) == ("float32", (1, 3, 20, 30))
    np.testing.assert_array_equal(given.transpose(0, 2, 3, 1), feeds["image_tensor"])
