"""Files that are damaged, foreign or hostile: a clear error, no code run, nothing changed."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import kgraph as keras
from kgraph.errors import DataError, FileError, InvalidArgumentError, KGraphError, ShapeError, UnknownNameError
from kgraph.models import load_model


def small() -> Any:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="head")])
    model.compile("adam", "mse")
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "good.keras"
    small().save(path)
    return path


def repack(source: Path, target: Path, change: Any) -> Path:
    """A copy of an archive with members changed: change(name, bytes) -> bytes or None."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


def with_config(source: Path, target: Path, change: Any) -> Path:
    def edit(name: str, data: bytes) -> bytes:
        if name != "config.json":
            return data
        config = json.loads(data)
        return json.dumps(change(config) or config).encode()

    return repack(source, target, edit)


def test_every_cut_off_archive_is_refused(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    cut = tmp_path / "cut.keras"
    for size in range(0, len(data), max(1, len(data) // 40)):
        cut.write_bytes(data[:size])
        with pytest.raises(FileError):
            load_model(cut)


def test_every_cut_off_h5_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    small().save(whole)
    data = whole.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in range(0, len(data), max(1, len(data) // 30)):
        cut.write_bytes(data[:size])
        with pytest.raises(KGraphError):
            load_model(cut)


def test_flipped_bytes_never_end_in_another_error(saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    bad = tmp_path / "bad.keras"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 0xFF
        bad.write_bytes(changed)
        try:
            load_model(bad)
        except KGraphError:
            pass


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 no zip", b"\x89HDF\r\n\x1a\n", b"\x00" * 4096])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_foreign_files(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"x.{ending}"
    path.write_bytes(content)
    with pytest.raises(FileError):
        load_model(path)


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_members_with_paths_outside(saved: Path, tmp_path: Path, name: str) -> None:
    path = repack(saved, tmp_path / "out.keras", lambda name, data: data)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(FileError, match="outside"):
        load_model(path)


def test_bombs(saved: Path, tmp_path: Path) -> None:
    path = repack(saved, tmp_path / "bomb.keras", lambda name, data: None if name == "config.json" else data)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (64 << 20))
    with pytest.raises(FileError, match="unpacks to far more"):
        load_model(path)


def test_members_missing_or_double(saved: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.weights.h5"):
        path = repack(saved, tmp_path / "less.keras", lambda one, data, name=name: None if one == name else data)
        with pytest.raises(FileError, match=name):
            load_model(path)
    path = repack(saved, tmp_path / "twice.keras", lambda name, data: data)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", "{}")
    with pytest.raises(FileError, match="twice"):
        load_model(path)


@pytest.mark.parametrize(
    "value",
    [
        [], {}, None, 3, {"class_name": "Sequential"}, {"class_name": 3, "config": {}},
        {"class_name": "Dense", "module": "keras.layers", "config": {"units": 3}},
        {"class_name": "Sequential", "module": "keras", "config": {"layers": 5}},
        {"class_name": "Functional", "module": "keras", "config": {"layers": [], "input_layers": 1}},
        {"class_name": "Model", "module": "keras", "config": {"layers": [3], "input_layers": 1, "output_layers": 1}},
        {"class_name": "Sequential", "module": "keras", "config": {"layers": [{"class_name": "Dense", "config": 5}]}},
        {"class_name": "Sequential", "module": "keras", "config": {"layers": [{"class_name": "Dense", "config": {}}]}},
    ],
)  # fmt: skip
def test_damaged_configurations(saved: Path, tmp_path: Path, value: Any) -> None:
    path = repack(
        saved, tmp_path / "c.keras", lambda name, data: json.dumps(value).encode() if name == "config.json" else data
    )
    with pytest.raises(KGraphError):
        load_model(path)


def test_deep_nesting(saved: Path, tmp_path: Path) -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    path = repack(saved, tmp_path / "deep.keras", lambda name, data: text if name == "config.json" else data)
    with pytest.raises(FileError):
        load_model(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen"), ("evil", "Layer"), (None, "X")],
)
def test_unknown_classes_are_never_imported(saved: Path, tmp_path: Path, module: Any, name: str) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1].update(module=module, class_name=name, registered_name=name)

    with pytest.raises(UnknownNameError, match="custom_objects"):
        load_model(with_config(saved, tmp_path / "u.keras", change))

    def function(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {
            "module": module, "class_name": "function", "config": name, "registered_name": name,
        }  # fmt: skip

    with pytest.raises(KGraphError):
        load_model(with_config(saved, tmp_path / "u.keras", function))


def test_lambda_is_code(tmp_path: Path) -> None:
    path = tmp_path / "l.keras"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2.0, name="twice")])
    model.save(path)
    with pytest.raises(InvalidArgumentError, match="safe_mode=False") as caught:
        load_model(path)
    assert "twice" in str(caught.value)
    x = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(load_model(path, safe_mode=False).predict(x, verbose=0), x * 2)


def test_no_code_runs(saved: Path, tmp_path: Path) -> None:
    """Byte code of Keras 2's and Keras 3's forms, in the layer and in an activation."""
    import base64
    import marshal

    flag = tmp_path / "flag"
    code = compile(f"open({str(flag)!r}, 'w')", "x", "eval")
    text = base64.encodebytes(marshal.dumps(code)).decode()
    new = {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}
    for function in (new, {"class_name": "__lambda__", "config": {"value": [text, None, None]}}, [text, None, None]):
        for key, layer in (("function", "Lambda"), ("activation", "Dense"), ("kernel_initializer", "Dense")):

            def change(config: dict[str, Any], key: str = key, layer: str = layer, function: Any = function) -> None:
                inner = {"name": "a", key: function, **({"units": 2} if layer == "Dense" else {})}
                config["config"]["layers"][1].update(class_name=layer, config=inner)

            with pytest.raises(KGraphError):
                load_model(with_config(saved, tmp_path / "f.keras", change))
    assert not flag.exists()


def test_wrong_shapes(saved: Path, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1]["config"]["units"] = 5

    with pytest.raises(ShapeError, match="head/kernel") as caught:
        load_model(with_config(saved, tmp_path / "s.keras", change))
    assert "(3, 2)" in str(caught.value) and "(3, 5)" in str(caught.value)
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(2)])
    before = other.get_weights()
    for ending in ("keras", "h5"):
        path = tmp_path / f"w.{ending}"
        small().save(path)
        with pytest.raises(DataError):
            other.load_weights(path)
    for old, new in zip(before, other.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_links_out_of_the_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["k"] = np.ones((3, 2), np.float32)
    for kind in ("external link", "soft link", "external data"):
        path = tmp_path / "links.weights.h5"
        small().save_weights(path)
        with h5py.File(path, "a") as file:
            group = file["layers/dense/vars"]
            del group["0"]
            if kind == "external link":
                group["0"] = h5py.ExternalLink(str(secret), "/k")
            elif kind == "soft link":
                group["0"] = h5py.SoftLink("/layers/dense/vars/1")
            else:
                raw = tmp_path / "raw.bin"
                raw.write_bytes(b"\x00" * 24)
                group.create_dataset("0", (3, 2), "float32", external=[(str(raw), 0, 24)])
        with pytest.raises(FileError, match=r"elsewhere|something else"):
            small().load_weights(path)


def test_a_crash_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fail(*args: Any) -> None:
        raise RuntimeError("power cut")

    for target in ("kgraph.saving.safety.os.replace", "kgraph.saving.archive.zipfile.ZipFile.writestr"):
        with monkeypatch.context() as patch:
            patch.setattr(target, fail)
            with pytest.raises(RuntimeError):
                small().save(saved)
        assert saved.read_bytes() == before
        assert os.listdir(saved.parent) == [saved.name]


def test_names_and_overwrite(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="exists"):
        small().save(saved, overwrite=False)
    for name in ("m.pb", "m", "m.weights.h5", "m.pkl"):
        with pytest.raises(InvalidArgumentError):
            small().save(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        small().save(tmp_path / "nowhere" / "m.keras")
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "no.keras")
    small().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(InvalidArgumentError, match="weights only"):
        load_model(tmp_path / "m.weights.h5")
    with pytest.raises(FileError):
        load_model(tmp_path)
