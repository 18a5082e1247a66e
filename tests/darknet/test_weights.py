"""The weights file: layout of every section, header versions, and files that are not what they should be."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.darknet.toys import HEADER_32, HEADER_64, values_of, write_cfg, write_weights
from zoo.base.errors import ConversionError
from zoo.darknet import read_network, read_weights
from zoo.darknet.weights import tensors_of

CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
FLAT = "[connected]\noutput=5\n"


def layout(tmp_path: Path, body: str, dialect: str = "alexey") -> list[tuple[str, tuple[int, ...]]]:
    """Names and stored shapes of the last layer's tensors, in file order."""
    network = read_network(write_cfg(tmp_path, body, w=4, h=2), dialect=dialect)  # type: ignore[arg-type]
    return [(tensor.name, tensor.stored) for tensor in tensors_of(network.layers[-1], network.dialect)]


NORM = [("bias", (4,)), ("scale", (4,)), ("mean", (4,)), ("variance", (4,))]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (CONV, [*NORM, ("kernel", (4, 3, 3, 3))]),
        ("[convolutional]\nfilters=6\ngroups=3\n", [("bias", (6,)), ("kernel", (6, 1, 1, 1))]),
        (FLAT, [("bias", (5,)), ("kernel", (5, 24))]),
        (f"{FLAT}batch_normalize=1\n", [("bias", (5,)), ("kernel", (5, 24))] + [(n, (5,)) for n, _ in NORM[1:]]),
        ("[local]\nfilters=2\nsize=1\n", [("bias", (2, 2, 4)), ("kernel", (2, 4, 2, 3, 1, 1))]),
        ("[batchnorm]\n", [(name, (3,)) for name, _ in NORM]),
        (f"{CONV}{CONV}[shortcut]\nfrom=0\nweights_type=per_feature\n", [("weights", (2,))]),
        (f"{CONV}{CONV}[shortcut]\nfrom=0\nweights_type=per_channel\n", [("weights", (2, 4))]),
        (f"{CONV}{CONV}[shortcut]\nfrom=0\n", []),
        ("[implicit]\nfilters=7\natoms=2\n", [("weights", (7, 2))]),
        ("[maxpool]\n", []),
    ],
)
def test_layout_of_a_layer(tmp_path: Path, body: str, expected: list[tuple[str, tuple[int, ...]]]) -> None:
    assert layout(tmp_path, body) == expected


def test_recurrent_order_differs_between_the_programs(tmp_path: Path) -> None:
    order = {d: [n.split(".")[0] for n, _ in layout(tmp_path, "[gru]\noutput=2\n", d)][::2] for d in ("alexey", "pj")}
    assert order == {"alexey": ["iz", "ir", "ih", "sz", "sr", "sh"], "pj": ["sz", "sr", "sh", "iz", "ir", "ih"]}
    order = {d: [n.split(".")[0] for n, _ in layout(tmp_path, "[lstm]\noutput=2\n", d)][::2] for d in ("alexey", "pj")}
    assert order["alexey"] == ["wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo"]
    assert order["pj"] == ["wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug"]


def test_pj_has_no_bias_in_batchnorm(tmp_path: Path) -> None:
    assert [name for name, _ in layout(tmp_path, "[batchnorm]\n", "pj")] == ["scale", "mean", "variance"]


def test_pj_rnn_takes_hidden_from_output(tmp_path: Path) -> None:
    shapes = dict(layout(tmp_path, "[rnn]\noutput=6\nhidden=3\n", "pj"))
    assert (shapes["input.kernel"], shapes["self.kernel"]) == ((6, 24), (6, 6))
    assert dict(layout(tmp_path, "[rnn]\noutput=6\nhidden=3\n"))["output.kernel"] == (6, 3)


def test_the_views_are_the_file(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, f"{CONV}{FLAT}")
    path = write_weights(cfg)
    network = read_network(cfg)
    weights = read_weights(path, network)
    flat = values_of(network)
    assert np.array_equal(weights[0]["bias"], flat[:4])
    assert np.array_equal(weights[0]["kernel"].ravel(), flat[16 : 16 + 108])
    assert np.array_equal(weights[1]["kernel"].ravel(), flat[-5 * 256 :])
    assert not weights[0]["kernel"].flags.writeable
    assert weights[0]["kernel"].base is not None
    assert (weights.header.seen, weights.header.size) == (6400, 20)


def test_shared_layers_have_the_arrays_of_their_owner(tmp_path: Path) -> None:
    share = "[convolutional]\nfilters=4\nsize=3\npad=1\nshare_index=1\nactivation=relu\n"
    cfg = write_cfg(tmp_path, f"{CONV}{CONV}{share}")
    weights = read_weights(write_weights(cfg), read_network(cfg))
    assert weights[2] is weights[1]


@pytest.mark.parametrize(
    ("version", "dialect", "size"),
    [
        ((0, 1, 0), "alexey", 16),
        ((0, 2, 0), "pj", 20),
        ((0, 2, 5), "alexey", 20),
        ((1, 0, 0), "alexey", 20),
        ((1001, 0, 0), "alexey", 20),
        ((1001, 0, 0), "pj", 16),
    ],
)
def test_header_versions(tmp_path: Path, version: tuple[int, int, int], dialect: str, size: int) -> None:
    cfg = write_cfg(tmp_path, FLAT)
    seen = struct.pack("<Q" if size == 20 else "<I", 77)
    path = write_weights(cfg, dialect=dialect, header=struct.pack("<iii", *version) + seen)
    weights = read_weights(path, read_network(cfg, dialect=dialect))  # type: ignore[arg-type]
    assert (weights.header.size, weights.header.seen) == (size, 77)
    assert weights.header.transposed == (version[0] > 1000)


def test_the_transpose_flag_turns_connected_weights(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, FLAT)
    network = read_network(cfg)
    path = write_weights(cfg, header=struct.pack("<iiiQ", 1001, 0, 0, 0))
    stored = values_of(network)[5:].reshape(192, 5)
    assert np.array_equal(read_weights(path, network)[0]["kernel"], stored.T)


def test_flipped_turns_a_kernel(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, "[convolutional]\nfilters=2\nsize=3\npad=1\nflipped=1\n")
    network = read_network(cfg)
    kernel = read_weights(write_weights(cfg), network)[0]["kernel"]
    assert np.array_equal(kernel, values_of(network)[2:].reshape(3, 3, 3, 2).transpose(3, 0, 1, 2))


def refusal(path: Path, cfg: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ConversionError) as caught:
        read_weights(path, read_network(cfg))
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_lengths_that_do_not_fit(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, f"{CONV}{CONV}[maxpool]\n{CONV}")
    path = write_weights(cfg)
    whole = path.read_bytes()
    layer = 4 * (16 + 144)
    short = refusal(path, cfg, whole[:-4])
    assert "ends in layer 3 [convolutional] (toy.cfg:18), 4 bytes before the end of its kernel" in short
    assert f"toy.cfg needs {len(whole)} bytes, found {len(whole) - 4}" in short
    assert "4 bytes after the weights of the last layer" in refusal(path, cfg, whole + bytes(4))
    assert "1 bytes after" in refusal(path, cfg, whole + b"x")
    partial = refusal(path, cfg, whole[:-layer])
    assert "holds the first 3 layers only, and ends before layer 3" in partial
    assert "ask for the first 3 layers" in partial
    assert "ends in layer 0 [convolutional]" in refusal(path, cfg, whole[:40])


def test_a_partial_file_fits_the_first_layers(tmp_path: Path) -> None:
    cfg = write_cfg(tmp_path, f"{CONV}{CONV}{CONV}")
    path = write_weights(cfg)
    path.write_bytes(path.read_bytes()[: -4 * (16 + 144)])
    assert len(read_weights(path, read_network(cfg).upto(2)).layers) == 2


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "found an empty file"),
        (b"\0" * 10, "expected a header"),
        (b"<!DOCTYPE html>\n<html></html>", "found an HTML page"),
        (b"\n  <HTML><body>quota exceeded", "found an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "found a git-lfs pointer"),
        (b"PK\x03\x04" + bytes(40), "found a zip archive"),
        (b"\x1f\x8b" + bytes(40), "found a gzip archive"),
        (b"[net]\nwidth=3\nheight=4\n", "found a Darknet cfg"),
        (b"\x08\x08\x12\x07pytorch" + bytes(40), "expected Darknet weights of version"),
        (HEADER_64, "holds the first 0 layers only"),
        (HEADER_32, "holds the first 0 layers only"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes, what: str) -> None:
    assert what in refusal(tmp_path / "w.weights", write_cfg(tmp_path, CONV), content)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot read the weights"):
        read_weights(tmp_path / "absent", read_network(write_cfg(tmp_path, CONV)))
