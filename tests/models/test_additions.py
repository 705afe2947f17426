"""What CartoonLossGANModel can do beyond the paper: off it changes nothing, and each part does what its key says."""

import numpy as np
import paddle
import pytest

from ppcartoon.models import augment, losses
from ppcartoon.models.average import RunningAverage
from ppcartoon.models.networks import Cartoonizer, warm_up_spectral_norm
from ppcartoon.training import checkpoints
from ppcartoon.training.trainer import seed_generators
from tests.helpers import tiny

ALL_ON = {
    "gan_mode": "lsgan",
    "huber_delta": 0.02,
    "huber_slope": "unit",
    "chroma_weight": 2.0,
    "luma_weight": 4.0,
    "match_tint": 0.85,
    "diffaugment": "color",
    "color_head": 10.0,
    "photo_negatives": 0.5,
    "pool_size": 3,
    "d_steps": 2,
    "encoder_ema_decay": 0.9,
    "ema_decay": 0.8,
}


def batch(seed=0, others=1):
    """A batch with other cartoons for D's further steps."""
    images = tiny.batch(seed=seed)
    other = [tiny.batch(seed=seed + 100 * (k + 1)) for k in range(others)]
    images["other_cartoons"] = paddle.stack([b["cartoon"] for b in other], 1)
    images["other_smooth"] = paddle.stack([b["smooth"] for b in other], 1)
    return images


def train(model, steps):
    """Trains on the batches of these steps, with the random numbers of each step."""
    for step in steps:
        seed_generators(0, 0, step)
        model.setup_input(batch(step))
        model.train_iter()
    return model


def seen_by_d(model, images):
    """The images of each call of D in one training step."""
    seen = []
    hook = model.nets["netD"].encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].numpy()))
    model.setup_input(images)
    model.train_iter()
    hook.remove()
    return seen[1:]  # the first call reads the batch for G


def test_steps_of_the_paper_have_the_losses_that_they_had_before_the_additions():
    model = tiny.model()
    for net in model.nets.values():
        for i, kernel in enumerate(p for p in net.parameters() if p.ndim == 4):
            values = np.sin(np.arange(kernel.size) * (i + 1.7)).reshape(kernel.shape) * 0.3
            kernel.set_value(paddle.to_tensor(values, "float32"))
    warm_up_spectral_norm(model.nets["netD"], 200)
    names = ("d_loss", "g_adv", "g_content", "g_gray", "g_color", "g_tv")
    recorded = [[1.49066, 218.961, 111.733, 45.2288, 20.8261, 0.0803519], [1.51, 224.5, 112.73, 45.31, 20.52, 0.09436]]
    for seed, tolerance in enumerate((1e-4, 5e-3)):  # Adam's first step amplifies rounding
        model.setup_input(tiny.batch(seed=seed))
        model.train_iter()
        assert [float(model.losses[name]) for name in names] == pytest.approx(recorded[seed], rel=tolerance)


def test_run_with_all_additions_resumes_bit_for_bit():
    paddle.seed(0)
    whole = train(tiny.model(init_epochs=2, **ALL_ON), range(7))
    paddle.seed(0)
    first = train(tiny.model(init_epochs=2, **ALL_ON), range(4))
    saved = checkpoints.state_dict(first)
    resumed = tiny.model(init_epochs=2, **ALL_ON)
    checkpoints.load_state_dict(resumed, saved)
    resumed.steps = 4
    train(resumed, range(4, 7))
    assert not tiny.differing(checkpoints.state_dict(whole), checkpoints.state_dict(resumed))
    assert {name: float(v) for name, v in whole.losses.items()} == {n: float(v) for n, v in resumed.losses.items()}
    photo = tiny.batch()["photo"]
    assert bool((whole.cartoonize(photo) == resumed.cartoonize(photo)).all())


def test_checkpoint_has_the_averages_the_pool_and_the_color_head_with_its_moments():
    names = set(checkpoints.state_dict(train(tiny.model(**ALL_ON), range(2))))
    assert {
        "memory/reader/0.weight_orig", "memory/reader/0.weight_u", "memory/encoder/7.weight_v",
        "memory/generator/out.weight", "memory/pool", "color_head/weight",
        "optimizer_D/color_head.weight/moment1_0", "optimizer_D/netD.encoder.0.weight_orig/moment2_0",
    } <= names  # fmt: skip


def test_checkpoint_without_averages_starts_them_with_its_networks():
    plain = train(tiny.model(), range(2))
    model = tiny.model(ema_decay=0.9, encoder_ema_decay=0.9)
    checkpoints.load_state_dict(model, checkpoints.state_dict(plain))
    assert not tiny.differing(model.export(), plain.export())


def test_average_follows_every_tensor_of_its_network():
    model = tiny.model(ema_decay=0.75)
    before = model.averages["encoder"].state(), model.averages["generator"].state()
    train(model, range(1))
    now = tiny.state(model.nets["netD"].encoder), tiny.state(model.nets["netG"])
    for old, new, average in zip(before, now, (model.averages["encoder"], model.averages["generator"])):
        assert any(not np.array_equal(old[name], new[name]) for name in new)
        for name, value in average.state().items():
            np.testing.assert_allclose(value, 0.75 * old[name] + 0.25 * new[name], rtol=1e-5, atol=1e-7)


def test_average_shares_no_tensor_with_its_network():
    net = tiny.model().nets["netD"].encoder
    average = RunningAverage(net, 0.5)
    net[0].weight_orig.set_value(paddle.zeros(net[0].weight_orig.shape))
    assert np.abs(average.state()["0.weight_orig"]).min() > 0
    average.restart(net)
    assert not average.state()["0.weight_orig"].any()
    assert all(parameter.stop_gradient for parameter in average.net.parameters())


def test_samples_and_weights_use_the_averages_and_training_does_not():
    model = train(tiny.model(ema_decay=0.9), range(3))
    photo = tiny.batch()["photo"]
    trained = model.nets["netG"](model.encode(photo))
    assert float((model.cartoonize(photo) - trained).abs().max()) > 1e-4
    net = Cartoonizer(**model.network)
    net.set_state_dict(model.export())
    assert tiny.relative(net(photo), model.cartoonize(photo).numpy()) < 1e-5


def test_g_reads_the_average_of_e_in_training_and_in_use():
    model = tiny.model(encoder_ema_decay=0.9)
    before = model.averages["reader"].state()
    train(model, range(1))
    kernel = model.nets["netD"].encoder[0].weight_orig
    np.testing.assert_allclose(
        model.averages["reader"].state()["0.weight_orig"],
        0.9 * before["0.weight_orig"] + 0.1 * kernel.numpy(),
        rtol=1e-5,
    )
    photo = tiny.batch()["photo"]
    read, cartoon = model.encode(photo), model.cartoonize(photo)
    kernel.set_value(paddle.randn(kernel.shape))
    assert bool((model.encode(photo) == read).all()) and bool((model.cartoonize(photo) == cartoon).all())
    net = Cartoonizer(**model.network)
    net.set_state_dict(model.export())
    assert tiny.relative(net(photo), cartoon.numpy()) < 1e-5


def test_average_of_g_reads_the_average_of_the_average_of_e():
    model = train(tiny.model(encoder_ema_decay=0.5, ema_decay=0.5), range(1))
    names = ("reader", "encoder")
    reader, encoder = (model.averages[name].state()["0.weight_orig"] for name in names)
    start = 2 * reader - model.nets["netD"].encoder[0].weight_orig.numpy()
    np.testing.assert_allclose(encoder, (start + reader) / 2, rtol=1e-4, atol=1e-6)


def test_own_encoder_of_g_is_averaged_with_it():
    model = train(tiny.model(reuse_encoder=False, ema_decay=0.9), range(2))
    assert "encoder.0.weight_orig" in model.averages["generator"].state()
    net = Cartoonizer(**model.network)
    net.set_state_dict(model.export())
    assert tiny.relative(net(tiny.batch()["photo"]), model.cartoonize(tiny.batch()["photo"]).numpy()) < 1e-5


def test_all_that_d_sees_has_random_colors_of_its_own():
    images = tiny.batch()
    images = {name: images["photo"][:1].expand([2, -1, -1, -1]) for name in images}
    paddle.seed(5)
    model = tiny.model(diffaugment="color")
    in_d, in_g = seen_by_d(model, images)
    assert len(in_d) == 6 and len(in_g) == 2
    same_photos = in_d[[0, 1, 4, 5]]
    assert len({image.tobytes() for image in same_photos}) == 4
    means = same_photos.mean((2, 3))
    assert np.abs(means - means[0])[1:].max(1).min() > 0.01
    assert not np.array_equal(in_g, model.fake.numpy())


def test_changed_colors_pass_gradients_to_g():
    model = tiny.model(diffaugment="color", **{f"{term}_weight": 0.0 for term in ("content", "gray", "color", "tv")})
    before = tiny.state(model.nets["netG"])
    train(model, range(1))
    assert set(tiny.differing(before, tiny.state(model.nets["netG"]))) > {"out.weight", "body.0.body.0.0.weight"}


def test_color_head_trains_e_and_itself_in_d_s_first_step_only():
    model = tiny.model(color_head=1.0, d_steps=2)
    before = tiny.state(model.nets["color_head"])
    shown = seen_by_d(model, batch())
    assert [len(images) for images in shown] == [8, 6, 2]  # with the photos; on other cartoons; for G
    assert np.array_equal(shown[0][-2:], model.photo.numpy())
    assert set(tiny.differing(before, tiny.state(model.nets["color_head"]))) == {"weight", "bias"}
    terms = {name: float(value) for name, value in model.losses.items()}
    assert terms["d_color_head"] > 0
    assert terms["d_loss"] == pytest.approx(sum(terms[f"d_{x}"] for x in ("real", "fake", "smooth", "color_head")))


def test_color_head_reads_photos_in_stage_init():
    model = tiny.model(init_epochs=1, color_head=1.0)
    (shown,) = seen_by_d(model, tiny.batch())
    assert len(shown) == 4 and set(model.losses) >= {"d_real", "d_fake", "d_color_head"}
    assert tiny.model(color_head=1.0).nets["color_head"](paddle.zeros([1, 8, 4, 4])).shape == [1, 2, 4, 4]


@pytest.mark.parametrize(
    "discriminator, in_channels", [("CartoonLossDiscriminator", 8), ("CartoonLossNLayerDiscriminator", 4)]
)
def test_color_head_learns_the_colors_of_photos(discriminator, in_channels):
    model = tiny.model(color_head=10.0, discriminator=discriminator, in_channels=in_channels)
    colors = np.random.default_rng(0).uniform(-1, 1, (30, 2, 3, 1, 1))
    found = []
    for color in colors:
        flat = paddle.to_tensor(np.broadcast_to(color, (2, 3, 32, 32)), "float32")
        model.setup_input({**tiny.batch(), "photo": flat})
        model.train_iter()
        found.append(float(model.losses["d_color_head"]))
    assert np.mean(found[-5:]) < 0.7 * np.mean(found[:5])


def test_photos_are_negatives_of_d_with_their_weight():
    model = tiny.model(photo_negatives=0.5)
    model.setup_input(tiny.batch())
    model.forward()
    terms = model.discriminator_losses()
    images = [model.cartoon, model.fake.detach(), model.smooth, model.photo]
    logits = model.nets["netD"](paddle.concat(images))
    assert float(terms["d_photo"]) == pytest.approx(0.5 * float(losses.photo_negative_loss(logits[-2:])), rel=1e-5)
    assert float(terms["d_loss"]) == pytest.approx(
        sum(float(terms[f"d_{x}"]) for x in ("real", "fake", "smooth", "photo")), rel=1e-5
    )
    model.init_steps = 1
    model.forward()
    assert "d_photo" not in model.discriminator_losses()  # in stage init photos are what is real


def test_d_sees_stored_outputs_and_the_pool_keeps_the_new_ones():
    model = tiny.model(pool_size=2)
    black = np.full((2, 3, 32, 32), -1, np.float32)
    model.load_extra_state({"pool": black})
    shown = []
    for step in range(8):
        seed_generators(0, 0, step)
        in_d, _ = seen_by_d(model, tiny.batch(seed=step))
        shown.append(in_d[2:4])
    stored = np.stack(shown).min((1, 2, 3, 4)) == -1
    assert stored.any() and np.abs(model.extra_state()["pool"] + 1).max() > 0.1
    assert model.extra_state()["pool"].shape == (2, 3, 32, 32)


def test_stage_init_leaves_the_pool_empty_and_d_one_step():
    model = tiny.model(init_epochs=1, pool_size=4, d_steps=3)
    shown = seen_by_d(model, batch(others=2))
    assert [len(images) for images in shown] == [4] and "pool" not in model.extra_state()


def test_d_s_further_steps_use_other_cartoons_and_leave_g_one_step():
    model, images = tiny.model(d_steps=3), batch(others=2)
    shown = seen_by_d(model, images)
    assert [len(x) for x in shown] == [6, 6, 6, 2]
    for k in (0, 1):
        assert np.array_equal(shown[k + 1][:2], images["other_cartoons"][:, k].numpy())
        assert np.array_equal(shown[k + 1][4:], images["other_smooth"][:, k].numpy())
    powers = {key: value.item() for key, value in checkpoints.state_dict(model).items() if "beta1_pow" in key}
    steps = {"D": 3, "G": 1}  # Adam multiplies the power once per step, and once before the first
    for key, power in powers.items():
        assert power == pytest.approx(0.5 ** (steps[key[10]] + 1))


def test_cartoons_get_the_tint_of_their_photos_before_any_loss():
    model, images = tiny.model(match_tint=0.85, d_steps=2), batch()
    model.setup_input(images)
    wanted = augment.match_tint(images["photo"], images["cartoon"], images["smooth"], 0.85)
    assert bool((model.cartoon == wanted[0]).all()) and bool((model.smooth == wanted[1]).all())
    assert bool((model.gray_cartoon == losses.gray(wanted[0])).all())
    ((other, _),) = model.other_cartoons
    assert not bool((other == images["other_cartoons"][:, 0]).all())


@pytest.mark.parametrize("name, loss", [("chroma", losses.chroma_loss), ("luma", losses.luma_loss)])
def test_losses_to_the_photo_are_added_with_their_weights(name, loss):
    model = tiny.model(**{f"{name}_weight": 3.0})
    model.setup_input(tiny.batch())
    model.forward()
    terms = model.generator_losses()
    assert float(terms[f"g_{name}"]) == pytest.approx(3 * float(loss(model.fake, model.photo)), rel=1e-6)
    assert float(terms["g_loss"]) == pytest.approx(sum(float(v) for k, v in terms.items() if k != "g_loss"), rel=1e-6)


@pytest.mark.parametrize("color_loss", ["cartoonloss", "animegan"])
def test_unit_slope_divides_the_huber_loss_by_delta(color_loss):
    found = []
    for slope in ("paper", "unit"):
        paddle.seed(0)
        model = tiny.model(huber_delta=0.02, huber_slope=slope, color_loss=color_loss)
        model.setup_input(tiny.batch())
        model.forward()
        found.append(float(model.generator_losses()["g_color"]))
    assert found[1] > 1.5 * found[0]


def test_init_steps_replace_init_epochs():
    assert tiny.model(init_epochs=5).init_steps == 5  # an epoch of the tiny model has one step
    model = tiny.model(init_epochs=5, init_steps=2)
    seen = []
    for step in range(3):
        seen.append(model.stage)
        train(model, [step])
    assert seen == ["init", "init", "cartoon"]


@pytest.mark.parametrize("steps, warned", [(0, False), (1, True), (999, True), (1000, False)])
def test_short_stage_init_is_warned_of(steps, warned):
    lines = tiny.model(init_steps=steps).warnings()
    assert bool(lines) == warned and all(f"stage init has {steps} steps" in line for line in lines)
