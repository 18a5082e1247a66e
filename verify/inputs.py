"""The inputs that a model is judged on: noise, edge cases and pictures, the same for the same seed everywhere.

Each finds another fault: uniform noise reaches every weight; zeros and ones show biases and paddings; one lit pixel
shows flips, transpositions and moved paddings; pictures have the statistics that the network was made for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from zoo.base.artifact import TensorSpec
from zoo.base.errors import UsageError
from zoo.verify.runtimes.protocol import Array
from zoo.vision.contract import is_channels_last

DEFAULT_SIZE = (256, 320)  # height and width in pixels where the model leaves them open; not square: a swap shows
CHANNELS = 3


@dataclass(frozen=True)
class Sample:
    """One example of every input, each with a leading dimension of 1. `seed` is 0 where nothing is random."""

    name: str
    seed: int
    feeds: Mapping[str, Array]


def make_samples(specs: Sequence[TensorSpec], seed: int, pictures: Mapping[str, Array] | None = None) -> list[Sample]:
    """The samples for these inputs, whose sizes are all known but the first (see `closed`). `pictures` (name → array
    with the shape and type of the only input) come last.

    Every random sample of every input has its own stream, made from `seed`, the sample's and the input's name.
    """
    samples = []
    for kind, make in KINDS.items():
        feeds = {spec.name: _typed(make(_shape(spec), _stream(seed, kind, spec.name)), spec.dtype) for spec in specs}
        samples.append(Sample(kind, seed if kind in RANDOM else 0, feeds))
    for name, picture in (pictures or {}).items():
        if len(specs) != 1:
            raise UsageError(f"pictures need a model with one input; this one has {len(specs)}")
        samples.append(Sample(name, 0, {specs[0].name: picture}))
    return samples


def stack(samples: Sequence[Sample]) -> dict[str, Array]:
    """One batch of several samples, in their order."""
    return {name: np.concatenate([sample.feeds[name] for sample in samples]) for name in samples[0].feeds}


def as_inputs(feeds: Mapping[str, Array], specs: Sequence[TensorSpec]) -> dict[str, Array]:
    """Feeds as a candidate takes them: a picture input that the reference has as [N, C, H, W] and the candidate as
    [N, H, W, C], or the other way round, is transposed; bytes, and floats of another length, that it takes as floats
    stay the same numbers. The only input needs no name."""
    if len(feeds) == len(specs) == 1:
        feeds = {specs[0].name: next(iter(feeds.values()))}
    wanted = {spec.name: spec for spec in specs}
    return {name: _as_input(array, wanted[name]) if name in wanted else array for name, array in feeds.items()}


def _as_input(array: Array, spec: TensorSpec) -> Array:
    array = _laid(array, spec)
    numbers = array.dtype == np.uint8 or array.dtype.kind == "f"
    return array.astype(spec.dtype, copy=False) if numbers and spec.dtype.startswith("float") else array


def _laid(array: Array, spec: TensorSpec) -> Array:
    if array.ndim != 4 or len(spec.shape) != 4 or _fits(array.shape, spec.shape):
        return array
    for axes in ((0, 2, 3, 1), (0, 3, 1, 2)):
        turned = array.transpose(axes)
        if _fits(turned.shape, spec.shape):
            return np.ascontiguousarray(turned)
    return array


def _fits(shape: Sequence[int], wanted: Sequence[int | str]) -> bool:
    return all(size == want for size, want in zip(shape[1:], wanted[1:], strict=True) if isinstance(want, int))


def batch_limit(specs: Sequence[TensorSpec]) -> int | None:
    """The batch size that the model is fixed to; None where it takes any."""
    first = specs[0].shape[0] if specs and specs[0].shape else 1
    return first if isinstance(first, int) else None


def closed(specs: Sequence[TensorSpec], known: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Specs with every dimension but the first fixed: as `known` says for the input of that name, else the default. The
    only input needs no name, and `known` may have a picture's channels in another place."""
    by_name = {spec.name: spec for spec in known}
    if len(specs) == len(known) == 1:
        by_name = {specs[0].name: known[0]}
    return tuple(_closed(spec, by_name.get(spec.name, spec)) for spec in specs)


def _closed(spec: TensorSpec, other: TensorSpec) -> TensorSpec:
    shape = list(spec.shape)
    default, known = _default_shape(spec), other.shape
    if len(known) == len(shape) == 4 and is_channels_last(other) != is_channels_last(spec):
        known = tuple(known[axis] for axis in ((0, 2, 3, 1) if is_channels_last(spec) else (0, 3, 1, 2)))
    for position in range(1, len(shape)):
        if not isinstance(shape[position], int):
            size = known[position] if position < len(known) else ""
            shape[position] = size if isinstance(size, int) else default[position]
    return replace(spec, shape=tuple(shape))


def _default_shape(spec: TensorSpec) -> tuple[int, ...]:
    """Sizes for what the model leaves open."""
    if len(spec.shape) != 4:
        return (1, *(DEFAULT_SIZE[1] for _ in spec.shape[1:]))
    return (1, *DEFAULT_SIZE, CHANNELS) if is_channels_last(spec) else (1, CHANNELS, *DEFAULT_SIZE)


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    """The shape of one sample."""
    return (1, *(size for size in spec.shape[1:] if isinstance(size, int)))


def _stream(seed: int, kind: str, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, *f"{kind}/{name}".encode()])


def _typed(values: Array, dtype: str) -> Array:
    """Values in 0..1 as the type of the input: bytes become 0..255. Raises UsageError for another integer type."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    if kind == np.uint8:
        levels: Array = np.rint(values * 255).astype(kind)
        return levels
    raise UsageError(f"cannot make inputs of type {dtype}", hint="inputs are float or uint8 tensors")


def _uniform(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return random.random(shape)


def _zeros(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return np.zeros(shape)


def _ones(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return np.ones(shape)


def _impulse(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Zeros with a single one, off the middle in every dimension."""
    values = np.zeros(shape)
    values[tuple(size // 4 for size in shape)] = 1.0
    return values


def _scene(shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """A drawn picture: a slope of brightness, a dozen coloured discs and boxes, a little grain."""
    if len(shape) != 4:
        return random.random(shape)
    last = shape[-1] == CHANNELS  # [1, H, W, C], else [1, C, H, W]
    height, width = shape[1:3] if last else shape[2:4]
    channels = shape[3] if last else shape[1]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    picture = np.empty((channels, height, width))
    picture[:] = 0.3 + 0.4 * (y * random.random() + x * random.random())
    for number in range(12):
        cy, cx, ry, rx = random.uniform([0, 0, 0.03, 0.03], [1, 1, 0.25, 0.25])
        inside = np.abs((y - cy) / ry), np.abs((x - cx) / rx)
        mask = np.hypot(*inside) < 1 if number % 2 else np.maximum(*inside) < 1
        picture[:, mask] = random.random((channels, 1))
    picture = np.clip(picture + random.normal(0, 0.02, picture.shape), 0, 1)
    return (picture.transpose(1, 2, 0) if last else picture)[np.newaxis]


KINDS: dict[str, Callable[[tuple[int, ...], np.random.Generator], Array]] = {
    "uniform": _uniform,
    "zeros": _zeros,
    "ones": _ones,
    "impulse": _impulse,
    "scene": _scene,
}
RANDOM = ("uniform", "scene")
