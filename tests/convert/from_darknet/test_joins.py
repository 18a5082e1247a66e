"""Layers that read several others: values, channel counts, strides, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.convert.from_darknet.running import last, noise, raw
from zoo.base.errors import ConversionError
from zoo.convert.from_darknet.joins import normalized

# Layers whose output is a known function of the input, without weights.
HALF = "[upsample]\nstride=1\nscale=0.5\n"
SAME = "[upsample]\nstride=1\nscale=1\n"
SMALL = "[maxpool]\nsize=1\nstride=2\n"
TWICE = "[route]\nlayers=-1,-1\n"


def test_route_takes_the_slice_of_each_input(tmp_path: Path) -> None:
    x = noise(1, 4, 2, 2)
    found = last(tmp_path, f"{SAME}{HALF}[route]\nlayers=0,1\ngroups=2\ngroup_id=1\n", x)
    assert np.array_equal(found, np.concatenate([x[:, 2:], x[:, 2:] / 2], axis=1))


def test_route_of_different_sizes_is_a_vector(tmp_path: Path) -> None:
    x = noise(1, 2, 4, 4)
    found = last(tmp_path, f"{SAME}{SMALL}[route]\nlayers=0,1\n", x)
    assert np.array_equal(found[0], np.concatenate([x.ravel(), x[:, :, ::2, ::2].ravel()]))


def test_shortcut_adds_the_common_channels(tmp_path: Path) -> None:
    x = noise(1, 2, 3, 3)
    fewer = last(tmp_path, f"{SAME}{TWICE}[shortcut]\nfrom=0\n", x)
    assert np.allclose(fewer, np.concatenate([2 * x, x], axis=1))
    wider = last(tmp_path, f"{SAME}{TWICE}[route]\nlayers=0\n[shortcut]\nfrom=1\nactivation=relu\n", x)
    assert np.allclose(wider, np.maximum(2 * x, 0))


def test_shortcut_of_several_layers(tmp_path: Path) -> None:
    x = noise(1, 2, 3, 3)
    found = last(tmp_path, f"{SAME}{HALF}{HALF}[shortcut]\nfrom=0,1\nactivation=leaky\n", x)
    total = x * 1.75
    assert np.allclose(found, np.where(total > 0, total, 0.1 * total), atol=1e-6)


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("how", ["none", "relu", "softmax"])
def test_weighted_shortcut(tmp_path: Path, kind: str, how: str) -> None:
    x = noise(1, 3, 2, 2)
    body = f"{SAME}{HALF}[shortcut]\nfrom=0\nweights_type={kind}\nweights_normalization={how}\n"
    outputs, weights = raw(tmp_path, body, x)
    w = weights[2]["weights"].astype(np.float64)
    if how == "relu":
        w = np.maximum(w, 0.001)
    elif how == "softmax":
        w = np.exp(w - w.max(axis=0))
    w = w if how == "none" else w / (w.sum(axis=0) + 1e-4)
    expected = x / 2 * w[0].reshape(-1, 1, 1) + x * w[1].reshape(-1, 1, 1)
    assert np.allclose(outputs["002_shortcut"], expected, atol=1e-6)


def test_relu_normalisation_never_divides_by_zero() -> None:
    weights = normalized(np.asarray([-1.0, -2.0]), "relu")
    assert np.allclose(weights, 0.001 / 0.0021)


def test_pj_adds_across_strides(tmp_path: Path) -> None:
    x = noise(1, 2, 4, 4)
    down = last(tmp_path, f"{SAME}{SMALL}[shortcut]\nfrom=0\n", x, "pj")
    assert np.allclose(down, 2 * x[:, :, ::2, ::2])
    up = last(tmp_path, f"{SMALL}[upsample]\nstride=2\n[shortcut]\nfrom=0\n", x, "pj")
    small = x[:, :, ::2, ::2]
    expected = small.repeat(2, axis=2).repeat(2, axis=3)
    expected[:, :, ::2, ::2] += small
    assert np.allclose(up, expected)


def test_pj_scales_both_sides(tmp_path: Path) -> None:
    x = noise(1, 2, 2, 2)
    found = last(tmp_path, f"{SAME}{HALF}[shortcut]\nfrom=0\nalpha=3\nbeta=0.25\n", x, "pj")
    assert np.allclose(found, 1.75 * x, atol=1e-6)
    with pytest.raises(ConversionError, match="alpha=3"):
        last(tmp_path, f"{SAME}{TWICE}[shortcut]\nfrom=0\nalpha=3\n", x, "pj")


def test_scale_channels_and_sam(tmp_path: Path) -> None:
    x = noise(1, 3, 4, 4)
    scaled = last(tmp_path, f"{SAME}[avgpool]\n[scale_channels]\nfrom=0\nactivation=relu\n", x)
    assert np.allclose(scaled, np.maximum(x * x.mean(axis=(2, 3), keepdims=True), 0), atol=1e-6)
    gated = last(tmp_path, f"{SAME}{HALF}[sam]\nfrom=0\n", x)
    assert np.allclose(gated, x * x / 2, atol=1e-6)
    places = "[maxpool]\nmaxpool_depth=1\nout_channels=1\n[scale_channels]\nfrom=0\nscale_wh=1\n"
    assert np.allclose(last(tmp_path, f"{SAME}{places}", x), x * x.max(axis=1, keepdims=True), atol=1e-6)


def test_scale_channels_checks_its_shapes(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="expected the layer before to give"):
        last(tmp_path, f"{SAME}{HALF}[scale_channels]\nfrom=0\n", noise(1, 3, 4, 4))
