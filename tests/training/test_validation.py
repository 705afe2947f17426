"""Validation during training: correct distances at the right steps, without effect on the training."""

import logging

import numpy as np
import paddle
import pytest

from ppcartoon import images
from ppcartoon.config import loading
from ppcartoon.config.schema import Validate
from ppcartoon.errors import InputError, OutputError
from ppcartoon.evaluation import features, fid
from ppcartoon.training import checkpoints, experiment, run_folder, trainer, validation
from tests.helpers import tiny, training_runs
from tests.helpers.folders import drawn, save
from tests.training.test_trainer import assert_same_end

pytestmark = pytest.mark.slow

VGG = {"features": "vgg19:conv1_2", "weights_file": "random"}
METRICS = {"fid": {"name": "CartoonFID", **VGG}, "kid": {"name": "CartoonKID", **VGG}}
NAMES = {"fid_cartoon", "fid_content", "kid_cartoon", "kid_cartoon_error", "kid_content", "kid_content_error"}
SECTION = """
validate:
  interval: 2
  photos: {root}/photos
  cartoons: {root}/cartoons
  batch_size: 3
  metrics: {metrics}
"""


class Rows:
    """Records what a TrainingLogger gets."""

    def __init__(self):
        self.rows = []

    def scalars(self, step, values, **more):
        self.rows.append((step, values, more))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def root(tmp_path):
    """Photos of two sizes, and cartoons."""
    root = drawn(tmp_path / "data", photos=4, cartoons=5)
    save(root / "photos" / "2.png", np.random.default_rng(0).integers(0, 256, (30, 35, 3), np.uint8))
    return root


@pytest.fixture
def prepared(root):
    folders = {"photos": str(root / "photos"), "cartoons": str(root / "cartoons")}
    made = validation.Validation(Validate(interval=2, batch_size=3, metrics=METRICS, **folders))
    made.prepare()
    return made


def written(folder):
    path = training_runs.write_config(folder)
    path.write_text(path.read_text() + SECTION.format(root=folder / "data", metrics=METRICS))
    return path


def validated(run):
    """Distances in metrics.jsonl by step."""
    rows = {row["step"]: row for row in training_runs.metrics(run) if "fid_cartoon" in row}
    return {step: {name: row[name] for name in NAMES} for step, row in rows.items()}


def test_distances_equal_those_of_the_same_cartoons_on_disk(root, prepared):
    model, monitor = tiny.model(), Rows()
    prepared.after(1, model, monitor, lambda: False)
    assert not monitor.rows  # not due after epoch 1
    prepared.after(2, model, monitor, lambda: False)
    ((step, values, more),) = monitor.rows
    assert (step, more) == (model.steps, {"epoch": 2}) and set(values) == NAMES
    photos = [images.read(file).rgb for file in sorted((root / "photos").iterdir())]
    for i, cartoon in enumerate(validation.cartoonize(model, photos)):
        assert cartoon.shape == photos[i].shape
        save(root / "made" / f"{i}.png", cartoon)
    extractor = features.extractor(VGG["features"], "random")
    made, *others = (features.folder_features(root / name, extractor) for name in ("made", "cartoons", "photos"))
    for side, other in zip(("cartoon", "content"), others):
        distance = fid.frechet_distance(fid.statistics(made), fid.statistics(other))
        assert values[f"fid_{side}"] == pytest.approx(distance, rel=1e-4)
        wanted = fid.kid(made, other)
        assert values[f"kid_{side}"] == pytest.approx(wanted.value, rel=1e-3)
        assert values[f"kid_{side}_error"] == pytest.approx(wanted.standard_error, rel=1e-3)


def test_cartoons_equal_the_model_s_outputs(root):
    model, photo = tiny.model(), np.random.default_rng(0).integers(0, 256, (32, 36, 3), np.uint8)
    wanted = model.cartoonize(paddle.to_tensor(photo.transpose(2, 0, 1)[None] / 127.5 - 1, "float32")).numpy()[0]
    (cartoon,) = validation.cartoonize(model, [photo])
    np.testing.assert_allclose(cartoon / 127.5 - 1, wanted.transpose(1, 2, 0), atol=0.51 / 127.5)


def test_validation_does_not_change_the_model(prepared):
    model = tiny.model()
    model.setup_input(tiny.batch())
    model.train_iter()
    before = {name: tiny.state(net) for name, net in model.nets.items()}
    prepared.after(2, model, Rows(), lambda: False)
    for name, net in model.nets.items():
        assert tiny.differing(before[name], tiny.state(net)) == []


def test_signal_cancels_validation_and_nothing_is_written(prepared):
    asked, monitor = [], Rows()
    prepared.after(2, tiny.model(), monitor, lambda: bool(asked.append(1)) or len(asked) == 2)
    assert len(asked) == 2 and not monitor.rows


def test_run_with_validation_equals_one_without_bit_for_bit_also_when_resumed(whole, root, tmp_path):
    path, run = written(tmp_path), tmp_path / "output" / "tiny"
    done = training_runs.train("-c", path, "-o", "dataset.train.num_workers=2", "snapshot_config.best=g_loss")
    assert done.returncode == 0, done.stderr
    assert "unchanged photos: fid_cartoon " in done.stderr and "epoch 4 fid_cartoon " in done.stderr
    assert_same_end(run, whole[1])
    first = validated(run)
    assert sorted(first) == [6, 12] and first[6] != first[12]
    for name in NAMES:
        curve = training_runs.curve(run, name)
        assert [(step, np.float32(value)) for step, value in curve] == [
            (s, np.float32(first[s][name])) for s in (6, 12)
        ]
    checkpoints.path_of(run / "checkpoints", 12).unlink()
    resumed = training_runs.train("-c", path, "--resume", "-o", "snapshot_config.best=g_loss")
    assert resumed.returncode == 0 and "after step 9" in resumed.stderr, resumed.stderr
    assert_same_end(run, whole[1])
    assert validated(run) == first
    assert [step for step, _ in training_runs.curve(run, "fid_cartoon")] == [6, 12]


@pytest.fixture
def run_here(root, tmp_path):
    """Makes a trainer of the validated config."""

    def made(*options):
        start = run_folder.locate(written(tmp_path), list(options), None)
        start.folder.mkdir(parents=True)
        return trainer.Trainer(experiment.Experiment(start, "a test"), [])

    return made


def test_best_epoch_has_the_lowest_distance_and_its_checkpoint_is_kept(run_here, monkeypatch):
    distances = {1: 9.0, 2: 3.0, 3: 1.0, 4: 2.0}
    monkeypatch.setattr(validation.Validation, "after", lambda self, epoch, *_: {"kid_cartoon": distances[epoch]})
    run = run_here("snapshot_config.interval=4", "snapshot_config.keep=1")  # the best one needs a checkpoint of its own
    run.train()
    folder = run.experiment.folder / "checkpoints"
    assert {checkpoints.step_of(path) for path in checkpoints.newest_first(folder)} == {9, 12}
    _, state = checkpoints.load(checkpoints.path_of(folder, 12))
    assert state["best"] == {"step": 9, "value": 1.0}


@pytest.mark.parametrize(
    "error",
    [InputError("a.png: not an image"), MemoryError(), RuntimeError("out of\nmemory"), ValueError("not\nfinite")],
)
def test_failed_validation_is_a_line_in_the_log_and_the_run_continues(run_here, monkeypatch, caplog, error):
    seen = []

    def fails(_, epoch, model, *__):
        seen.append((epoch, checkpoints.path_of(run.experiment.folder / "checkpoints", model.steps).exists()))
        raise error

    monkeypatch.setattr(validation.Validation, "after", fails)
    monkeypatch.setattr(logging.getLogger("ppcartoon"), "propagate", True)
    run = run_here()
    run.train()
    assert seen == [(epoch, True) for epoch in (1, 2, 3, 4)]  # saved first
    reason = " ".join(str(error).split()) or "not enough memory"
    assert f"epoch 4 was not validated: {reason}" in caplog.messages


def test_validation_that_was_interrupted_is_made_up_for_when_the_run_resumes(run_here, tmp_path, monkeypatch):
    seen = []

    def killed_in_the_second(_, epoch, model, monitor, stopping):
        seen.append(epoch)
        if seen == [1, 2]:
            raise KeyboardInterrupt
        monitor.scalars(model.steps, {"kid_cartoon": epoch})
        return {"kid_cartoon": epoch}

    monkeypatch.setattr(validation.Validation, "after", killed_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_here().train()
    for _ in range(2):  # the second one has nothing to do
        start = run_folder.locate(written(tmp_path), [], "auto")
        trainer.Trainer(experiment.Experiment(start, "a test"), []).train()
    assert seen == [1, 2, 2, 3, 4]


def test_full_disk_in_a_validation_ends_the_run(run_here, monkeypatch):
    def fails(*_):
        raise OutputError("metrics.jsonl: cannot be written")

    monkeypatch.setattr(validation.Validation, "after", fails)
    with pytest.raises(OutputError):
        run_here().train()


@pytest.mark.parametrize(
    "options, best",
    [
        ([], "kid_cartoon"),
        (["snapshot_config.best=fid_content"], "fid_content"),
        (["snapshot_config.best=g_gray"], "g_gray"),
        (["validate.metrics.kid.name=CartoonFID"], "fid_cartoon"),
        (["validate=null"], "g_loss"),
    ],
)
def test_best_is_a_distance_by_default_and_any_loss_or_distance_by_choice(root, tmp_path, options, best):
    assert loading.load(written(tmp_path), options).snapshot_config.best == best


def test_run_refused_for_an_unreadable_photo_leaves_no_run_behind(run_here, root, tmp_path):
    (root / "photos" / "0.png").write_bytes(b"no image")
    run = run_here()
    with pytest.raises(InputError, match=r"0\.png: not an image"):
        run.train()
    assert run_folder.locate(written(tmp_path), [], None).folder == run.experiment.folder  # not "contains a run"


def test_missing_folder_is_refused_before_the_first_step(root, tmp_path):
    path = written(tmp_path)
    refused = training_runs.train("-c", path, "-o", f"validate.photos={root / 'none'}")
    assert refused.returncode == 2 and not (tmp_path / "output").exists()
    assert (
        refused.stderr
        == f"ppcartoon train: validate.photos: {root / 'none'}: no such folder; beside it are cartoons, photos\n"
    )


def test_invalid_photo_and_too_few_photos_are_refused_before_training(root, prepared):
    (root / "photos" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=rf"^{root / 'photos' / '0.png'}: not an image"):
        prepared.prepare()
    for i in (0, 1):
        (root / "photos" / f"{i}.png").unlink()
    with pytest.raises(InputError, match="KID needs at least 3 images, there are 2"):
        prepared.prepare()


@pytest.mark.parametrize(
    "options, why",
    [
        (["validate.interval=0"], "validate.interval: input should be greater than or equal to 1"),
        (["snapshot_config.best=kid"], "snapshot_config.best: kid is not among the losses and distances: d_loss, "),
        (["snapshot_config.best=kid_cartoon", "validate=null"], "kid_cartoon is not among the losses: d_loss, "),
        (["validate.metrics.fid.name=FID"], "validate.metrics.fid.name: input should be 'CartoonFID' or 'CartoonKID'"),
        (["validate.metrics=[fid]"], "validate.metrics: input should be a valid dictionary"),
        (["validate.metrics.a b={name: CartoonFID}"], "validate.metrics.a b"),
        (["validate.photo=x"], "validate.photo: unknown key; did you mean photos?"),
        (["validat.interval=1"], "validat: unknown key; did you mean validate?"),
    ],
)
def test_unknown_and_invalid_keys_are_refused(root, tmp_path, options, why):
    with pytest.raises(InputError) as caught:
        loading.load(written(tmp_path), options)
    assert why in str(caught.value)


def test_validate_section_survives_saving_and_loading(root, tmp_path):
    loaded = loading.load(written(tmp_path))
    saved = loaded.model_dump()
    assert saved["validate"]["metrics"] == METRICS and "validation" not in saved
    assert loading.check(saved, "saved") == loaded
    saved["validate"]["metrics"] = {}
    with pytest.raises(InputError, match=r"saved: validate.metrics: dictionary should have at least 1 item"):
        loading.check(saved, "saved")
