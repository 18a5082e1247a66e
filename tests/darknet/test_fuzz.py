"""A short run of the fuzzer (tests/darknet/fuzz.py), and text that hypothesis invents."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.darknet.fuzz import SEEDS, WORDS, fuzz_cfgs, fuzz_weights, try_cfg
from zoo.darknet import read_network


def test_the_seeds_are_networks(tmp_path: Path) -> None:
    path = tmp_path / "seed.cfg"
    for text in SEEDS:
        assert try_cfg(path, text.encode(), deep=True) == "accepted", text


def test_mutated_cfgs(tmp_path: Path) -> None:
    outcomes = fuzz_cfgs(tmp_path, seed=7, cases=range(1000))
    assert min(outcomes["accepted"], outcomes["refused"]) > 100


def test_mutated_weights(tmp_path: Path) -> None:
    outcomes = fuzz_weights(tmp_path, seed=7, cases=range(300))
    assert min(outcomes["accepted"], outcomes["refused"]) > 20


LINES = st.one_of(
    st.sampled_from(WORDS),
    st.builds("{}={}".format, st.sampled_from(WORDS), st.one_of(st.integers(), st.floats(), st.text(max_size=8))),
    st.text(max_size=20),
)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, max_size=12))
def test_invented_lines(lines: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(["[net]", "width=8", "height=8", "channels=3", *lines])
        try_cfg(Path(folder) / "x.cfg", text.encode("utf-8", "surrogatepass"), deep=False)


def test_a_seed_reads_the_same_twice(tmp_path: Path) -> None:
    path = tmp_path / "seed.cfg"
    path.write_text(SEEDS[0])
    assert read_network(path) == read_network(path)
