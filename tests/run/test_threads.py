"""Stages in threads: order, bounds, and errors that come out where they belong."""

import threading
import time

import pytest

from magicpose_cli.run.stage_timer import StageTimer
from magicpose_cli.run.threads import BackgroundWriter, prefetch


def test_ahead_keeps_the_order_and_stays_near():
    made = []

    def source():
        for i in range(20):
            made.append(i)
            yield i

    items = prefetch(source(), depth=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) <= 5  # one taken, two ready, one waiting to be put, one being made
    assert list(items) == list(range(1, 20))


def test_ahead_raises_in_its_place():
    def source():
        yield 1
        raise KeyError("broken")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_ahead_ends_its_thread_when_nobody_listens():
    items = prefetch(iter(range(1000)), depth=1)
    next(items)
    items.close()
    time.sleep(0.5)
    assert not any(thread.name == "ahead" for thread in threading.enumerate())


def test_behind_works_everything_off_even_when_stopped():
    done = []

    def work(item):
        time.sleep(0.02)
        done.append(item)

    with pytest.raises(KeyboardInterrupt), BackgroundWriter(work) as sink:
        for i in range(4):
            sink.put(i)
        raise KeyboardInterrupt
    assert done == [0, 1, 2, 3]


def test_behind_raises_what_its_work_raises():
    def work(item):
        if item == 2:
            raise OSError("full")

    with pytest.raises(OSError, match="full"), BackgroundWriter(work) as sink:
        for i in range(100):
            sink.put(i)
    with pytest.raises(OSError, match="full"), BackgroundWriter(work) as sink:
        sink.put(2)  # the last one: its error comes at the end of the block


def test_stages_that_overlap_are_seen_to_overlap():
    clock = StageTimer()

    def slow(n):
        for i in range(n):
            time.sleep(0.03)
            yield i

    with BackgroundWriter(lambda item: time.sleep(0.03)) as sink:
        for item in clock.each("make", prefetch(clock.each("draw", slow(6)))):
            sink.put(item)
    drawn = [span for span in clock.spans if span[0] == "draw"]
    made = [span for span in clock.spans if span[0] == "make"]
    assert len(drawn) == len(made) == 7  # the last one finds the end
    assert clock.seconds["draw"] >= 0.18
    assert max(end for _, _, end in drawn) <= max(end for _, _, end in made) + 0.01


def test_a_clock_of_a_long_film_takes_no_memory():
    clock = StageTimer()
    for _ in range(StageTimer.MAX_SPANS + 10):
        with clock("stage"):
            pass
    assert len(clock.spans) == StageTimer.MAX_SPANS and clock.seconds["stage"] >= 0
