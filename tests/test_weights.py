"""Weights files: the shipped styles, saving and loading, and files that are refused."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

from ppcartoon import InputError, weights


def test_shipped_styles_are_those_of_the_manifest():
    files = {path.name for path in weights.folder().glob("*.safetensors")}
    assert {f"{style}.safetensors" for style in weights.manifest()} == files


@pytest.mark.parametrize("style", weights.manifest())
def test_shipped_style_states_its_origin_and_is_stored_as_float16(style):
    loaded = weights.load_style(style)
    assert loaded.style == style
    assert "David Revoy" in loaded.attribution
    assert all(getattr(loaded, key) not in ("", "unknown") for key in set(weights.TEXTS) - {"config"})
    size = (weights.folder() / f"{style}.safetensors").stat().st_size
    assert size == pytest.approx(2 * sum(t.size for t in loaded.tensors.values()), rel=0.01)
    assert {t.dtype for t in loaded.tensors.values()} == {np.dtype(np.float32)}


def test_saved_weights_can_be_loaded(tiny_weights, tiny_file):
    loaded = weights.load(tiny_file)
    assert loaded.network == tiny_weights.network
    assert [getattr(loaded, k) for k in weights.TEXTS] == [getattr(tiny_weights, k) for k in weights.TEXTS]
    assert loaded.tensors.keys() == tiny_weights.tensors.keys()
    for name, tensor in tiny_weights.tensors.items():
        np.testing.assert_allclose(loaded.tensors[name], tensor, rtol=1e-3, atol=1e-6)


@pytest.fixture
def shipped(tmp_path, tiny_file, monkeypatch):
    """The weights file in a folder of shipped weights with one style."""
    data = tiny_file.read_bytes()
    (tmp_path / "tiny.safetensors").write_bytes(data)
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(data).hexdigest()}  tiny.safetensors\n")
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    assert weights.load_style("tiny").style == "tiny"
    return tmp_path / "tiny.safetensors"


def test_changed_byte_of_a_shipped_file_is_detected(shipped):
    data = bytearray(shipped.read_bytes())
    data[-1] ^= 1
    shipped.write_bytes(data)
    with pytest.raises(InputError, match="sha256 differs"):
        weights.load_style("tiny")


def test_missing_shipped_file_is_named(shipped):
    shipped.unlink()
    with pytest.raises(InputError, match=r"tiny\.safetensors: No such file"):
        weights.load_style("tiny")


def test_missing_manifest_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    with pytest.raises(InputError, match="SHA256SUMS: No such file"):
        weights.load_style("peppercarrot")


@pytest.mark.parametrize(
    "style, names", [("pepercarot", "peppercarrot"), ("../../etc/passwd", "peppercarrot or storybook")]
)
def test_unknown_style_is_refused_with_suggestions(style, names):
    with pytest.raises(InputError, match=rf"'{style}': unknown; did you mean {names}\?"):
        weights.load_style(style)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_truncated_file_is_refused(tiny_file, tmp_path, length):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_file.read_bytes()[:length])
    with pytest.raises(InputError, match=r"cut\.safetensors: not a complete"):
        weights.load(path)


def test_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3, np.float32)}))
    with pytest.raises(InputError, match="not weights of ppcartoon"):
        weights.load(path)


def test_pickle_is_refused_without_being_run(tmp_path):
    path = tmp_path / "evil.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(InputError, match="not a complete"):
        weights.load(path)
    assert not (tmp_path / "ran").exists()


def network(**encoder):
    arguments = {"name": "CartoonLossDiscriminator", "channels": 2} | encoder
    return json.dumps({"encoder": arguments, "generator": {"in_channels": 8, "channels": 4}})


@pytest.mark.parametrize(
    "network",
    [
        "not json",
        "[]",
        "{}",
        network(name="os.system"),
        network(channels=9999999),
        network(channels=True),
        network(x=1),
        network().replace('"channels": 4', '"channels": 4, "depthwise": 1'),
        network().replace('"channels": 4', '"name": "os.system"'),
        network().replace('"channels": 4', '"name": null, "channels": 4'),
        network().replace('"channels": 4', '"name": "Other", "width": 1e3'),
        network().replace('"channels": 4', '"name": "Other", "width": 9999999'),
        network().replace('"channels": 4', '"name": "Other", "path": "/etc/passwd"'),
        '{"generator": {"name": "Other", "in_channels": 8}}',
        '{"generator": {"name": ["AnimeGenerator"]}}',
        '{"generator": {"name": "CartoonGANGenerator", "channels": true, "blocks": 1}}',
    ],
)
def test_invalid_network_arguments_are_refused(tmp_path, tiny_weights, network):
    path = tmp_path / "invalid.safetensors"
    path.write_bytes(safetensors.numpy.save(tiny_weights.tensors, {"format": "ppcartoon", "network": network}))
    with pytest.raises(InputError, match="metadata key network"):
        weights.load(path)


def test_old_file_without_the_depthwise_argument_has_common_convolutions(tmp_path, tiny_weights):
    path = tmp_path / "old.safetensors"
    path.write_bytes(safetensors.numpy.save(tiny_weights.tensors, {"format": "ppcartoon", "network": network()}))
    assert weights.load(path).network["generator"] == {"in_channels": 8, "channels": 4, "depthwise": False}


def test_edge_target_levels_and_int8_are_optional_and_kept(tmp_path, tiny_weights, tiny_file):
    old = weights.load(tiny_file)
    assert old.edge_target is None and old.levels is None and old.int8 is None
    values = {"edge_target": 0.2, "levels": (18, 244), "int8": {"generator.out": [0.0, 2.5]}}
    weights.save(tmp_path / "bold.safetensors", dataclasses.replace(tiny_weights, **values))
    bold = weights.load(tmp_path / "bold.safetensors")
    assert bold.edge_target == 0.2 and [*bold.levels] == [18, 244] and bold.int8 == {"generator.out": [0.0, 2.5]}


@pytest.mark.parametrize(
    "key, text",
    [
        *(("edge_target", text) for text in ("0.0", "1.5", "NaN", "bold", "[0.1]")),
        *(("int8", text) for text in ("[]", '{"conv": [-1.0, 1.0]}', '{"generator.out": 1.0}')),
        *(("int8", f'{{"generator.out": {pair}}}') for pair in ("[1.0, 2.0]", "[-1.0, NaN]", "[0.0, 1e99]", "[0, 1]")),
        *(("levels", text) for text in ("[200, 20]", "[0, 256]", "[0, 0.5]", "[1]", "20", "black")),
    ],
)
def test_invalid_edge_target_levels_or_int8_are_refused(tmp_path, tiny_weights, key, text):
    path = tmp_path / "invalid.safetensors"
    metadata = {"format": "ppcartoon", "network": json.dumps(tiny_weights.network), key: text}
    path.write_bytes(safetensors.numpy.save(tiny_weights.tensors, metadata))
    with pytest.raises(InputError, match=f"metadata key {key}: .* is out of range"):
        weights.load(path)


def test_values_that_are_not_finite_are_refused(tmp_path, tiny_weights):
    path = tmp_path / "nan.safetensors"
    tensors = {name: tensor * np.nan for name, tensor in tiny_weights.tensors.items()}
    metadata = {"format": "ppcartoon", "network": json.dumps(tiny_weights.network)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(InputError, match="not finite float16"):
        weights.load(path)


def test_npz_without_the_tensors_of_a_trainer_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(3))
    for data in (path.read_bytes(), b"nothing"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.npz: not an \.npz with the tensors"):
            weights.from_npz(path)


def test_npz_that_unpacks_to_more_than_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "MAX_BYTES", 1 << 20)
    np.savez_compressed(tmp_path / "a.npz", **{"netD.a": np.zeros(1 << 20)})
    with pytest.raises(InputError, match="more than 1 MB"):
        weights.from_npz(tmp_path / "a.npz")


def test_target_inside_a_file_is_refused(tmp_path, tiny_weights):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: a file is there, where a folder is needed"):
        weights.save(tmp_path / "file" / "a.safetensors", tiny_weights)


def test_control_characters_of_a_command_are_replaced_so_that_the_file_can_be_loaded(tiny_weights, tmp_path):
    path = tmp_path / "a.safetensors"
    weights.save(path, dataclasses.replace(tiny_weights, command="train -o 'a\nb\u00a0c'"))
    assert weights.load(path).command == "train -o 'a b c'"
