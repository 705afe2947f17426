"""Loss sums and step times."""

import paddle
import pytest

from ppcartoon.training import meters


def loss(value):
    return {"g_loss": paddle.to_tensor(value), "d_loss": paddle.to_tensor(2 * value)}


def test_loss_meter_fetches_each_step_once():
    meter = meters.LossMeter()
    meter.add(1, "init", loss(3.0))
    meter.add(2, "cartoon", loss(5.0))
    assert meter.fetch() == [(1, {"g_loss": 3.0, "d_loss": 6.0}), (2, {"g_loss": 5.0, "d_loss": 10.0})]
    assert meter.fetch() == []


def test_loss_meter_gives_the_means_over_the_steps_of_stage_cartoon_in_an_epoch():
    meter = meters.LossMeter()
    for step, stage, value in ((1, "init", 100.0), (2, "cartoon", 1.0), (3, "cartoon", 4.0)):
        meter.add(step, stage, loss(value))
        meter.fetch()
    assert meter.sums == {"g_loss": 5.0, "d_loss": 10.0, "count": 2}
    assert meter.end_epoch() == {"g_loss": 2.5, "d_loss": 5.0}
    assert meter.sums == {}


def test_loss_meter_gives_no_mean_for_an_epoch_of_stage_init():
    meter = meters.LossMeter()
    meter.add(1, "init", loss(1.0))
    meter.fetch()
    assert meter.end_epoch() == {}


def test_step_timer_counts_waiting_and_excludes_pauses(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(meters.time, "perf_counter", lambda: now[0])
    timer = meters.StepTimer()
    with timer.waiting():
        now[0] += 1
    now[0] += 3
    with timer.paused():
        now[0] += 50
    assert timer.lap(2) == (pytest.approx(2), pytest.approx(1 / 4))
    now[0] += 6
    assert timer.lap(3) == (pytest.approx(2), 0)  # each lap starts at zero
