"""Sections as typed layers: shapes, defaults, indices, dialects, and the errors for everything else."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from tests.darknet.toys import write_cfg
from zoo.base.errors import ConversionError, UsageError
from zoo.darknet import Network, read_network
from zoo.darknet.layers import Convolutional, Detection, Pool, Region, Route, Shortcut, Yolo
from zoo.darknet.network import SECTIONS
from zoo.darknet.sections_net import NET

CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
CONV18 = "[convolutional]\nfilters=18\nsize=1\nactivation=linear\n"


def read(tmp_path: Path, body: str, dialect: str = "auto", **size: int) -> Network:
    return read_network(write_cfg(tmp_path, body, **size), dialect=dialect)  # type: ignore[arg-type]


def fails(tmp_path: Path, body: str, dialect: str = "auto", **size: int) -> str:
    with pytest.raises(ConversionError) as caught:
        read(tmp_path, body, dialect, **size)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_convolution_with_defaults(tmp_path: Path) -> None:
    layer = read(tmp_path, "[convolutional]\n").layers[0]
    assert isinstance(layer, Convolutional)
    assert (layer.filters, layer.size, layer.stride_x, layer.padding, layer.activation) == (1, 1, 1, 0, "logistic")
    assert (layer.input_shape, layer.output_shape, layer.line) == ((3, 8, 8), (1, 8, 8), 5)


def test_pad_means_half_the_size_and_beats_padding(tmp_path: Path) -> None:
    layer = read(tmp_path, "[convolutional]\nsize=4\npad=1\npadding=9\n").layers[0]
    assert isinstance(layer, Convolutional)
    assert layer.padding == 2
    assert layer.output_shape == (1, 9, 9)


@pytest.mark.parametrize(
    ("options", "side", "expected"),
    [("size=2\nstride=2\n", 7, 4), ("size=2\nstride=1\n", 7, 7), ("size=3\nstride=2\npadding=1\n", 7, 3), ("", 7, 7)],
)
def test_maxpool_sizes(tmp_path: Path, options: str, side: int, expected: int) -> None:
    layer = read(tmp_path, f"[maxpool]\n{options}", w=side, h=side).layers[0]
    assert isinstance(layer, Pool)
    assert layer.output_shape == (3, expected, expected)


def test_route_and_shortcut_indices_are_resolved(tmp_path: Path) -> None:
    network = read(tmp_path, f"{CONV}{CONV}[shortcut]\nfrom=-2\n[route]\nlayers=-1, 0\n")
    shortcut, route = network.layers[2:]
    assert isinstance(shortcut, Shortcut)
    assert isinstance(route, Route)
    assert (shortcut.sources, route.sources, route.output_shape) == ((1, 0), (2, 0), (8, 8, 8))


def test_route_groups_slice_every_input(tmp_path: Path) -> None:
    route = read(tmp_path, f"{CONV}{CONV}[route]\nlayers=-1,-2\ngroups=2\ngroup_id=1\n").layers[2]
    assert route.output_shape == (4, 8, 8)


def test_yolo_takes_the_anchors_of_its_mask(tmp_path: Path) -> None:
    body = f"{CONV18}[yolo]\nmask=2,0,1\nanchors=1,2, 3,4, 5,6\nclasses=1\nnum=3\n"
    head = read(tmp_path, body).layers[1]
    assert isinstance(head, Yolo)
    assert head.anchors == ((5, 6), (1, 2), (3, 4))


def test_what_darknet_reads_beyond_its_anchor_table_is_a_warning(tmp_path: Path) -> None:
    body = f"{CONV18}[yolo]\nmask=1,2,3\nanchors=1,2, 3,4, 5,6, 7,8\nclasses=1\nnum=3\n"
    network = read(tmp_path, body)
    assert isinstance(network.layers[1], Yolo)
    assert list(network.layers[1].anchors[-1]) == [7, 8]
    assert "uses anchor 3, but num=3" in network.warnings[0]


def test_missing_anchor_numbers_are_a_half(tmp_path: Path) -> None:
    network = read(tmp_path, f"{CONV18}[yolo]\nanchors=1,2, 3,4, 5\nclasses=1\nnum=3\n")
    assert isinstance(network.layers[1], Yolo)
    assert list(network.layers[1].anchors[-1]) == [5, 0.5]
    assert network.warnings


def test_region_and_detection_heads(tmp_path: Path) -> None:
    region = read(tmp_path, f"{CONV18}[region]\nclasses=1\nnum=3\nanchors=1,2,3,4,5,6\nsoftmax=1\n").layers[1]
    assert isinstance(region, Region)
    assert region.softmax
    body = "[connected]\noutput=44\nactivation=linear\n[detection]\nclasses=1\ncoords=4\nnum=2\nside=2\nsqrt=1\n"
    detection = read(tmp_path, body).layers[1]
    assert isinstance(detection, Detection)
    assert (detection.side, detection.num, detection.sqrt, detection.flat) == (2, 2, True, True)


def test_width_and_height_override_the_cfg(tmp_path: Path) -> None:
    path = write_cfg(tmp_path, CONV)
    network = read_network(path, width=16, height=24, batch=5)
    assert (network.net.width, network.net.height, network.net.batch) == (16, 24, 5)
    assert network.layers[0].output_shape == (4, 24, 16)


def test_upto_keeps_the_first_layers(tmp_path: Path) -> None:
    network = read(tmp_path, f"{CONV}{CONV}[avgpool]\n")
    assert len(network.upto(2).layers) == 2
    with pytest.raises(UsageError, match="from 1 to 3, found 4"):
        network.upto(4)


# body, dialect chosen by auto, a word of the reason
GUESSES = [
    (CONV, "alexey", "nothing"),
    (CONV.replace("leaky", "mish"), "alexey", "activation=mish"),
    (f"{CONV}[reorg3d]\nstride=2\n", "alexey", "[reorg3d]"),
    (f"{CONV}[logistic]\n", "pj", "[logistic]"),
    (f"{CONV18}[yolo]\nclasses=1\nnum=3\niou_loss=ciou\n", "alexey", "iou_loss"),
    (f"{CONV}[maxpool]\nstride=2\n{CONV}[shortcut]\nfrom=0\n", "pj", "only pjreddie/darknet can run it"),
]


@pytest.mark.parametrize(("body", "dialect", "reason"), GUESSES)
def test_the_dialect_is_guessed_from_the_cfg(tmp_path: Path, body: str, dialect: str, reason: str) -> None:
    network = read(tmp_path, body)
    assert network.dialect == dialect
    assert reason in network.reason


def test_the_dialect_is_guessed_from_the_header_of_the_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w"
    weights.write_bytes(b"\0\0\0\0\2\0\0\0\0\0\0\0" + bytes(8))
    network = read_network(write_cfg(tmp_path, CONV), weights=weights)
    assert (network.dialect, network.resize) == ("pj", "letterbox")


def test_the_dialect_decides_what_exists(tmp_path: Path) -> None:
    assert "pjreddie/darknet has no activation 'mish'" in fails(tmp_path, CONV.replace("leaky", "mish"), "pj")
    assert "has no section [sam]" in fails(tmp_path, f"{CONV}[sam]\nfrom=0\n", "pj")
    message = fails(tmp_path, f"{CONV}[route]\nlayers=0\ngroups=2\n", "pj")
    assert "pjreddie/darknet has no such key" in message
    assert "use dialect alexey" in message


# body of the cfg (its [net] ends on line 4), what the message must contain
REFUSED = [
    ("[convolutionel]\n", ["toy.cfg:5", "unknown section [convolutionel]", "did you mean 'convolutional'?"]),
    ("[convolutional]\nfilter=3\n", ["toy.cfg:6", "unknown key 'filter'", "did you mean 'filters'?"]),
    ("[convolutional]\nactivation=lekay\n", ["toy.cfg:6", "unknown activation 'lekay'", "did you mean 'leaky'?"]),
    ("[convolutional]\nfilters=many\n", ["toy.cfg:6", "expected an integer of at least 1, found 'many'"]),
    ("[convolutional]\nfilters=-4\n", ["toy.cfg:6", "expected an integer of at least 1"]),
    ("[convolutional]\nfilters=0\n", ["expected an integer of at least 1"]),
    ("[convolutional]\nstride=0\n", ["expected an integer of at least 1"]),
    ("[convolutional]\nsize=11\n", ["expected an input of at least 11 cells a side, found 8"]),
    ("[convolutional]\nfilters=4\ngroups=2\n", ["groups=2: expected a divisor of 3 channels"]),
    ("[convolutional]\nsway=1\n", ["sway=1: not supported", "deformed"]),
    ("[convolutional]\ndontload=1\n", ["dontload=1: not supported", "random weights"]),
    ("[convolutional]\nshare_index=5\n", ["share_index=5: expected a layer before this one"]),
    ("[convolutional]\nsize=99999999\npadding=99999999\n", ["size=99999999: expected at most"]),
    ("[convolutional]\nfilters=2147483647\n", ["expected at most 2147483647 weights"]),
    ("[route]\nlayers=-1\n", ["expected a layer before this one"]),
    (f"{CONV}[route]\nlayers=1\n", ["layers=1: expected a layer before this one (0 to 0), found layer 1"]),
    (f"{CONV}[route]\n", ["expected layers=…"]),
    (f"{CONV}[route]\nlayers=0,x\n", ["integers separated by commas, found"]),
    (f"{CONV}[route]\nlayers=0\ngroups=3\n", ["expected a divisor of the 4 channels"]),
    (f"{CONV}[shortcut]\nfrom=-3\n", ["from=-3: expected a layer before this one"]),
    (f"{CONV18}[yolo]\nclasses=2\nnum=3\n", ["layer 1 [yolo]: expected 21 channels", "set filters=21"]),
    (f"{CONV18}[yolo]\nclasses=1\nnum=3\nmask=0,1,7\n", ["mask: expected anchors from 0 to 2, found [7]"]),
    (f"{CONV18}[yolo]\nclasses=1\nnum=3\nnms_kind=soft\n", ["expected one of default, greedynms, diounms"]),
    (f"{CONV18}[region]\nclasses=1\nnum=3\ntree=absent.tree\n", ["tree=absent.tree: no such file"]),
    ("[softmax]\ngroups=7\n", ["groups=7: expected a divisor of the 192 inputs"]),
    ("[softmax]\ntemperature=0\n", ["expected more than 0"]),
    ("[softmax]\n[convolutional]\n", ["expected an image (channels × height × width), found a vector of 192"]),
    ("[upsample]\nstride=2000000000\n", ["stride=2000000000: expected 1 to"]),
    ("[upsample]\nstride=4000\n" * 6, ["expected an output of at most 2147483647 values"]),
    ("[maxpool]\nsize=3\npadding=9\n", ["expected windows that all touch the input"]),
    ("[crop]\ncrop_height=9\ncrop_width=2\n", ["expected at most the input's 8×8"]),
    ("[reorg]\nstride=3\n", ["stride=3: expected a divisor"]),
    ("[history]\n", ["[history] is not supported"]),
    ("[conv_lstm]\noutput=2\nbottleneck=1\n", ["bottleneck=1: not supported"]),
    (f"{CONV}[cost]\n{CONV}", ["expected nothing after [cost]"]),
    ("[dropout]\n", ["expected a layer before this one"]),
]


@pytest.mark.parametrize(("body", "parts"), REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name(tmp_path: Path, body: str, parts: list[str]) -> None:
    message = fails(tmp_path, body, "alexey")
    for part in ["toy.cfg:", *parts]:
        assert part in message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[convolutional]\n", "expected [net] as the first section, found [convolutional]"),
        ("[net]\nwidth=8\nheight=8\nchannels=3\n", "expected layers after [net], found none"),
        ("[net]\nwidth=8\n[avgpool]\n", "expected width, height and channels (or inputs)"),
        ("[net]\nwidth=99999999\nheight=8\nchannels=3\n[avgpool]\n", "expected at most 32768"),
        ("[net]\nwidth=-8\nheight=8\nchannels=3\n[avgpool]\n", "expected an integer of at least 0"),
        ("[net]\nwidht=8\n[avgpool]\n", "did you mean 'width'?"),
        ("[net]\nwidth=8\nheight=8\nchannels=3\n" + "[avgpool]\n" * 10_001, "expected at most 10000 layers"),
    ],
)
def test_a_net_section_that_makes_no_network(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "x.cfg"
    path.write_text(text)
    with pytest.raises(ConversionError) as caught:
        read_network(path)
    assert part in str(caught.value)


def test_training_keys_are_accepted_in_silence(tmp_path: Path) -> None:
    spec = next(spec for spec in SECTIONS if spec.name == "yolo")
    keys = "".join(f"{key}=1\n" for key in (*spec.training, *spec.training_alexey, *spec.unread, "stopbackward"))
    assert not read(tmp_path, f"{CONV18}[yolo]\nclasses=1\nnum=3\nanchors=1,1,1,1,1,1\n{keys}").warnings


def test_the_tables_do_not_contradict_themselves() -> None:
    for spec in (NET, *SECTIONS):
        both = {key.name for key in spec.keys} & spec.ignored
        assert both <= {"classfix"}, (spec.name, both)
        assert (spec.build is None) == bool(spec.why_not) or spec is NET


def test_hostile_cfgs_are_refused_at_once(tmp_path: Path) -> None:
    started = time.perf_counter()
    fails(tmp_path, "[route]\nlayers=" + ",".join(["0"] * 200_000) + "\n")
    fails(tmp_path, f"{CONV}[route]\nlayers=" + ",".join(["0"] * 200_000) + "\n")
    fails(tmp_path, f"{CONV18}[yolo]\nnum=2000000000\nclasses=1\n")
    assert time.perf_counter() - started < 3  # milliseconds; generous on a busy machine


def test_layers_are_frozen(tmp_path: Path) -> None:
    layer = read(tmp_path, CONV).layers[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.index = 3  # type: ignore[misc]
