"""Files that ask for more than they hold: refused before memory or time is spent; and processes killed while saving."""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kgraph as keras
from kgraph.errors import FileError, InvalidArgumentError, KGraphError
from kgraph.models import load_model, model_from_json
from kgraph.saving import limits, safety

L: Any = keras.layers
Change = Callable[[dict[str, Any]], Any]


def small() -> Any:
    x = keras.Input((3,), name="x")
    return keras.Model(x, L.Dense(2, name="head")(L.Dense(4, name="body")(x)), name="m")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    for ending in ("keras", "h5"):
        small().save(folder / f"good.{ending}")
    return folder / "good.keras"


def repack(source: Path, target: Path, changed: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", kind) as new:
        for name in old.namelist():
            new.writestr(name, changed.pop(name, None) or old.read(name))
        for name, data in changed.items():
            new.writestr(name, data)
    return target


def config_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        found: dict[str, Any] = json.loads(archive.read("config.json"))
        return found


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in config["config"]["layers"] if one["name"] == name)
    return found


def wide(config: dict[str, Any]) -> None:
    layer(config, "body")["config"]["units"] = 10**9


def wider(config: dict[str, Any]) -> None:
    layer(config, "body")["config"]["units"] = 2**62


def long_input(config: dict[str, Any]) -> None:
    layer(config, "x")["config"]["batch_shape"] = [None, 10**10]


def embedding(config: dict[str, Any]) -> None:
    inner = {"name": "body", "input_dim": 10**10, "output_dim": 10**3}
    layer(config, "body").update(class_name="Embedding", config=inner)


def many_small(config: dict[str, Any]) -> None:
    one = layer(config, "body")
    cells = [{"class_name": "LSTMCell", "module": "keras.layers", "config": {"units": 10**3}} for _ in range(10)]
    stacked = {"class_name": "StackedRNNCells", "module": "keras.layers", "config": {"cells": cells}}
    one.update(class_name="RNN", config={"name": "body", "cell": stacked})
    layer(config, "x")["config"]["batch_shape"] = [None, 4, 3]


@pytest.mark.parametrize("change", [wide, wider, long_input, embedding, many_small])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_that_the_file_does_not_hold(saved: Path, tmp_path: Path, change: Change, ending: str) -> None:
    config = config_of(saved)
    change(config)
    path = tmp_path / f"bad.{ending}"
    if ending == "keras":
        repack(saved, path, {"config.json": json.dumps(config).encode()})
    else:
        path.write_bytes(saved.with_suffix(".h5").read_bytes())
        with h5py.File(path, "a") as file:
            file.attrs["model_config"] = json.dumps(config).encode()
    start = time.perf_counter()
    with pytest.raises(FileError, match="asks for more than"):
        load_model(path)
    assert time.perf_counter() - start < 5
    if change not in (many_small, wide):
        with pytest.raises(InvalidArgumentError, match="memory"):
            model_from_json(json.dumps(config))


def test_weights_of_plain_code() -> None:
    for size in (2**62, 2**40):
        with pytest.raises(InvalidArgumentError, match="does not fit into memory"):
            keras.Sequential([keras.Input((4,)), L.Dense(size)])
    with pytest.raises(InvalidArgumentError, match="does not fit into memory"):
        L.Embedding(2**62, 2**62)(keras.Input((3,), dtype="int32"))


def test_layers_and_levels(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LAYERS", 2_000)
    config = config_of(saved)
    many = copy.deepcopy(config)
    many["config"]["layers"] += [{**layer(config, "body"), "name": f"b{i}"} for i in range(2_500)]
    often = copy.deepcopy(config)
    layer(often, "body")["inbound_nodes"] *= 2_500
    deep = copy.deepcopy(config)
    for _ in range(300):
        deep = {"class_name": "Sequential", "module": "keras", "config": {"name": "s", "layers": [deep]}}
    for bad, text in ((many, "too large"), (often, "too large"), (deep, "too deep")):
        start = time.perf_counter()
        with pytest.raises(FileError, match=text):
            load_model(repack(saved, tmp_path / "bad.keras", {"config.json": json.dumps(bad).encode()}))
        assert time.perf_counter() - start < 5
        with pytest.raises(FileError, match=text):
            model_from_json(json.dumps(bad))


def test_calls_that_wait_for_each_other(saved: Path, tmp_path: Path) -> None:
    config = config_of(saved)
    tensor = copy.deepcopy(layer(config, "head")["inbound_nodes"][0]["args"][0])
    tensor["config"]["keras_history"] = ["head", 0, 0]
    layer(config, "body")["inbound_nodes"][0]["args"] = [tensor]
    with pytest.raises(FileError, match="wait for each other"):
        load_model(repack(saved, tmp_path / "c.keras", {"config.json": json.dumps(config).encode()}))


def places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every number and text in a description."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    return [
        found for key, item in pairs for found in (places(item) if isinstance(item, (dict, list)) else [(value, key)])
    ]


HOSTILE = [float("nan"), float("inf"), -1, 2**63, 1e308, "", "é" * 10, None, [], {}, [[]], True, {"class_name": "x"}]


@settings(max_examples=80, deadline=None)
@given(number=st.integers(0, 10**6), value=st.sampled_from(HOSTILE))
def test_any_value_of_a_description(saved: Path, number: int, value: Any) -> None:
    """NaN, infinity, huge numbers, other types: our error, or a model."""
    config = config_of(saved)
    found = places(config)
    container, key = found[number % len(found)]
    container[key] = value
    bad = repack(saved, saved.with_name("any.keras"), {"config.json": json.dumps(config).encode()})
    try:
        load_model(bad)
    except KGraphError:
        pass


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 0.99), ending=st.sampled_from(["keras", "h5"]))
def test_cut_off_anywhere(saved: Path, share: float, ending: str) -> None:
    data = saved.with_suffix(f".{ending}").read_bytes()
    cut = saved.with_name(f"cut.{ending}")
    cut.write_bytes(data[: int(share * len(data))])
    with pytest.raises(KGraphError):
        load_model(cut)


def test_members_that_are_links(saved: Path, tmp_path: Path) -> None:
    path = repack(saved, tmp_path / "l.keras", {})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("assets/x/vocabulary.txt")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(FileError, match="link to elsewhere"):
        load_model(path)


def test_long_texts(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "MAX_TEXT", 100_000)
    path = repack(saved, tmp_path / "t.keras", {"config.json": json.dumps(["x" * 200_000]).encode()})
    with pytest.raises(FileError, match="too long a text"):
        load_model(path)


def weights(saved: Path, tmp_path: Path, change: Callable[[Any], None]) -> Path:
    with zipfile.ZipFile(saved) as archive:
        memory = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(memory, "a") as file:
        change(file)
    return repack(saved, tmp_path / "w.keras", {"model.weights.h5": memory.getvalue()})


def claims(file: Any) -> None:
    """A shape of 12 GB of which nothing is stored."""
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (10**9, 3), "float32", chunks=(10**4, 3))


def virtual(file: Any) -> None:
    del file["layers/dense/vars/0"]
    layout = h5py.VirtualLayout((3, 4), "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (3, 4))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def reference(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file.create_dataset("layers/dense/vars/0", (3, 4), h5py.ref_dtype)


def texts(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = np.array([[b"x"] * 4] * 3)


def external(file: Any) -> None:
    del file["layers/dense"]
    file["layers/dense"] = h5py.ExternalLink("/etc/hostname", "/x")


def group(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file.create_group("layers/dense/vars/0")


def other_shape(file: Any) -> None:
    del file["layers/dense/vars/0"]
    file["layers/dense/vars/0"] = np.zeros((4, 3), "float32")


def more(file: Any) -> None:
    file["layers/dense/vars/2"] = np.zeros((4, 3), "float32")


@pytest.mark.parametrize("change", [claims, virtual, reference, texts, external, group, other_shape, more])
def test_arrays_of_a_file(saved: Path, tmp_path: Path, change: Callable[[Any], None]) -> None:
    with pytest.raises(KGraphError) as caught:
        load_model(weights(saved, tmp_path, change))
    assert "dense" in str(caught.value)


def test_packed_weights_are_read(saved: Path, tmp_path: Path) -> None:
    """Compression alone is no reason to refuse a file."""

    def pack(file: Any) -> None:
        for name in ("layers/dense/vars/0", "layers/dense_1/vars/0"):
            value = file[name][()]
            del file[name]
            file.create_dataset(name, data=value, compression="gzip", chunks=True)

    for old, new in zip(load_model(saved).get_weights(), load_model(weights(saved, tmp_path, pack)).get_weights()):
        np.testing.assert_array_equal(old, new)


# -- a crash ----------------------------------------------------------------------------------------------------------
KILLED = """
import os, signal, sys, zipfile
import h5py
import kgraph as keras
from kgraph.saving import safety

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def model(value):
    made = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300, name="d")])
    made.set_weights([w * 0 + value for w in made.get_weights()])
    return made

def after(count, real):
    calls = [0]
    def run(*args, **kwargs):
        calls[0] += 1
        return die() if calls[0] > count else real(*args, **kwargs)
    return run

write = os.write
POINTS = {
    "made": lambda: setattr(safety.os, "close", die),
    "first member": lambda: setattr(zipfile.ZipFile, "writestr", after(0, zipfile.ZipFile.writestr)),
    "last member": lambda: setattr(zipfile.ZipFile, "writestr", after(2, zipfile.ZipFile.writestr)),
    "an array": lambda: setattr(h5py.Group, "create_dataset", after(1, h5py.Group.create_dataset)),
    "sync": lambda: setattr(safety.os, "fsync", die),
    "mode": lambda: setattr(safety.os, "chmod", die),
    "replace": lambda: setattr(safety.os, "replace", die),
}
for name in sys.argv[1:]:
    save = "save_weights" if name.endswith((".weights.h5", ".safetensors")) else "save"
    for point, arm in POINTS.items():
        getattr(model(1), save)(name)
        child = os.fork()
        if child == 0:
            arm()
            try:
                getattr(model(2), save)(name)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        print(name, point, os.WIFSIGNALED(status))
        again = model(0)
        again.load_weights(name)
        assert float(again.get_weights()[0].min()) == float(again.get_weights()[0].max())
        assert float(again.get_weights()[0][0, 0]) == (1 if os.WIFSIGNALED(status) else 2), point
        getattr(model(3), save)(name)
        again.load_weights(name)
        assert float(again.get_weights()[0][0, 0]) == 3
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_saving(tmp_path: Path) -> None:
    names = ["m.keras", "m.h5", "m.weights.h5", "m.safetensors"]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), *names], cwd=tmp_path, capture_output=True, text=True,
        timeout=120, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    killed = [line for line in done.stdout.splitlines() if line.endswith("True")]
    assert len(killed) >= 4 * 4 + 3, done.stdout
