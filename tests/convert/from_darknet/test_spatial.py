"""Layers that compute on images, against loops and formulas written down from the programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.convert.from_darknet.running import Array, last, noise, raw

F64 = NDArray[np.float64]


def windows(x: F64, size: int, stride: tuple[int, int], pad: int, out: tuple[int, int], dilation: int = 1) -> F64:
    """[N, c, oh, ow, size, size], NaN outside; `pad` cells lie above and left."""
    n, c, h, w = x.shape
    result = np.full((n, c, *out, size, size), np.nan)
    for i in range(out[0]):
        for j in range(out[1]):
            for k in range(size):
                for m in range(size):
                    row, col = i * stride[0] - pad + k * dilation, j * stride[1] - pad + m * dilation
                    if 0 <= row < h and 0 <= col < w:
                        result[:, :, i, j, k, m] = x[:, :, row, col]
    return result


def convolve(x: Array, weights: Mapping[str, Array], stride: int, pad: int, groups: int = 1, dilation: int = 1) -> F64:
    """A convolution with its batch norm or bias, in float64 (alexey's epsilon)."""
    kernel = weights["kernel"].astype(np.float64)
    size, per_group = kernel.shape[2], x.shape[1] // groups
    reach = dilation * (size - 1) + 1
    out = tuple((length + 2 * pad - reach) // stride + 1 for length in x.shape[2:])
    seen = np.nan_to_num(windows(x.astype(np.float64), size, (stride, stride), pad, (out[0], out[1]), dilation))
    parts = [
        np.einsum("nchwij,kcij->nkhw", seen[:, g * per_group : (g + 1) * per_group], part)
        for g, part in enumerate(np.split(kernel, groups))
    ]
    y: F64 = np.concatenate(parts, axis=1)
    column = {name: value.astype(np.float64).reshape(-1, 1, 1) for name, value in weights.items() if name != "kernel"}
    if "scale" in column:
        y = (y - column["mean"]) / np.sqrt(column["variance"] + 1e-5) * column["scale"]
    return y + column["bias"]


def close(found: Array, expected: F64) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 3e-6 * max(1, np.abs(expected).max())


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ("size=3\npad=1\nbatch_normalize=1\n", (1, 1, 1, 1)),
        ("size=3\nstride=2\npad=1\n", (2, 1, 1, 1)),
        ("size=4\npad=1\n", (1, 2, 1, 1)),
        ("size=3\npadding=0\n", (1, 0, 1, 1)),
        ("size=3\npad=1\ndilation=2\n", (1, 2, 1, 2)),
        ("size=3\npad=1\ngroups=2\n", (1, 1, 2, 1)),
        ("size=1\nstride=2\nbatch_normalize=1\n", (2, 0, 1, 1)),
    ],
)
def test_convolution(tmp_path: Path, options: str, arguments: tuple[int, int, int, int]) -> None:
    x = noise(2, 4, 7, 8)
    outputs, weights = raw(tmp_path, f"[convolutional]\nfilters=6\nactivation=linear\n{options}", x)
    close(outputs["000_convolutional"], convolve(x, weights[0], *arguments))


def test_strides_may_differ(tmp_path: Path) -> None:
    body = "[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=linear\nstride_x="
    x = noise(1, 3, 8, 8)
    wide = last(tmp_path, f"{body}1\nstride_y=2\n", x)
    assert np.allclose(wide, last(tmp_path, f"{body}1\nstride_y=1\n", x)[:, :, ::2], atol=1e-6)


@pytest.mark.parametrize("dialect", ["alexey", "pj"])
@pytest.mark.parametrize("section", ["convolutional", "connected"])
def test_batch_norm_folded_and_kept_is_the_programs_formula(tmp_path: Path, dialect: str, section: str) -> None:
    body = f"[{section}]\nfilters=3\nbatch_normalize=1\nactivation=linear\n"
    body = body if section == "convolutional" else body.replace("filters", "output")
    x = noise(2, 3, 2, 2)
    outputs, weights = raw(tmp_path, body, x, dialect)
    kept, _ = raw(tmp_path, body, x, dialect, keep_batch_norm=True)
    w = {name: value.astype(np.float64) for name, value in weights[0].items()}
    deviation = np.sqrt(w["variance"]) + 1e-6 if dialect == "pj" else np.sqrt(w["variance"] + 1e-5)
    if section == "convolutional":
        plain = np.einsum("nchw,kc->nkhw", x.astype(np.float64), w["kernel"][:, :, 0, 0])
        shape: tuple[int, ...] = (-1, 1, 1)
    else:
        plain, shape = x.reshape(2, -1).astype(np.float64) @ w["kernel"].T, (-1,)
    scaled = (plain - w["mean"].reshape(shape)) / deviation.reshape(shape)
    expected = scaled * w["scale"].reshape(shape) + w["bias"].reshape(shape)
    close(outputs[f"000_{section}"], expected)
    close(kept[f"000_{section}"], expected)


def test_shared_weights(tmp_path: Path) -> None:
    body = "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=linear\n"
    x = noise(1, 3, 6, 6)
    outputs, weights = raw(tmp_path, f"{body}{body}share_index=0\nstride=2\n", x)
    (found,) = outputs.values()
    first = convolve(x, weights[0], 1, 1).astype(np.float32)
    close(found, convolve(first, weights[0], 2, 1))


def test_binary_convolution(tmp_path: Path) -> None:
    x = noise(1, 4, 5, 5)
    body = "[convolutional]\nxnor=1\nfilters=3\nsize=3\npad=1\nactivation=linear\n"
    outputs, weights = raw(tmp_path, body, x)
    kernel = weights[0]["kernel"].astype(np.float64)
    mean = np.abs(kernel).mean(axis=(1, 2, 3), keepdims=True)
    binary = {"kernel": np.where(kernel > 0, mean, -mean).astype(np.float32), "bias": weights[0]["bias"]}
    close(outputs["000_convolutional"], convolve(np.where(x > 0, 1, -1).astype(np.float32), binary, 1, 1))


@pytest.mark.parametrize(("kind", "size", "pad"), [(1, 3, 1), (2, 2, 0)])
def test_antialiasing_blurs_after_the_activation(tmp_path: Path, kind: int, size: int, pad: int) -> None:
    body = "[convolutional]\nfilters=2\nsize=3\npad=1\nstride=2\nactivation=leaky\n"
    x = noise(1, 3, 8, 8)
    sharp = last(tmp_path, body.replace("stride=2", "stride=1"), x).astype(np.float64)
    blur = np.outer((1, 2, 1), (1, 2, 1)) / 16 if kind == 1 else np.full((2, 2), 0.25)
    side = (8 + 2 * pad - size) // 2 + 1
    seen = np.nan_to_num(windows(sharp, size, (2, 2), pad, (side, side)))
    close(last(tmp_path, f"{body}antialiasing={kind}\n", x), np.einsum("nchwij,ij->nchw", seen, blur))


def test_deconvolution(tmp_path: Path) -> None:
    x = noise(1, 3, 4, 4)
    body = "[deconvolutional]\nfilters=2\nsize=4\nstride=2\npadding=1\nactivation=linear\n"
    outputs, weights = raw(tmp_path, body, x, "pj")
    full = np.zeros((1, 2, 10, 10))
    for i in range(4):
        for j in range(4):
            full[0, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum(
                "c,cnij->nij", x[0, :, i, j], weights[0]["kernel"]
            )
    close(outputs["000_deconvolutional"], full[:, :, 1:-1, 1:-1] + weights[0]["bias"].reshape(-1, 1, 1))


def test_local(tmp_path: Path) -> None:
    x = noise(2, 3, 5, 6)
    outputs, weights = raw(tmp_path, "[local]\nfilters=2\nsize=3\nstride=1\npad=1\nactivation=linear\n", x)
    seen = np.nan_to_num(windows(x.astype(np.float64), 3, (1, 1), 1, (5, 6)))
    close(outputs["000_local"], np.einsum("nchwij,hwkcij->nkhw", seen, weights[0]["kernel"]) + weights[0]["bias"])


@pytest.mark.parametrize(
    ("size", "stride", "padding", "side"),
    [(2, 2, None, 7), (2, 1, None, 6), (3, 2, None, 8), (5, 1, None, 6), (3, 2, 1, 7), (3, 2, 0, 8), (13, 1, None, 5)],
)
def test_maxpool_pads_with_minus_infinity(
    tmp_path: Path, size: int, stride: int, padding: int | None, side: int
) -> None:
    total = size - 1 if padding is None else padding
    x = noise(1, 2, side, side) - 5
    given = "" if padding is None else f"padding={padding}\n"
    out = (side + total - size) // stride + 1
    seen = windows(x.astype(np.float64), size, (stride, stride), total // 2, (out, out))
    found = last(tmp_path, f"[maxpool]\nsize={size}\nstride={stride}\n{given}", x)
    close(found, np.nanmax(seen, axis=(4, 5)))


def test_local_avgpool_counts_only_what_is_inside(tmp_path: Path) -> None:
    x = noise(1, 2, 7, 7)
    seen = windows(x.astype(np.float64), 3, (2, 2), 1, (4, 4))
    close(last(tmp_path, "[local_avgpool]\nsize=3\nstride=2\n", x), np.nanmean(seen, axis=(4, 5)))


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_maxpool_over_channels(tmp_path: Path, depth: int) -> None:
    x = noise(1, 6, 2, 2) - 4
    expected = np.stack([x[:, g::depth].max(axis=1) for g in range(depth)], axis=1)
    found = last(tmp_path, f"[maxpool]\nmaxpool_depth=1\nout_channels={depth}\n", x)
    assert np.array_equal(found, expected)


def test_avgpool_and_upsample(tmp_path: Path) -> None:
    x = noise(1, 3, 4, 6)
    close(last(tmp_path, "[avgpool]\n", x), x.astype(np.float64).mean(axis=(2, 3), keepdims=True))
    doubled = x.repeat(2, axis=2).repeat(2, axis=3).astype(np.float64)
    close(last(tmp_path, "[upsample]\nstride=2\nscale=0.5\n", x), doubled / 2)
    summed = x.astype(np.float64).reshape(1, 3, 2, 2, 3, 2).sum(axis=(3, 5))
    close(last(tmp_path, "[upsample]\nstride=-2\n", x), summed)


def scramble(x: Array, w: int, h: int, c: int, stride: int, forward: bool) -> Array:
    """The programs' reorg loop: `w`, `h`, `c` are those that it is called with."""
    flat, out = x.ravel(), np.zeros(x.size, np.float32)
    out_c = c // (stride * stride)
    for k in range(c):
        for j in range(h):
            for i in range(w):
                inner = i + w * (j + h * k)
                c2, offset = k % out_c, k // out_c
                w2, h2 = i * stride + offset % stride, j * stride + offset // stride
                outer = w2 + w * stride * (h2 + h * stride * c2)
                if forward:
                    out[outer] = flat[inner]
                else:
                    out[inner] = flat[outer]
    return out


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["reorg", "reorg3d"])
def test_reorg(tmp_path: Path, kind: str, reverse: bool) -> None:
    c, h, w = 16, 4, 6
    x = noise(1, c, h, w)
    shape = (c // 4, h * 2, w * 2) if reverse else (c * 4, h // 2, w // 2)
    called = (w, h, c) if kind == "reorg" else (shape[2], shape[1], shape[0])
    expected = scramble(x, *called, 2, reverse).reshape(1, *shape)
    found = last(tmp_path, f"[{kind}]\nstride=2\nreverse={int(reverse)}\n", x)
    assert np.array_equal(found, expected)


def test_reorg_of_pj_flattens_and_extends(tmp_path: Path) -> None:
    x = noise(2, 3, 2, 4)
    turned = last(tmp_path, "[reorg]\nflatten=1\n", x, "pj")
    assert np.array_equal(turned.reshape(2, 8, 3), x.reshape(2, 3, 8).transpose(0, 2, 1))
    extended = last(tmp_path, "[reorg]\nextra=5\n", x, "pj")
    assert np.array_equal(extended, np.pad(x.reshape(2, -1), ((0, 0), (0, 5))))


def test_crop_takes_the_centre(tmp_path: Path) -> None:
    x = noise(1, 3, 7, 8)
    middle = x[:, :, 2:5, 1:7].astype(np.float64)
    body = "[crop]\ncrop_height=3\ncrop_width=6\n"
    close(last(tmp_path, body, x), middle * 2 - 1)
    close(last(tmp_path, f"{body}noadjust=1\n", x), middle)


def test_batchnorm_section(tmp_path: Path) -> None:
    x = noise(1, 3, 2, 2)
    outputs, weights = raw(tmp_path, "[batchnorm]\n", x)
    w = {name: value.astype(np.float64).reshape(-1, 1, 1) for name, value in weights[0].items()}
    expected = (x - w["mean"]) / np.sqrt(w["variance"] + 1e-5) * w["scale"] + w["bias"]
    close(outputs["000_batchnorm"], expected)


@pytest.mark.parametrize(("channels", "size"), [(7, 5), (4, 4), (6, 3)])
def test_normalization_slides_its_window_as_the_program_does(tmp_path: Path, channels: int, size: int) -> None:
    x = noise(1, channels, 2, 2)
    square, norms = x.astype(np.float64) ** 2, np.zeros((1, channels, 2, 2))
    norms[:, 0] = 2 + 0.5 * square[:, : size // 2].sum(axis=1)
    for k in range(1, channels):
        norms[:, k] = norms[:, k - 1]
        before, after = k - (size - 1) // 2 - 1, k + size // 2
        norms[:, k] -= 0.5 * square[:, before] if before >= 0 else 0
        norms[:, k] += 0.5 * square[:, after] if after < channels else 0
    found = last(tmp_path, f"[normalization]\nsize={size}\nalpha=0.5\nkappa=2\nbeta=0.75\n", x)
    close(found, x * norms**-0.75)


def test_l2norm(tmp_path: Path) -> None:
    x = noise(1, 3, 2, 2)
    close(last(tmp_path, "[l2norm]\n", x, "pj"), x / np.sqrt((x.astype(np.float64) ** 2).sum(axis=1, keepdims=True)))
