"""Runs items through stages of threads: the stages work beside each other, the results come in the order of the items.

How many items are on their way is bounded, so memory is. An exception anywhere ends the whole line and is raised to
the caller; so does closing the iterator, which is what happens when the caller is interrupted.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

Stage = Sequence[Callable[[Any], Any]]
"""The workers of a stage: each runs in a thread of its own, and takes the next item when it is free."""


@dataclass(frozen=True)
class _Failure:
    error: BaseException


_END = object()
_STOP = object()


def stream(items: Iterable[Any], stages: Sequence[Stage], ahead: int) -> Generator[Any, None, None]:
    """The results of all stages for each item, in order; at most `ahead` items are between reading and the caller.

    Items are read in a thread of their own too. The threads have ended when the iterator has.
    """
    line = _Line(items, stages, ahead)
    try:
        yield from line.results()
    finally:
        line.stop()


class _Line:
    def __init__(self, items: Iterable[Any], stages: Sequence[Stage], ahead: int) -> None:
        self._slots = threading.Semaphore(ahead)
        self._stopping = threading.Event()
        self._queues = [SimpleQueue[Any]() for _ in range(len(stages) + 1)]
        self._stages = stages
        self._threads = [threading.Thread(target=self._read, args=(iter(items),), daemon=True)]
        for position, stage in enumerate(stages):
            for work in stage:
                self._threads.append(threading.Thread(target=self._work, args=(position, work), daemon=True))
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[Any]:
        early: dict[int, Any] = {}
        for number in itertools.count():
            while number not in early:
                key, value = self._queues[-1].get()
                if isinstance(value, _Failure):
                    raise value.error
                early[key] = value
            value = early.pop(number)
            if value is _END:
                return
            yield value
            self._slots.release()

    def stop(self) -> None:
        """End the threads; each finishes the item that it works on."""
        self._stopping.set()
        self._slots.release()
        for queue, stage in zip(self._queues, self._stages, strict=False):
            for _ in stage:
                queue.put((-1, _STOP))
        for thread in self._threads:
            thread.join()

    def _read(self, items: Iterator[Any]) -> None:
        number = 0
        try:
            while self._slots.acquire() and not self._stopping.is_set():
                item = next(items, _END)
                self._queues[-1 if item is _END else 0].put((number, item))
                if item is _END:
                    return
                number += 1
        except BaseException as error:
            self._queues[-1].put((number, _Failure(error)))
        finally:
            if hasattr(items, "close"):
                items.close()

    def _work(self, position: int, work: Callable[[Any], Any]) -> None:
        while True:
            number, item = self._queues[position].get()
            if item is _STOP or self._stopping.is_set():
                return
            try:
                self._queues[position + 1].put((number, work(item)))
            except BaseException as error:
                self._queues[-1].put((number, _Failure(error)))
                return
