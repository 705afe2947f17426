"""Configs: the paper's numbers, strict keys, bases, and options that are parsed as YAML, never as code."""

import os
import time
from pathlib import Path

import pytest
import yaml

from ppcartoon import InputError
from ppcartoon.config import loading

CONFIGS = Path(__file__).parents[2] / "configs"
STYLES = {"shinkai": "Shinkai", "hayao": "Hayao", "hosoda": "SummerWar", "paprika": "Paprika"}


@pytest.fixture(params=sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def shipped(request):
    return request.param


def test_shipped_config_is_valid_and_resolved_config_stays_the_same(shipped):
    resolved = loading.load(shipped).model_dump()
    assert loading.check(yaml.safe_load(yaml.safe_dump(resolved)), "resolved").model_dump() == resolved


def test_base_config_has_the_paper_s_numbers():
    c = loading.load(CONFIGS / "cartoonloss_base.yaml")
    m, train = c.model, c.dataset.train
    weights = (m.adv_weight, m.content_weight, m.gray_weight, m.color_weight, m.tv_weight, m.edge_weight)
    assert weights == (300, 1.5, 2.5, 100, 1, 0.1)
    assert (c.epochs, m.init_epochs, train.batch_size, train.size) == (32, 2, 4, 256)
    assert (m.vgg_layer, m.gan_mode, m.reuse_encoder, m.amp) == ("conv4_4", "vanilla", True, None)
    assert (m.adv_loss, m.style_loss, m.color_loss) == ("cartoonloss", "cartoonloss", "cartoonloss")
    assert not m.generator.depthwise
    assert c.lr_scheduler.learning_rate == 0.0002 and c.lr_scheduler.decay_epochs == 0
    assert {(adam.name, adam.beta1) for adam in (c.optimizer.optimizer_D, c.optimizer.optimizer_G)} == {("Adam", 0.5)}
    assert (m.generator.channels, m.discriminator.channels) == (64, 32)


BEYOND_THE_PAPER = {
    "init_steps": None, "huber_slope": "paper", "chroma_weight": 0, "luma_weight": 0, "match_tint": 0,
    "diffaugment": None, "color_head": 0, "photo_negatives": 0, "pool_size": 0, "d_steps": 1, "encoder_ema_decay": 0,
    "ema_decay": 0,
}  # fmt: skip


def test_what_goes_beyond_the_paper_is_off_in_the_base_and_where_a_config_lacks_the_keys(tmp_path):
    base = loading.load(CONFIGS / "cartoonloss_base.yaml")
    tree = base.model_dump()
    assert {key: tree["model"].pop(key) for key in BEYOND_THE_PAPER} == BEYOND_THE_PAPER
    assert loading.check(tree, "without the keys") == base


@pytest.mark.parametrize("name", ["custom", "custom_light", "peppercarrot"])
def test_what_goes_beyond_the_paper_is_on_in_the_configs_for_own_styles(name):
    c, custom = (loading.load(CONFIGS / f"cartoonloss_{config}.yaml") for config in (name, "custom"))
    assert not [key for key, off in BEYOND_THE_PAPER.items() if getattr(c.model, key) == off]
    light = c.model.model_copy(update={"generator": custom.model.generator})
    assert light == custom.model and c.optimizer == custom.optimizer
    assert (c.model.generator.channels, c.dataset.train.size, c.dataset.train.batch_size) == (
        (64, 256, 4) if name == "custom" else (32, 128, 2)
    )
    assert c.dataset.train.other_cartoons == c.model.d_steps - 1 == 1
    assert c.lr_scheduler.init_steps == c.model.init_steps == 1000


@pytest.mark.parametrize("style", STYLES)
def test_style_config_differs_from_the_base_only_in_folders_and_export(style):
    base, own = (loading.load(CONFIGS / f"cartoonloss_{name}.yaml").model_dump() for name in ("base", style))
    assert own["dataset"]["train"]["cartoons"] == f"{STYLES[style]}/style"
    assert own["dataset"]["train"]["smooth"] == f"{STYLES[style]}/smooth"
    assert own["export"]["style"] == style
    for key in ("cartoons", "smooth"):
        own["dataset"]["train"][key] = base["dataset"]["train"][key]
    own["export"] = base["export"]
    assert own == base


def test_seed_and_decay_fill_in_the_keys_that_depend_on_them():
    c = loading.load(CONFIGS / "cartoonloss_base.yaml", ["seed=7", "epochs=10", "lr_scheduler.decay_epochs=4"])
    assert c.dataset.train.seed == 7 and c.lr_scheduler.start_epoch == 6


@pytest.mark.parametrize(
    "option, message",
    [
        ("model.adv_wieght=1", "model.adv_wieght: unknown key; did you mean adv_weight?"),
        ("modle.adv_weight=1", "modle: unknown key; did you mean model?"),
        ("model.adv_weight=-1", "model.adv_weight: input should be greater than or equal to 0, got -1"),
        ("model.adv_weight=.inf", "model.adv_weight: input should be a finite number, got inf"),
        ("model.adv_weight=.nan", "model.adv_weight: "),
        ("model.adv_weight=yes", "model.adv_weight: input should be a valid number, got True"),
        ("lr_scheduler.learning_rate=2e-4", "got '2e-4'; YAML reads this as text: write 2e-4 as 0.0002"),
        ("epochs=0", "epochs: input should be greater than or equal to 1, got 0"),
        ("epochs=1.5", "epochs: "),
        ("epochs=null", "epochs: null needs total_iters"),
        ("epochs=1", "model.init_epochs 2 is more than epochs 1"),
        ("model=3", "model: input should be a valid dictionary"),
        ("model.gan_mode=hinge", "model.gan_mode: input should be 'vanilla', 'saturating' or 'lsgan', got 'hinge'"),
        ("model.adv_loss=gray", "model.adv_loss: input should be 'cartoonloss' or 'animegan', got 'gray'"),
        ("model.generator.depthwise=1", "model.generator.depthwise: input should be a valid boolean, got 1"),
        ("model.vgg_layer=conv9", "model.vgg_layer: "),
        ("model.generator.in_channels=64", "model: generator.in_channels must be 128"),
        ("model.discriminator={name: CartoonLossNLayerDiscriminator, channels: 32}", "in_channels must be 64"),
        ("model.content_weight=0", "model: content_weight must be above 0, as stage init has no other loss"),
        ("snapshot_config.best=g_loss2", "snapshot_config.best: "),
        ("snapshot_config.best=g_chroma", "snapshot_config.best: g_chroma is not among the losses"),
        ("model.ema_decay=1", "model.ema_decay: input should be less than 1, got 1"),
        ("model.encoder_ema_decay=-0.1", "model.encoder_ema_decay: input should be greater than or equal to 0"),
        ("model.match_tint=1.1", "model.match_tint: input should be less than or equal to 1"),
        ("model.diffaugment=cutout", "model.diffaugment: input should be 'color', got 'cutout'"),
        ("model.huber_slope=1", "model.huber_slope: input should be 'paper' or 'unit', got 1"),
        ("model.d_steps=0", "model.d_steps: input should be greater than or equal to 1, got 0"),
        ("model.pool_size=1001", "model.pool_size: input should be less than or equal to 1000, got 1001"),
        ("model={reuse_encoder: false, encoder_ema_decay: 0.9}", "model: encoder_ema_decay must be 0, as with reuse"),
        ("model={init_epochs: 0, init_steps: 3, content_weight: 0}", "content_weight must be above 0, as stage init"),
        ("dataset.train.size=30", "dataset.train.size: input should be "),
        ("dataset.train.load_size=128", "dataset.train: load_size 128 is less than size 256"),
        ("dataset.train.name=Folder", "dataset.train: "),
        ("dataset.train={name: DrawnCartoonDataset, count: 3}", "dataset.train.batch_size: missing"),
        ("lr_scheduler.decay_epochs=50", "lr_scheduler.decay_epochs 50 is more than epochs 32"),
        ("model.generator.channels=2048", "model.generator.channels: input should be less than or equal to 1024"),
        ('output_dir=""', "output_dir: "),
    ],
)
def test_invalid_key_gives_one_line_with_file_and_key_path(option, message):
    with pytest.raises(InputError) as error:
        loading.load(CONFIGS / "cartoonloss_shinkai.yaml", [option])
    line = str(error.value)
    assert line.startswith(f"{CONFIGS / 'cartoonloss_shinkai.yaml'}: ") and message in line and "\n" not in line


@pytest.mark.parametrize(
    "option", ["epochs", "=3", "a..b=1", "epochs=[", "epochs=&a [*a", "seed=!!python/name:os.system"]
)
def test_option_that_is_not_yaml_is_refused(option):
    with pytest.raises(InputError, match=r"^-o .*(is not of the form|is not YAML)") as error:
        loading.load(CONFIGS / "cartoonloss_base.yaml", [option])
    assert "\n" not in str(error.value)


def test_option_is_never_run_as_code(tmp_path):
    text = f"open({str(tmp_path / 'made')!r}, 'w')"
    c = loading.load(CONFIGS / "cartoonloss_base.yaml", [f"export.style={text}"])
    assert c.export.style == text and not (tmp_path / "made").exists()
    with pytest.raises(InputError):
        loading.load(CONFIGS / "cartoonloss_base.yaml", [f"export.style=!!python/object/apply:os.mkdir [{tmp_path}/x]"])
    assert not (tmp_path / "x").exists()


def test_base_is_relative_to_the_file_and_a_new_name_replaces_a_section(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "base.yaml").write_text(f"_base_: {CONFIGS / 'cartoonloss_base.yaml'}\nepochs: 5\n")
    (tmp_path / "sub/own.yaml").write_text(
        "_base_: ../base.yaml\n"
        "dataset: {train: {name: DrawnCartoonDataset, count: 8, size: 32, flip: false, batch_size: 2,"
        " num_workers: 0}}\n"
    )
    c = loading.load(tmp_path / "sub/own.yaml")
    assert c.epochs == 5 and c.dataset.train.count == 8 and c.model.adv_weight == 300


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "contains no keys"),
        ("- 1", "contains no keys"),
        ("a: [", "not YAML"),
        ("a: b: c", "not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "not YAML"),
        ("_base_: 3", "_base_: must be a file name"),
        ("_base_: own.yaml", "_base_ leads back to the same file"),
        ("_base_: nowhere.yaml", "No such file"),
        ("epochs: 3", "missing; `_base_: cartoonloss_base.yaml` gives the paper's value (and "),
    ],
)
def test_file_that_is_not_a_config_gives_one_line(tmp_path, text, message):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        loading.load(path)
    assert message in str(error.value) and str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def nested(first, follow):
    """Keys whose values have up to 2 ** 40 parts when aliases are written out."""
    return "\n".join([f"a0: &a0 {first}", *(f"a{i + 1}: &a{i + 1} {follow.format(f'*a{i}')}" for i in range(40))])


@pytest.mark.parametrize(
    "text",
    [
        nested("[1]", "[{0}, {0}]") + "\n_base_: *a40",
        nested("[1]", "[{0}, {0}]") + "\nmodel: *a40",
        nested("{x: 1}", "{{a: {0}, b: {0}}}") + "\nmodel: *a40",
        nested("{x: 1}", "{{<<: [{0}, {0}]}}"),
        "epochs: &a [*a]",
        "epochs: " + "9" * 5000,
        "epochs: 0x" + "f" * 5000,
        "epochs: 9999-99-99",
        "epochs: !!timestamp x",
        "epochs: !!int ''",
        "epochs: !!bool x",
        'output_dir: "a\\0b"',
        "epochs: " + "[" * 5000,
        "- 1\n" * 20_000,
    ],
)
def test_values_that_the_parser_cannot_bear_give_one_line_at_once(tmp_path, text):
    path, start = tmp_path / "own.yaml", time.monotonic()
    path.write_text(text)
    with pytest.raises(InputError) as error:
        loading.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: not YAML (") and "\n" not in message and len(message) < 1100
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("value", ["9999-99-99", "9" * 5000, "!!bool x", "&a [*a]"])
def test_option_with_a_value_that_the_parser_cannot_bear_gives_one_line(value):
    with pytest.raises(InputError, match=r"^-o .*the value is not YAML"):
        loading.load(CONFIGS / "demo.yaml", [f"epochs={value}"])


def test_base_is_a_regular_file_of_at_most_a_megabyte_and_not_far_away(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (1 << 20) + b"\n")
    (tmp_path / "loop").symlink_to("loop")
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_text(f"_base_: {i + 1}.yaml")
    path = tmp_path / "own.yaml"
    reasons = {
        "/dev/zero": "a pipe or device, not a file",
        "pipe": "a pipe or device, not a file",
        "large": "larger than such a file can be",
        "loop": "loop: ",
        "'a\\0b'": "No such file",
        '"a\\0b"': "a value with a null character",
        "0.yaml": "more than 20 files follow each other",
    }
    for base, reason in reasons.items():
        path.write_text(f"_base_: {base}")
        with pytest.raises(InputError, match=reason):
            loading.load(path)


def test_option_with_too_many_sections_is_refused():
    with pytest.raises(InputError, match="is not of the form"):
        loading.load(CONFIGS / "demo.yaml", ["a" + ".a" * 5000 + "=1"])


def test_binary_files_and_folders_are_refused(tmp_path):
    (tmp_path / "own.yaml").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path / "own.yaml", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            loading.load(path)


@pytest.mark.parametrize("epochs", ["1", "null", "40"])
def test_total_iters_takes_the_place_of_epochs(epochs):
    c = loading.load(CONFIGS / "cartoonloss_base.yaml", ["total_iters=5", f"epochs={epochs}"])
    assert c.epochs is None and c.total_iters == 5  # ppgan's trainer uses total_iters only with null
    assert loading.check(c.model_dump(), "a test") == c


def test_invalid_value_under_an_old_key_names_the_current_key():
    tree = loading.load(CONFIGS / "cartoonloss_base.yaml").model_dump()
    tree["optimizer"]["optimizer_D"]["rate"] = -1
    del tree["optimizer"]["optimizer_D"]["lr_mult"]
    with pytest.raises(InputError, match=r"^saved: optimizer\.optimizer_D\.lr_mult: input should be greater than 0"):
        loading.check(tree, "saved")


@pytest.mark.parametrize("config", ["cartoonloss_base.yaml", "demo.yaml"])
def test_config_for_ppgan_has_the_folders_of_validate_as_its_test_data(config):
    metric = "{name: CartoonKID, features: inception}"
    section = f"validate={{interval: 1, photos: p, cartoons: c, batch_size: 3, metrics: {{kid: {metric}}}}}"
    tree = loading.load(CONFIGS / config, [section]).for_ppgan()
    test, train = tree["dataset"]["test"], tree["dataset"]["train"]
    assert [test[key] for key in ("dataroot", "photos", "cartoons", "batch_size")] == [".", "p", "c", 3]
    assert test["name"] == "UnpairedCartoonDataset" and test["size"] == train["size"]
    assert loading.check(tree, "a test").for_ppgan() == tree
