"""The alarm for collapsed runs, on logged steps of configs/dashboards/discriminator_wins.yaml and healthy.yaml."""

import logging

import numpy as np
import paddle
import pytest

from ppcartoon.training import collapse, experiment, run_folder, trainer
from tests.helpers import training_runs
from tests.helpers.samples import FIXTURES


def images(cells):
    """Gray images of CELLS x CELLS pixels with these lumas, [N, CELLS * CELLS]."""
    side = collapse.CELLS
    gray = np.asarray(cells, np.float32).reshape(-1, 1, side, side) * 2 - 1
    return paddle.to_tensor(np.repeat(gray, 3, 1))


def alarms(run):
    """Steps of a recorded run at which the alarm is raised, with the dependence."""
    table = np.load(FIXTURES / "collapse.npz")
    alarm, steps, photos, outputs = (
        collapse.CollapseAlarm(),
        *(table[f"{run}.{x}"] for x in ("step", "photos", "outputs")),
    )
    found = {int(step): alarm.add(images(p), images(o)) for step, p, o in zip(steps, photos, outputs)}
    return {step: value for step, value in found.items() if value is not None}


def test_alarm_is_raised_once_in_the_run_that_collapsed():
    ((step, value),) = alarms("discriminator_wins").items()
    assert step == 90 and abs(value) < 0.05  # the fourth logged batch of stage cartoon, with images 13 to 16


def test_alarm_is_not_raised_in_the_healthy_run():
    assert alarms("healthy") == {}


def test_dependence_is_the_slope_of_outputs_on_photos_and_ignores_what_they_have_in_common():
    rng = np.random.default_rng(0)
    photos, common = rng.uniform(0, 1, (16, 64)), rng.uniform(0, 1, 64)
    assert collapse.dependence(photos, photos) == pytest.approx(1)
    assert collapse.dependence(photos, 0.5 * photos + common) == pytest.approx(0.5)
    assert collapse.dependence(photos, np.tile(common, (16, 1))) == pytest.approx(0)
    assert abs(collapse.dependence(photos, rng.uniform(0, 1, (16, 64)))) < 0.1
    assert collapse.dependence(0 * photos, photos) == 0


def test_alarm_compares_the_last_images_whatever_the_batch_size_and_can_be_raised_again():
    rng, alarm = np.random.default_rng(0), collapse.CollapseAlarm()
    raised = []
    for step in range(120):
        photos = rng.uniform(0, 1, (1, 64))
        collapsed = step < 40 or step >= 80
        outputs = np.full((1, 64), 0.5) if collapsed else photos
        raised += [step] if alarm.add(images(photos), images(outputs)) is not None else []
    assert raised[0] == 15 and len(raised) == 2 and 80 < raised[1] < 96
    photos = rng.uniform(0, 1, (64, 64))
    assert collapse.CollapseAlarm().add(images(photos), images(0 * photos)) == pytest.approx(0)


def test_log_of_a_run_warns_once_in_stage_cartoon(tmp_path, monkeypatch):
    monkeypatch.setattr(collapse, "THRESHOLD", 1e9)
    messages, handler = [], logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    log = logging.getLogger("ppcartoon")
    log.addHandler(handler)
    path = training_runs.write_config(tmp_path)
    options = ["enable_visualdl=false", "dataset.train.batch_size=3", "epochs=8"]  # 2 steps in an epoch, 1 epoch init
    run = experiment.Experiment(run_folder.locate(path, options, None), "a test")
    run.folder.mkdir(parents=True)
    try:
        trainer.Trainer(run, []).train()
    finally:
        log.removeHandler(handler)
    short, alarm = messages
    assert short.startswith("stage init has 2 steps")
    assert alarm.startswith("step 8: the cartoons hardly depend on their photos any more, ")
