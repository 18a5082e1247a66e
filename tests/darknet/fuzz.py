"""Mutated cfgs and weights: only our errors, quickly, in little memory, and nothing accepted that is inconsistent.

The suite runs a few hundred (test_fuzz.py). The long run:

    python -m tests.darknet.fuzz --cfgs 1000000 --weights 10000 --seed 1

A failure prints the seed of its case; `--seed S --only N` repeats case N.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx

from tests.darknet.toys import HEADER_32, HEADER_64, values_of
from zoo.base.errors import ConversionError, UsageError
from zoo.convert.from_darknet import DarknetOptions
from zoo.convert.from_darknet.model import build
from zoo.darknet import Network, Weights, read_network, read_weights
from zoo.darknet.activations import ACTIVATIONS
from zoo.darknet.cfg import INT_LIMIT
from zoo.darknet.layers import size_of
from zoo.darknet.network import SECTIONS
from zoo.darknet.sections_net import NET
from zoo.darknet.weights import Header, tensors_of

SLOW = 1.0  # seconds of a core for one file
NET_TEXT = "[net]\nwidth=16\nheight=16\nchannels=3\n"
CONV = "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nbatch_normalize=1\nactivation=leaky\n"
SEEDS = [
    NET_TEXT + CONV + "[maxpool]\nsize=2\nstride=2\n" + CONV + "[upsample]\nstride=2\n[route]\nlayers=-1,0\n"
    "[convolutional]\nsize=1\nfilters=21\nactivation=linear\n[yolo]\nmask=0,1,2\nclasses=2\nnum=3\n"
    "anchors=1,2, 3,4, 5,6\nscale_x_y=1.05\nnms_kind=greedynms\n",
    NET_TEXT + CONV + CONV + "[shortcut]\nfrom=-2\nactivation=mish\n[avgpool]\n[dropout]\nprobability=.5\n"
    "[connected]\noutput=6\nactivation=relu\n[softmax]\ngroups=2\ntemperature=2\n[cost]\ntype=sse\n",
    NET_TEXT + CONV + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n[sam]\nfrom=-1\n[reorg3d]\nstride=2\n"
    "[local_avgpool]\nsize=2\nstride=2\n[crop]\ncrop_width=2\ncrop_height=2\n[batchnorm]\n",
    NET_TEXT + CONV + "[reorg]\nstride=2\n[convolutional]\nfilters=35\nactivation=linear\n[region]\nanchors=1,1,2,2\n"
    "classes=2\nnum=5\nsoftmax=1\n",
    NET_TEXT + CONV + "[local]\nsize=3\nfilters=2\npad=1\nactivation=ramp\n[connected]\noutput=96\n"
    "[detection]\nclasses=4\ncoords=4\nside=2\nnum=4\nsqrt=1\n",
    "[net]\ninputs=8\n[rnn]\noutput=4\nhidden=3\n[gru]\noutput=4\n[lstm]\noutput=5\nbatch_normalize=1\n[softmax]\n",
    NET_TEXT + "[crnn]\noutput=4\nhidden=2\nsize=3\npad=1\n[conv_lstm]\noutput=2\npad=1\npeephole=1\n"
    "[implicit]\nfilters=2\natoms=3\n",
    NET_TEXT + "[deconvolutional]\nfilters=2\nsize=2\nstride=2\n[normalization]\n[l2norm]\n[logistic]\n",
]
NUMBERS = (
    *("0", "1", "2", "3", "5", "-1", "-2", "-9", "7", "16", "64", "255", "1000", "99999999"),
    *("2147483647", "2147483648", "-2147483648", "0.5", "1e9", "1e99", "nan", "x", "1,2", "3#x"),
)
WORDS = sorted(
    {name for spec in (NET, *SECTIONS) for name in (*spec.by_name, *spec.ignored)}
    | {f"[{name}]" for spec in SECTIONS for name in (spec.name, *spec.aliases)}
    | set(ACTIVATIONS)
)


def mutate(chance: random.Random) -> bytes:
    """A cfg with one to six changes of lines, numbers, words or bytes."""
    lines = chance.choice(SEEDS).splitlines()
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(lines)) if lines else 0
        match chance.randrange(9):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines[at:at] = [lines[at]] if lines else []
            case 2:
                lines[at : at + 1] = [lines[at].partition("=")[0] + "=" + chance.choice(NUMBERS)] if lines else []
            case 3:
                lines[at:at] = [f"{chance.choice(WORDS)}={chance.choice(NUMBERS)}"]
            case 4:
                lines[at:at] = [chance.choice(WORDS)]
            case 5:
                lines += chance.choice(SEEDS).splitlines()[chance.randrange(8) :]
            case 6:
                lines.reverse()
            case 7:
                lines = lines[: at + 1]
            case _:
                lines[at:at] = [f"{chance.choice(WORDS)}={chance.choice(WORDS)}"]
    content = bytearray("\n".join(lines).encode())
    for _ in range(chance.choice((0, 0, 0, 0, 0, 1, 3))):
        if content:
            content[chance.randrange(len(content))] = chance.randrange(256)
    return bytes(content)


def try_cfg(path: Path, content: bytes, deep: bool) -> str:
    """Read one cfg; "accepted" or "refused". Raises AssertionError (or whatever escaped) for a fault of ours."""
    path.write_bytes(content)
    started = time.process_time()
    try:
        network = read_network(path)
        _assert_consistent(network)
        if deep:
            _build(network)
        outcome = "accepted"
    except ConversionError as error:
        assert path.name in error.message, error.message
        outcome = "refused"
    took = time.process_time() - started
    assert took < SLOW, f"{took:.2f} s"
    return outcome


def _assert_consistent(network: Network) -> None:
    """What any accepted network must satisfy."""
    assert network.layers
    for number, layer in enumerate(network.layers):
        assert layer.index == number
        assert all(-1 <= source < number for source in layer.sources)
        assert min(layer.output_shape) >= 1
        assert size_of(layer.output_shape) <= INT_LIMIT
        assert all(tensor.size > 0 for tensor in tensors_of(layer, network.dialect))


def _build(network: Network) -> None:
    """Convert a small network, with zeros for weights, and let ONNX's checker look at it."""
    tensors = [tensors_of(layer, network.dialect) for layer in network.layers]
    if sum(tensor.size for row in tensors for tensor in row) > 1 << 20 or network.net.inputs > 1 << 16:
        return
    zero = np.zeros(1, np.float32)
    views = tuple({tensor.name: np.broadcast_to(zero, tensor.stored) for tensor in row} for row in tensors)
    views = tuple(views[getattr(layer, "share", None) or index] for index, layer in enumerate(network.layers))
    weights = Weights(network.path, Header(0, 2, 5, 0, 20, False), views)
    try:
        model = build(network, weights, DarknetOptions(heads="decoded" if network.heads else "raw"))
    except UsageError as error:
        raise AssertionError(error) from error
    onnx.checker.check_model(model.outline(), full_check=True)


def try_weights(path: Path, network: Network, content: bytes, chance: random.Random) -> str:
    """Damage a good weights file and read it: it is refused exactly where its length or header is wrong."""
    damaged = bytearray(content)
    match chance.randrange(4):
        case 0:
            del damaged[chance.randrange(len(damaged)) :]
        case 1:
            damaged += chance.randbytes(chance.randint(1, 4000))
        case 2:
            start = chance.randrange(len(damaged))
            del damaged[start : start + chance.randint(1, 64)]
        case _:
            for _ in range(chance.randint(1, 20)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    path.write_bytes(damaged)
    started = time.process_time()
    try:
        weights = read_weights(path, network)
        floats = len(damaged) - weights.header.size
        assert floats == len(content) - 20, "a file of the wrong length was accepted"
        outcome = "accepted"
    except ConversionError as error:
        assert path.name in error.message, error.message
        outcome = "refused"
    assert time.process_time() - started < SLOW
    return outcome


def fuzz_cfgs(folder: Path, seed: int, cases: range, every: int = 40) -> Counter[str]:
    """Run `cases`; each `every`-th accepted cfg is converted as well."""
    outcomes: Counter[str] = Counter()
    for case in cases:
        chance = random.Random(f"{seed}/{case}")
        content = mutate(chance)
        try:
            outcomes[try_cfg(folder / "fuzz.cfg", content, deep=case % every == 0)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, case {case}: {error!r}\n{content!r}") from error
    return outcomes


def fuzz_weights(folder: Path, seed: int, cases: range) -> Counter[str]:
    cfg = folder / "good.cfg"
    cfg.write_text(SEEDS[0])
    network = read_network(cfg)
    content = HEADER_64 + values_of(network).tobytes()
    assert len(HEADER_32) == 16
    outcomes: Counter[str] = Counter()
    for case in cases:
        try:
            outcomes[try_weights(folder / "fuzz.weights", network, content, random.Random(f"{seed}/{case}"))] += 1
        except Exception as error:
            raise AssertionError(f"weights: seed {seed}, case {case}: {error!r}") from error
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cfgs", type=int, default=1_000_000)
    parser.add_argument("--weights", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="go on with this case of the cfgs")
    parser.add_argument("--only", type=int, help="one case of the cfgs")
    options = parser.parse_args()
    memory = Path("/dev/shm")  # a disk would take most of the time
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        if options.only is not None:
            print(fuzz_cfgs(Path(folder), options.seed, range(options.only, options.only + 1), every=1))
            return
        fuzz_cfgs(Path(folder), options.seed, range(200), every=1)  # what is imported and cached once
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        print("weights", dict(fuzz_weights(Path(folder), options.seed, range(options.weights))), flush=True)
        total: Counter[str] = Counter()
        for start in range(options.first, options.cfgs, 10_000):
            total += fuzz_cfgs(Path(folder), options.seed, range(start, min(start + 10_000, options.cfgs)))
            print("cfgs", total.total(), dict(total), flush=True)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print("cfgs", dict(total), f"{time.perf_counter() - started:.0f} s, memory grew by {grown / 1024:.0f} MB")


if __name__ == "__main__":
    main()
