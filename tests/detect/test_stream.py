"""The order is kept, memory is bounded, and whatever goes wrong ends the line and its threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from zoo.detect.stream import stream


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_results_come_in_order_whoever_is_first() -> None:
    def late(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * 10

    assert list(stream(range(50), [[late] * 3, [lambda number: number + 1] * 2], ahead=8)) == [
        number * 10 + 1 for number in range(50)
    ]


def test_no_items_are_no_results() -> None:
    assert list(stream([], [[abs]], ahead=2)) == []


def test_stages_work_beside_each_other() -> None:
    """The first stage goes on only when the second has begun with an earlier item: one thread could not end this."""
    begun = threading.Semaphore(2)

    def first(number: int) -> int:
        assert begun.acquire(timeout=10)
        return number

    def second(number: int) -> int:
        begun.release()
        time.sleep(0.001)
        return number

    assert list(stream(range(20), [[first], [second]], ahead=6)) == list(range(20))


def test_workers_of_a_stage_share_the_items() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(number: int) -> int:
        meeting.wait()
        return number

    assert list(stream(range(6), [[meet, meet]], ahead=4)) == list(range(6))


def test_no_more_than_so_many_are_on_their_way() -> None:
    read: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            yield number

    most = 0
    for done, _ in enumerate(stream(items(), [[abs], [abs] * 2], ahead=5)):
        time.sleep(0.001)
        most = max(most, len(read) - done)
    assert len(read) == 100
    assert most <= 5


def test_an_error_in_a_worker_is_raised_to_the_caller() -> None:
    def fails(number: int) -> int:
        if number == 3:
            raise ValueError("at three")
        return number

    with pytest.raises(ValueError, match="at three"):
        list(stream(range(1000), [[abs], [fails] * 2, [abs]], ahead=4))


def test_an_error_in_the_reader_is_raised_to_the_caller() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        list(stream(items(), [[abs]], ahead=4))


def test_an_interrupted_caller_ends_everything_and_closes_what_is_read() -> None:
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt), closing(stream(items(), [[abs], [abs]], ahead=4)) as results:
        for _ in results:
            raise KeyboardInterrupt
    assert closed == [True]
