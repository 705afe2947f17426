"""Prefetching and background writing: order, bounded queues, errors, and threads that end with their block."""

import threading
import time

import pytest

from ppcartoon.errors import InputError
from ppcartoon.utils.threads import prefetch, write_behind

pytestmark = pytest.mark.usefixtures("no_threads_left")


def test_prefetch_keeps_the_order_and_limits_the_items_produced_in_advance():
    produced = []
    with prefetch(iter(produced.append(i) or i for i in range(100)), 3) as items:
        for i in range(50):
            assert next(items) == i
            while len(produced) < i + 2:  # the thread produces the next item meanwhile
                time.sleep(0.001)
            assert len(produced) <= i + 1 + 3
    assert len(produced) <= 54


def test_prefetch_raises_an_error_after_the_items_before_it():
    def broken():
        yield 1
        yield 2
        raise InputError("broken")

    received = []
    with pytest.raises(InputError, match="broken"), prefetch(broken()) as items:
        for item in items:
            received.append(item)
    assert received == [1, 2]


def test_write_behind_keeps_the_order_blocks_while_the_queue_is_full_and_waits_on_exit():
    done, gate = [], threading.Event()

    def work(item):
        gate.wait()
        done.append(item)

    with write_behind(work, 2) as call:
        call(0)
        call(1)
        timer = threading.Timer(0.1, gate.set)
        timer.start()
        start = time.monotonic()
        call(2)  # blocks until the first call has ended
        assert time.monotonic() - start > 0.05 and done[:1] == [0]
    timer.join()
    assert done == [0, 1, 2]


def test_write_behind_raises_an_error_of_its_work_and_drops_pending_calls():
    done = []

    def work(item):
        if item == 1:
            raise InputError("full")
        time.sleep(0.01)
        done.append(item)

    with pytest.raises(InputError, match="full"), write_behind(work, 2) as call:
        for item in range(100):
            call(item)
    assert done[0] == 0 and len(done) < 6
