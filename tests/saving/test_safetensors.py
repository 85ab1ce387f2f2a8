"""`.safetensors` files: both ways with the package of that name, every way to damage a file, and names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kgraph as keras
from kgraph.cli import main
from kgraph.errors import DataError, DtypeError, FileError, InvalidArgumentError, KGraphError, ShapeError
from kgraph.models import load_model
from kgraph.saving.safetensors import read_header, read_tensor, write_tensors


def small(units: int = 2, name: str = "head") -> Any:
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(units, name=name), keras.layers.BatchNormalization()]
    )


def parts(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def pack(path: Path, header: Any, numbers: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + numbers)
    return path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    small().save_weights(path)
    return path


# -- with the package -------------------------------------------------------------------------------------------------
TYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def test_the_package_reads_what_is_written(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    model = small()
    model.save_weights(tmp_path / "w.safetensors")
    found = package.load_file(str(tmp_path / "w.safetensors"))
    assert set(found) == {variable.path for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(found[variable.path], variable.numpy())
    every = {name: (np.arange(6).reshape(2, 3) % 2).astype(name) for name in TYPES}
    every["none"], every["scalar"] = np.zeros((0, 3), "float32"), np.array(2.5)
    write_tensors(tmp_path / "t.safetensors", every, {"a": "b"}, True, "numbers")
    found = package.load_file(str(tmp_path / "t.safetensors"))
    for name, array in every.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    with pytest.importorskip("safetensors").safe_open(str(tmp_path / "w.safetensors"), "np") as file:
        assert file.metadata()["kgraph_version"] == keras.__version__


def test_what_the_package_wrote_is_read(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.numpy")
    model, path = small(), tmp_path / "p.safetensors"
    values = {v.path: np.full(v.shape, i + 0.5, "float64" if i % 2 else "float16") for i, v in enumerate(model.weights)}
    package.save_file(values, str(path), metadata={"format": "np"})
    model.load_weights(path)
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), values[variable.path].astype("float32"))
    every = {name: (np.arange(6).reshape(2, 3) % 2).astype(name) for name in TYPES}
    package.save_file(every, str(path))
    header, metadata = read_header(path)
    assert metadata == {}
    for name, array in every.items():
        found = read_tensor(path, header[name])
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def test_bfloat16_is_the_upper_half_of_a_float(tmp_path: Path) -> None:
    bits = np.array([0x3F80, 0xC000, 0x0000, 0x7F80, 0x4049, 0x3DCD], "<u2")
    header = {"head/kernel": {"dtype": "BF16", "shape": [3, 2], "data_offsets": [0, 12]}}
    path = pack(tmp_path / "b.safetensors", header, bits.tobytes())
    model = small()
    model.load_weights(path, by_name=True)
    want = np.array([1.0, -2.0, 0.0, np.inf, 3.140625, 0.10009765625], "float32").reshape(3, 2)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], want)


# -- names ------------------------------------------------------------------------------------------------------------
def test_round_trip_and_automatic_names(saved: Path) -> None:
    model = small()
    values = [np.full(v.shape, i + 1, "float32") for i, v in enumerate(model.weights)]
    model.set_weights(values)
    model.save_weights(saved)
    twin = small()  # its BatchNormalization has another automatic name
    assert [v.path for v in twin.weights] != [v.path for v in model.weights]
    twin.load_weights(saved)
    for old, new in zip(values, twin.get_weights()):
        np.testing.assert_array_equal(old, new)
    other = small(name="other")
    before = other.get_weights()
    other.load_weights(saved, by_name=True)
    np.testing.assert_array_equal(other.get_weights()[0], before[0])


def test_files_that_do_not_fit_change_nothing(saved: Path, tmp_path: Path) -> None:
    header, numbers = parts(saved)
    model = small(units=5)
    before = model.get_weights()
    with pytest.raises(DataError, match="by_name=True"):
        model.load_weights(saved)
    with pytest.raises(ShapeError, match="head/kernel"):
        model.load_weights(saved, by_name=True)
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)
    with pytest.warns(UserWarning, match="left out"):
        model.load_weights(saved, by_name=True, skip_mismatch=True)
    kinds = {**header, "head/kernel": {**header["head/kernel"], "dtype": "I32"}}
    with pytest.raises(DtypeError, match="I32"):
        small().load_weights(pack(tmp_path / "i.safetensors", kinds, numbers), by_name=True)
    del header["head/bias"]
    with pytest.raises(FileError, match="hole"):
        small().load_weights(pack(tmp_path / "h.safetensors", header, numbers))


def test_weights_that_fit_partly(tmp_path: Path) -> None:
    only = {"head/bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    path = pack(tmp_path / "less.safetensors", only, np.array([7, 8], "<f4").tobytes())
    model = small()
    with pytest.raises(DataError, match="head/kernel"):
        model.load_weights(path)
    with pytest.warns(UserWarning, match="left alone"):
        model.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(model.layers[0].get_weights()[1], [7, 8])


def test_names_of_the_file(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="save_weights"):
        small().save(tmp_path / "m.safetensors")
    with pytest.raises(InvalidArgumentError, match="exists"):
        small().save_weights(saved, overwrite=False)
    with pytest.raises(FileError, match="weights only"):
        load_model(saved)
    with pytest.raises(InvalidArgumentError, match="set_weights"):
        small().load_weights(tmp_path / "w.npz")


def test_convert_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small()
    model.save(tmp_path / "a.keras")
    assert main(["convert", str(tmp_path / "a.keras"), str(tmp_path / "b.safetensors")]) == 0
    assert main(["convert", str(tmp_path / "b.safetensors"), str(tmp_path / "c.keras")]) == 0
    assert main(["summary", str(tmp_path / "b.safetensors")]) == 0
    assert "head" in capsys.readouterr().out
    for old, new in zip(model.get_weights(), load_model(tmp_path / "c.keras").get_weights()):
        np.testing.assert_array_equal(old, new)
    for target in ("c.keras", "b.safetensors"):
        assert main(["convert", str(tmp_path / "a.keras"), str(tmp_path / target)]) == 1
        text = capsys.readouterr().err
        assert "--force" in text and "overwrite" not in text
    assert main(["convert", str(tmp_path / "a.keras"), str(tmp_path / "c.keras"), "--force"]) == 0
    small().save_weights(tmp_path / "w.safetensors")
    assert main(["convert", str(tmp_path / "w.safetensors"), str(tmp_path / "d.keras")]) == 1
    assert "weights only" in capsys.readouterr().err


# -- damaged and hostile ----------------------------------------------------------------------------------------------
ONE: dict[str, Any] = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS: dict[str, tuple[Any, str]] = {
    "no table": ([1], "no table"),
    "no JSON": (b"{", "no JSON"),
    "no UTF-8": (b'{"\xff\xfe": 1}', "UTF-8"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "no JSON"),
    "a number": ({"a": 3}, "other keys"),
    "more keys": ({"a": {**ONE, "x": 1}}, "other keys"),
    "dtype": ({"a": {**ONE, "dtype": "F31"}}, "unknown dtype"),
    "dtype no text": ({"a": {**ONE, "dtype": None}}, "unknown dtype"),
    "shape": ({"a": {**ONE, "shape": 2}}, "no shape"),
    "shape negative": ({"a": {**ONE, "shape": [-2, -1]}}, "no shape"),
    "shape float": ({"a": {**ONE, "shape": [2.0]}}, "no shape"),
    "shape bool": ({"a": {**ONE, "shape": [True, 2]}}, "no shape"),
    "shape NaN": (b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 8]}}', "NaN"),
    "shape overflows": ({"a": {**ONE, "shape": [2**62, 2**62]}}, "not that of its numbers"),
    "shape wraps": ({"a": {**ONE, "shape": [2**62 + 2]}}, "not that of its numbers"),
    "65 axes": ({"a": {**ONE, "shape": [1] * 65}}, "no shape"),
    "wrong size": ({"a": {**ONE, "shape": [3]}}, "not that of its numbers"),
    "offsets": ({"a": {**ONE, "data_offsets": [8]}}, "no data_offsets"),
    "offsets turned": ({"a": {**ONE, "data_offsets": [8, 0]}}, "no data_offsets"),
    "outside": ({"a": {**ONE, "data_offsets": [8, 16]}}, "hole"),
    "far outside": ({"a": {**ONE, "data_offsets": [2**60, 2**60 + 8]}}, "hole"),
    "overlap": ({"a": ONE, "b": ONE}, "overlap"),
    "hole": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, "hole"),
    "too short": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, "longer than its entries"),
    "twice": (b'{"a": 1, "a": 2}', "twice"),
    "metadata": ({"__metadata__": {"a": 1}, "a": ONE}, "no table of texts"),
    "metadata a list": ({"__metadata__": [], "a": ONE}, "no table of texts"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers(tmp_path: Path, case: str) -> None:
    header, text = HEADERS[case]
    with pytest.raises(FileError, match=text):
        small().load_weights(pack(tmp_path / "x.safetensors", header, b"\0" * 8), by_name=True)


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**9, 100])
def test_length_of_the_header(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(FileError, match="longer than the file"):
        small().load_weights(path)


def test_headers_of_any_length_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with path.open("wb") as file:
        file.write((200_000_000).to_bytes(8, "little"))
        file.truncate(200_000_008)  # a hole on the disk
    with pytest.raises(FileError, match="too long"):
        small().load_weights(path)


def test_names_may_be_of_any_alphabet(tmp_path: Path) -> None:
    model = small(name="größe_層")
    model.save_weights(tmp_path / "u.safetensors")
    twin = small(name="größe_層")
    twin.load_weights(tmp_path / "u.safetensors", by_name=True)
    np.testing.assert_array_equal(twin.get_weights()[0], model.get_weights()[0])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Any, Path]:
    path = tmp_path_factory.mktemp("cut") / "x.safetensors"
    model = small()
    model.save_weights(path)
    return path.read_bytes(), model, path


def attempt(whole: tuple[bytes, Any, Path], change: Callable[[bytes], bytes], refused: bool) -> None:
    data, model, path = whole
    path.write_bytes(change(data))
    try:
        model.load_weights(path)
    except KGraphError:
        return
    assert not refused


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0, 0.999999))
def test_cut_off_anywhere(whole: tuple[bytes, Any, Path], share: float) -> None:
    attempt(whole, lambda data: data[: int(share * len(data))], True)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(0, 10**6), value=st.integers(0, 255))
def test_any_byte_changed(whole: tuple[bytes, Any, Path], place: int, value: int) -> None:
    place %= len(whole[0])
    attempt(whole, lambda data: data[:place] + bytes([value]) + data[place + 1 :], False)
