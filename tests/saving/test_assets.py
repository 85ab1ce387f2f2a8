"""`assets/` of `.keras` archives: vocabularies, both ways with Keras; layers of the user's; hostile ones."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.errors import FileError
from kgraph.models import load_model

L: Any = kgraph.layers
WORDS = ["the cat sat", "the dog", "a cat and a dog and a bird"]


@kgraph.saving.register_keras_serializable("test_assets")
class Noted(L.Layer):  # type: ignore[misc, name-defined]
    """A layer with a text that stands in no configuration, in a folder of its own."""

    note = ""

    def call(self, x: Any) -> Any:
        return x * 2.0

    def save_assets(self, directory: str) -> None:
        Path(directory, "note.txt").write_text(self.note, encoding="utf-8")

    def load_assets(self, directory: str) -> None:
        assert sorted(os.listdir(directory)) == ["note.txt"]
        self.note = Path(directory, "note.txt").read_text(encoding="utf-8")


def noted(note: str = "größe\n") -> Any:
    inner = kgraph.Sequential([kgraph.Input((3,)), Noted(name="deep")], name="inner")
    model = kgraph.Sequential([kgraph.Input((3,)), Noted(name="first"), inner, L.Dense(2)])
    model.layers[0].note, inner.layers[0].note = note, note * 2
    return model


def test_layers_of_the_user(tmp_path: Path) -> None:
    model = noted()
    model.save(tmp_path / "n.keras")
    with zipfile.ZipFile(tmp_path / "n.keras") as archive:
        names = [name for name in archive.namelist() if name.startswith("assets/")]
    assert names == ["assets/layers/noted/note.txt", "assets/layers/sequential/layers/noted/note.txt"]
    twin = load_model(tmp_path / "n.keras")
    assert twin.layers[0].note == "größe\n" and twin.layers[1].layers[0].note == "größe\n" * 2
    x = np.ones((2, 3), "float32")
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))


def with_members(source: Path, target: Path, members: dict[str, bytes], drop: str = "assets/") -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if not name.startswith(drop):
                new.writestr(name, old.read(name))
        for name, data in members.items():
            new.writestr(name, data)
    return target


def test_what_layers_are_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noted().save(tmp_path / "n.keras")
    bad = tmp_path / "bad.keras"
    place = "assets/layers/noted"
    other = {"assets/elsewhere/note.txt": b"x", f"{place}/deeper/note.txt": b"y"}
    assert load_model(with_members(tmp_path / "n.keras", bad, other)).layers[0].note == ""
    for name in (f"{place}/../../../note.txt", f"/{place}/note.txt", "assets\\..\\..\\note.txt"):
        with pytest.raises(FileError, match="outside"):
            load_model(with_members(tmp_path / "n.keras", bad, {name: b"x"}))
    with pytest.raises(FileError, match="'first' cannot read its files"):
        load_model(with_members(tmp_path / "n.keras", bad, {f"{place}/note.txt": b"\xff\xfe"}))
    many = {f"{place}/{i}": b"x" for i in range(100)}
    with pytest.raises(FileError, match="too much"):
        load_model(with_members(tmp_path / "n.keras", bad, many))
    monkeypatch.setattr("kgraph.saving.assets.MAX_TEXT", 10)
    with pytest.raises(FileError, match="too much"):
        load_model(with_members(tmp_path / "n.keras", bad, {f"{place}/note.txt": b"x" * 11}))


# -- with Keras -------------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore")
def test_both_ways_with_keras(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")

    class Theirs(keras.layers.Layer):  # type: ignore[misc, name-defined]
        note = ""
        save_assets, load_assets = Noted.save_assets, Noted.load_assets

        def call(self, x: Any) -> Any:
            return x * 2.0

    inner = keras.Sequential([keras.Input((3,)), Theirs(name="deep")], name="inner")
    model = keras.Sequential([keras.Input((3,)), Theirs(name="first"), inner, keras.layers.Dense(2)])
    model.layers[0].note, inner.layers[0].note = "one", "two"
    Theirs.__name__ = "Noted"
    model.save(tmp_path / "k.keras")
    ours = load_model(tmp_path / "k.keras", custom_objects={"Noted": Noted})
    assert [ours.layers[0].note, ours.layers[1].layers[0].note] == ["one", "two"]
    noted("three").save(tmp_path / "g.keras")
    with keras.saving.custom_object_scope({"Noted": Theirs, "test_assets>Noted": Theirs}):
        theirs = keras.models.load_model(tmp_path / "g.keras")
    assert [theirs.layers[0].note, theirs.layers[1].layers[0].note] == ["three", "three" * 2]


def string_lookup(**more: Any) -> Any:
    layer = L.StringLookup(**more)
    layer.adapt(np.array([word for text in WORDS for word in text.split()]))
    return layer


def integer_lookup(**more: Any) -> Any:
    layer = L.IntegerLookup(**more)
    layer.adapt(np.array([5, 5, 7, 9, 9, 9], "int64"))
    return layer


def vectorizer(**more: Any) -> Any:
    layer = L.TextVectorization(**more)
    layer.adapt(WORDS)
    return layer


@pytest.mark.parametrize("make", [string_lookup, integer_lookup, vectorizer])
@pytest.mark.parametrize("mode", ["int", "multi_hot", "tf_idf"])
def test_vocabularies_stand_in_files_as_keras_has_them(tmp_path: Path, make: Any, mode: str) -> None:
    """Keras keeps a learned vocabulary out of the configuration; its lookup layers need TensorFlow, so by hand here."""
    layer = make(output_mode=mode)
    model = kgraph.Sequential([layer])
    with pytest.warns(UserWarning, match="not built"):
        model.save(tmp_path / "g.keras")

    def forget(value: Any) -> Any:
        if isinstance(value, dict):
            gone = {"vocabulary": None, "idf_weights": None, "has_input_vocabulary": None}
            return {key: None if key in gone else forget(item) for key, item in value.items()}
        return [forget(item) for item in value] if isinstance(value, list) else value

    with zipfile.ZipFile(tmp_path / "g.keras") as archive:
        config = json.dumps(forget(json.loads(archive.read("config.json")))).encode()
        assert any(name.endswith("/vocabulary.txt") for name in archive.namelist())
    path = with_members(tmp_path / "g.keras", tmp_path / "k.keras", {"config.json": config}, drop="config.json")
    for source in (tmp_path / "g.keras", path):
        twin = load_model(source).layers[0]
        assert twin.get_vocabulary() == layer.get_vocabulary()
        data = np.array([5, 9, 4]) if make is integer_lookup else np.array(["the cat", "dog", "fish"])
        np.testing.assert_array_equal(np.asarray(twin(data)), np.asarray(layer(data)))
