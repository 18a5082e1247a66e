"""The interpreter as a whole: names of heads, batches, states, types, and what it lets go of."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.verify.reference.small import normal, small
from zoo.base.errors import VerificationError
from zoo.darknet import Layer, layers
from zoo.verify.reference.darknet import interpret
from zoo.verify.reference.rules import RULES

Array = NDArray[np.floating[Any]]

NET = "[net]\nwidth=8\nheight=6\nchannels=3\n"
CONVOLUTION = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation={}\nbatch_normalize=1\n"
DETECTOR = (
    NET
    + CONVOLUTION.format("leaky")
    + "[maxpool]\nsize=2\nstride=2\n"
    + CONVOLUTION.format("mish")
    + "[shortcut]\nfrom=-2\nactivation=swish\n"
    + "[route]\nlayers=-1,-3\ngroups=2\ngroup_id=1\n"
    + "[convolutional]\nfilters=14\nactivation=linear\n"
    + "[yolo]\nclasses=2\nmask=0,1\nanchors=1,2,3,4\nnum=2\n"
    + "[route]\nlayers=2\n[upsample]\n[convolutional]\nfilters=7\nactivation=linear\n"
    + "[yolo]\nclasses=2\nmask=0\nanchors=1,2\nnum=1\n"
)
# Every layer that a head reads through, so that a fault in how one is called would show.
MIXED = (
    NET
    + "[crop]\ncrop_height=4\ncrop_width=8\n"
    + CONVOLUTION.format("leaky") * 2
    + "[convolutional]\nfilters=4\nshare_index=2\nsize=3\npad=1\n"
    + "[batchnorm]\n[normalization]\n[activation]\nactivation=elu\n[dropout]\n"
    + "[convolutional]\nfilters=4\nsize=3\npad=1\nantialiasing=1\nstride=2\nactivation=relu\n"
    + "[activation]\nactivation=linear\n[avgpool]\n[scale_channels]\nfrom=-2\n[sam]\nfrom=-1\n"
    + "[local_avgpool]\nsize=2\nstride=1\n[reorg3d]\nstride=2\n[upsample]\nstride=-1\nscale=2\n[reorg]\nstride=1\n"
    + "[local]\nfilters=2\nsize=1\n[shortcut]\nfrom=-1\nweights_type=per_channel\nweights_normalization=softmax\n"
    + "[convolutional]\nfilters=4\nxnor=1\nactivation=linear\n"
    + "[connected]\noutput=6\nactivation=tanh\nbatch_normalize=1\n[softmax]\ngroups=2\n[cost]\n"
)
RECURRENT = (
    "[net]\ninputs=5\n[rnn]\noutput=4\nhidden=3\n[gru]\noutput=3\n[lstm]\noutput=4\nbatch_normalize=1\n"
    "[connected]\noutput=2\nactivation=linear\n[softmax]\n"
)
CONVOLVED = (
    NET
    + "[crnn]\nsize=3\npad=1\noutput=4\nhidden=2\nbatch_normalize=1\nactivation=leaky\n"
    + "[conv_lstm]\nsize=3\npad=1\noutput=2\npeephole=1\n"
)


def pictures(count: int) -> Array:
    return np.random.default_rng(8).uniform(0, 1, (count, 3, 6, 8))


def test_every_layer_of_the_language_has_a_rule() -> None:
    bases = {layers.Layer, layers.Head}
    kinds = {kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, layers.Layer)}
    assert set(RULES) == kinds - bases


def test_heads_by_name_and_shape(tmp_path: Path) -> None:
    heads = interpret(*small(tmp_path, DETECTOR), pictures(2))
    assert {name: head.shape for name, head in heads.items()} == {
        "006_yolo": (2, 14, 3, 4),
        "010_yolo": (2, 7, 6, 8),
    }
    assert {head.dtype for head in heads.values()} == {np.dtype(np.float64)}


def test_without_a_head_the_last_layer_that_computes_is_the_output(tmp_path: Path) -> None:
    network = NET + CONVOLUTION.format("leaky") + "[avgpool]\n[dropout]\n[cost]\n"
    heads = interpret(*small(tmp_path, network), pictures(1))
    assert {name: head.shape for name, head in heads.items()} == {"001_avgpool": (1, 4, 1, 1)}


@pytest.mark.parametrize("sections", [DETECTOR, MIXED, CONVOLVED])
def test_a_batch_is_that_many_single_runs(tmp_path: Path, sections: str) -> None:
    model = small(tmp_path, sections)
    together = interpret(*model, pictures(3))
    for index, picture in enumerate(pictures(3)):
        for name, head in interpret(*model, picture[None]).items():
            assert together[name][index] == pytest.approx(head[0], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("sections", [DETECTOR, MIXED, CONVOLVED])
def test_float32_stays_float32_and_near(tmp_path: Path, sections: str) -> None:
    model = small(tmp_path, sections)
    seen: list[np.dtype[Any]] = []
    heads = interpret(*model, pictures(2), dtype=np.float32, watch=lambda layer, output: seen.append(output.dtype))
    assert set(seen) == {np.dtype(np.float32)}
    for name, exact in interpret(*model, pictures(2)).items():
        assert heads[name] == pytest.approx(exact, rel=1e-4, abs=1e-4)


def test_a_layer_that_shares_weights_has_those_of_the_other(tmp_path: Path) -> None:
    convolution = "[convolutional]\nfilters=3\nsize=3\npad=1\nactivation=linear\nbatch_normalize=1\n"
    seen: list[Array] = []
    model = small(tmp_path, NET + convolution + "[route]\nlayers=0\n" + f"{convolution}share_index=0\n")
    interpret(*model, pictures(1), watch=lambda layer, output: seen.append(output))
    again = interpret(*small(tmp_path, NET + convolution), seen[0])
    assert seen[2] == pytest.approx(again["000_convolutional"])


@pytest.mark.parametrize("sections", [RECURRENT, CONVOLVED])
def test_the_state_lives_in_what_the_caller_keeps(tmp_path: Path, sections: str) -> None:
    """A second step differs from the first, and a new state begins anew."""
    model = small(tmp_path, sections)
    shape = (2, 5) if sections == RECURRENT else (2, 3, 6, 8)
    x = normal(np.random.default_rng(9), *shape)
    state: dict[str, Array] = {}
    (first,) = interpret(*model, x, state=state).values()
    (second,) = interpret(*model, x, state=state).values()
    (fresh,) = interpret(*model, x, state={}).values()
    (none,) = interpret(*model, x).values()
    assert np.abs(second - first).max() > 1e-4
    assert (fresh == first).all()
    assert (none == first).all()


def test_names_of_the_states(tmp_path: Path) -> None:
    state: dict[str, Array] = {}
    interpret(*small(tmp_path, RECURRENT), np.zeros((2, 5)), state=state)
    assert {name: array.shape for name, array in state.items()} == {
        "000_rnn_state": (2, 3),
        "001_gru_state": (2, 3),
        "002_lstm_hidden": (2, 4),
        "002_lstm_cell": (2, 4),
    }


def test_watch_sees_every_layer_in_order_and_old_outputs_are_let_go(tmp_path: Path) -> None:
    seen: list[int] = []
    alive: dict[int, weakref.ref[Any]] = {}
    most = 0

    def watch(layer: Layer, output: Array) -> None:
        nonlocal most
        seen.append(layer.index)
        alive[layer.index] = weakref.ref(output)
        most = max(most, sum(reference() is not None for reference in alive.values()))

    network, weights = small(tmp_path, NET + CONVOLUTION.format("leaky") * 12)
    interpret(network, weights, pictures(1), watch=watch)
    assert seen == list(range(12))
    assert most <= 3


def test_pictures_of_another_shape_are_refused(tmp_path: Path) -> None:
    model = small(tmp_path, DETECTOR)
    for wrong in (np.zeros((1, 3, 8, 6)), np.zeros((3, 6, 8)), np.zeros((0, 3, 6, 8))):
        with pytest.raises(VerificationError, match=r"expected images of shape \(N, 3, 6, 8\)"):
            interpret(*model, wrong)
