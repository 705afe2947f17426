"""Weights files: what is shipped, what is refused."""

import dataclasses
import hashlib
import io
import json

import numpy as np
import pytest
import safetensors.numpy

from ppcartoon import InputError, weights


def test_every_shipped_file_is_whole_and_says_where_it_comes_from():
    assert {f"{style}.safetensors" for style in weights.manifest()} == {
        path.name for path in weights.folder().glob("*.safetensors")
    }
    for style in weights.manifest():
        loaded = weights.load_style(style)
        assert loaded.style == style
        assert "David Revoy" in loaded.attribution
        assert all(getattr(loaded, key) not in ("", "unknown") for key in set(weights.TEXTS) - {"config"})


def test_shipped_file_is_half_the_size_of_float32():
    loaded = weights.load_style("peppercarrot")
    size = (weights.folder() / "peppercarrot.safetensors").stat().st_size
    assert size == pytest.approx(2 * sum(t.size for t in loaded.tensors.values()), rel=0.01)
    assert {t.dtype for t in loaded.tensors.values()} == {np.dtype(np.float32)}


def test_saved_weights_come_back(tiny_weights, tiny_file):
    loaded = weights.load(tiny_file)
    assert loaded.network == tiny_weights.network
    assert [getattr(loaded, k) for k in weights.TEXTS] == [getattr(tiny_weights, k) for k in weights.TEXTS]
    assert loaded.tensors.keys() == tiny_weights.tensors.keys()
    for name, tensor in tiny_weights.tensors.items():
        np.testing.assert_allclose(loaded.tensors[name], tensor, rtol=1e-3, atol=1e-6)


@pytest.fixture
def shipped(tmp_path, tiny_file, monkeypatch):
    """A folder of shipped weights with one style in it."""
    data = tiny_file.read_bytes()
    (tmp_path / "tiny.safetensors").write_bytes(data)
    (tmp_path / "SHA256SUMS").write_text(f"{hashlib.sha256(data).hexdigest()}  tiny.safetensors\n")
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    assert weights.load_style("tiny").style == "tiny"
    return tmp_path / "tiny.safetensors"


def test_a_changed_byte_is_noticed(shipped):
    data = bytearray(shipped.read_bytes())
    data[-1] ^= 1
    shipped.write_bytes(data)
    with pytest.raises(InputError, match="sha256 differs"):
        weights.load_style("tiny")


def test_a_missing_file_is_named(shipped):
    shipped.unlink()
    with pytest.raises(InputError, match=r"tiny\.safetensors: No such file"):
        weights.load_style("tiny")


def test_a_missing_manifest_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    with pytest.raises(InputError, match="SHA256SUMS: No such file"):
        weights.load_style("peppercarrot")


def test_an_unknown_style_names_the_near_ones():
    with pytest.raises(InputError, match=r"'pepercarot': unknown; did you mean peppercarrot\?"):
        weights.load_style("pepercarot")
    with pytest.raises(InputError, match="did you mean peppercarrot"):
        weights.load_style("../../etc/passwd")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tiny_file, tmp_path, keep):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_file.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"cut\.safetensors: not a whole"):
        weights.load(path)


def test_a_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3, np.float32)}))
    with pytest.raises(InputError, match="not weights of ppcartoon"):
        weights.load(path)


def test_a_pickle_is_refused_without_being_run(tmp_path):
    path = tmp_path / "evil.safetensors"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(InputError, match="not a whole"):
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
def test_strange_network_arguments_are_refused(tmp_path, tiny_weights, network):
    path = tmp_path / "strange.safetensors"
    path.write_bytes(safetensors.numpy.save(tiny_weights.tensors, {"format": "ppcartoon", "network": network}))
    with pytest.raises(InputError, match="metadata key network"):
        weights.load(path)


def test_files_that_do_not_tell_have_common_convolutions(tmp_path, tiny_weights):
    path = tmp_path / "earlier.safetensors"
    path.write_bytes(safetensors.numpy.save(tiny_weights.tensors, {"format": "ppcartoon", "network": network()}))
    assert weights.load(path).network["generator"] == {"in_channels": 8, "channels": 4, "depthwise": False}


def test_values_that_are_not_finite_are_refused(tmp_path, tiny_weights):
    path = tmp_path / "nan.safetensors"
    tensors = {name: tensor * np.nan for name, tensor in tiny_weights.tensors.items()}
    metadata = {"format": "ppcartoon", "network": json.dumps(tiny_weights.network)}
    path.write_bytes(safetensors.numpy.save(tensors, metadata))
    with pytest.raises(InputError, match="not of finite float16"):
        weights.load(path)


def test_the_converter_refuses_what_is_no_trainer_s_npz(tmp_path):
    path = tmp_path / "a.npz"
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    for data in (buffer.getvalue(), b"nothing"):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.npz: not an \.npz with the tensors"):
            weights.from_npz(path)


def test_an_unwritable_target_is_one_line(tmp_path, tiny_weights):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: a file is there, where a folder is needed"):
        weights.save(tmp_path / "file" / "a.safetensors", tiny_weights)


def test_a_command_line_that_does_not_print_is_cleaned_so_that_the_file_can_be_read(tiny_weights, tmp_path):
    odd = dataclasses.replace(tiny_weights, command="train -o 'a\nb\u00a0c'")
    weights.save(tmp_path / "odd.safetensors", odd)
    assert weights.load(tmp_path / "odd.safetensors").command == "train -o 'a b c'"
