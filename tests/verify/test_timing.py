"""Models timed in turns: what each report holds, and what happens to the others when one of them stops."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.verify import tiny
from zoo.base.artifact import Artifact
from zoo.base.errors import VerificationError
from zoo.verify import Examined, Options, examined, timed
from zoo.verify.runtimes.protocol import Runner, Tensors
from zoo.verify.verdict import FAIL, PASS

OPTIONS = Options(speed="quick", threads=1)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    reference = tiny.TinyReference(tiny.detector())
    return tiny.write(reference.model, tmp_path_factory.mktemp("tiny"), reference.sources)


@pytest.fixture(scope="module")
def passed(artifact: Artifact) -> Iterator[Examined]:
    with examined(artifact, tiny.TinyReference(tiny.detector()), OPTIONS) as one:
        yield one


class Stopping:
    """A runner that refuses every run after the first `runs`, or gives wrong numbers from there on."""

    def __init__(self, runner: Runner, runs: int, *, wrong: bool = False) -> None:
        self.runner, self.left, self.wrong = runner, runs, wrong

    def __getattr__(self, name: str) -> Any:
        return getattr(self.runner, name)

    def bind(self, feeds: Tensors) -> Any:
        call, outputs = self.runner.bind(feeds)

        def run() -> None:
            self.left -= 1
            if self.left < 0 and not self.wrong:
                raise VerificationError("the run ends with: no more")
            call()

        return run, lambda: {name: np.flip(array) if self.wrong else array for name, array in outputs().items()}


def stopping(one: Examined, runs: int, **how: bool) -> Examined:
    runner: Any = Stopping(one.runner, runs, **how)  # type: ignore[arg-type]  # on a CPU it is open
    return dataclasses.replace(one, runner=runner)


def test_each_is_timed_and_compared_with_the_first(passed: Examined) -> None:
    first, second = timed([passed, passed], OPTIONS)
    for report in (first, second):
        assert report.judgement.verdict == PASS
        assert report.speed
        assert report.speed.memory["host_peak"] >= report.speed.memory["host"] > 0
        assert [cost.batch for cost in report.scaling] == [1, 3]
    assert first.speed
    assert second.speed
    assert first.speed.runs == second.speed.runs
    assert not first.compared
    (compared,) = second.compared
    assert (compared.other, compared.batch) == ("onnx", 1)
    assert compared.rounds > 1
    assert compared.speedup.value == pytest.approx(first.speed.median.value / second.speed.median.value, rel=0.5)


@pytest.mark.parametrize("runs", [0, 30])
def test_one_that_stops_has_failed_and_the_others_go_on(passed: Examined, runs: int) -> None:
    first, second, third = timed([passed, stopping(passed, runs), passed], OPTIONS)
    assert (second.judgement.verdict, second.judgement.reason) == (FAIL, "the run ends with: no more")
    assert second.speed is None
    assert first.judgement.verdict == third.judgement.verdict == PASS
    assert [one.other for one in third.compared] == ["onnx"]


def test_outputs_that_are_wrong_only_where_the_model_is_timed_fail(passed: Examined) -> None:
    right, wrong = timed([passed, stopping(passed, 0, wrong=True)], OPTIONS)
    assert right.judgement.verdict == PASS
    assert wrong.judgement.verdict == FAIL
    assert "timed run, uniform" in wrong.judgement.reason


def test_what_did_not_pass_and_what_need_not_be_timed_stays_as_it_is(passed: Examined) -> None:
    failed = Examined(passed.artifact, dataclasses.replace(passed.report, notes=("failed before",)))
    assert timed([failed], dataclasses.replace(OPTIONS, speed="none")) == [failed.report]
    assert timed([passed], dataclasses.replace(OPTIONS, speed="none")) == [passed.report]


def test_all_are_compared_with_a_reference_that_is_none_of_them(passed: Examined, artifact: Artifact) -> None:
    (report,) = timed([passed], OPTIONS, base=artifact)
    assert [one.other for one in report.compared] == ["onnx"]


def test_a_reference_that_does_not_load_is_told_and_the_speed_measured(
    passed: Examined, artifact: Artifact, tmp_path: Path
) -> None:
    broken = dataclasses.replace(artifact, folder=tmp_path)
    (tmp_path / artifact.model.name).write_bytes(b"not a model")
    (report,) = timed([passed], OPTIONS, base=broken)
    assert report.judgement.verdict == PASS
    assert report.speed
    assert not report.compared
    assert report.notes[-1].startswith("not timed beside the reference: ")
