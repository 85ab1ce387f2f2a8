"""Layers that work in Python as part of a model: they run on the data, the rest natively."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError, UnsupportedError

L = kgraph.layers
TEXTS = np.array(["a b", "c d", "z b b", "c"] * 4)
LABELS = np.array([0.0, 1.0, 0.0, 1.0] * 4)


def classifier(vectorise: Any, inputs: Any) -> Any:
    hidden = L.GlobalAveragePooling1D()(L.Embedding(vectorise.vocabulary_size(), 4)(vectorise(inputs)))
    return kgraph.Model(inputs, L.Dense(1, activation="sigmoid")(hidden))


def test_texts_are_trained_on() -> None:
    vectorise = L.TextVectorization(output_sequence_length=4)
    vectorise.adapt(TEXTS)
    model = classifier(vectorise, kgraph.Input((1,), dtype="string", name="text"))
    model.compile(kgraph.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])

    # The same weights behind numbers that were made before.
    inputs = kgraph.Input((4,), dtype="int32")
    tensor = inputs
    for layer in model.layers[2:]:
        tensor = layer(tensor)
    plain = kgraph.Model(inputs, tensor)
    expected = plain.predict(vectorise(TEXTS), verbose=0)
    for data in (TEXTS, TEXTS.tolist(), TEXTS[:, None], {"text": TEXTS}, TEXTS.astype(object)):
        np.testing.assert_array_equal(model.predict(data, verbose=0), expected)
    np.testing.assert_array_equal(model.predict_on_batch(TEXTS), expected)
    np.testing.assert_allclose(model(TEXTS), expected, rtol=1e-5)
    np.testing.assert_array_equal(model.predict(np.char.encode(TEXTS), verbose=0), expected)

    def batches() -> Iterator[Any]:
        yield TEXTS[:8], LABELS[:8]
        yield TEXTS[8:], LABELS[8:]

    model.fit(TEXTS, LABELS, epochs=20, batch_size=8, verbose=0, validation_split=0.25)
    model.fit(batches(), epochs=1, steps_per_epoch=2, verbose=0)
    assert model.evaluate(TEXTS, LABELS, verbose=0)[1] == 1.0
    assert model.predict(["c d c"], verbose=0)[0, 0] > 0.5


def test_model_with_texts_is_saved(tmp_path: Path) -> None:
    vectorise = L.TextVectorization(vocabulary=["a", "b", "c"])
    model = classifier(vectorise, kgraph.Input((), dtype="string"))
    model.save(tmp_path / "text.keras")
    again = kgraph.models.load_model(tmp_path / "text.keras")
    np.testing.assert_array_equal(again.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))
    copy = kgraph.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.predict(TEXTS, verbose=0), model.predict(TEXTS, verbose=0))
    # The length follows the longest text of a call.
    assert model.predict(["a b c a b c"], verbose=0).shape == (1, 1)


def without_vocabularies(path: Path) -> None:
    """Rewrite an archive as Keras writes it after `adapt`: the vocabularies in `assets/` alone."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    for layer in config["config"]["layers"]:
        if layer["config"].get("vocabulary"):
            layer["config"]["vocabulary_size"] = len(layer["config"]["vocabulary"])
            layer["config"]["vocabulary"] = layer["config"]["idf_weights"] = None
    files["config.json"] = json.dumps(config).encode()
    assert any(name.endswith("/vocabulary.txt") for name in files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("mode", ["int", "one_hot", "multi_hot", "count", "tf_idf"])
def test_vocabularies_that_keras_keeps_as_assets(mode: str, tmp_path: Path) -> None:
    words, numbers = np.array([["x", "q"], ["y", "z"]]), np.array([[5, 1], [9, 7]])
    for make, data in ((L.StringLookup, words), (L.IntegerLookup, numbers), (L.TextVectorization, words[:, :1])):
        layer = make(output_mode=mode)
        layer.adapt(words if make is L.StringLookup else numbers if make is L.IntegerLookup else words.ravel())
        inputs = kgraph.Input(data.shape[1:], dtype="int32" if data.dtype.kind == "i" else "string")
        model = kgraph.Model(inputs, layer(inputs))
        model.save(tmp_path / "adapted.keras")
        without_vocabularies(tmp_path / "adapted.keras")
        again = kgraph.models.load_model(tmp_path / "adapted.keras")
        np.testing.assert_array_equal(again.predict(data, verbose=0), layer(data))


def test_a_vocabulary_may_come_after_the_model() -> None:
    inputs = kgraph.Input((2,), dtype="int32")
    layer = L.IntegerLookup()
    model = kgraph.Model(inputs, layer(inputs))
    with pytest.raises(InvalidArgumentError, match="no vocabulary yet"):
        model.predict(np.array([[3, 4]]), verbose=0)
    layer.adapt([3, 3, 4])
    np.testing.assert_array_equal(model.predict(np.array([[3, 4]]), verbose=0), [[1, 2]])
    with pytest.raises(InvalidArgumentError, match="no vocabulary yet"):
        L.IntegerLookup(output_mode="count")(inputs)


def test_features_of_all_kinds() -> None:
    city, size = kgraph.Input((), dtype="string", name="city"), kgraph.Input((2,), name="size")
    code = kgraph.Input((1,), dtype="int32", name="code")
    layers = (
        L.StringLookup(vocabulary=["x", "y"], output_mode="one_hot"),
        L.Hashing(5, output_mode="one_hot"),
        L.IntegerLookup(vocabulary=[3], num_oov_indices=2, oov_method="farmhash", output_mode="one_hot"),
        L.HashedCrossing(4, output_mode="one_hot"),
    )
    crossed = kgraph.Input((1,), dtype="string", name="crossed")
    outputs = [layers[0](city), layers[1](code), layers[2](code), layers[3]([crossed, code]), size]
    model = kgraph.Model([city, size, code, crossed], L.Concatenate()(outputs))
    data = {
        "city": np.array(["x", "q", "y"]),
        "size": np.arange(6.0).reshape(3, 2),
        "code": np.array([[3], [4], [5]], "int32"),
        "crossed": np.array([["r"], ["s"], ["t"]]),
    }
    expected = [
        layers[0](data["city"]),
        layers[1](data["code"]),
        layers[2](data["code"]),
        layers[3]([data["crossed"], data["code"]]),
        data["size"],
    ]
    np.testing.assert_array_equal(model.predict(data, verbose=0), np.concatenate(expected, axis=1))
    np.testing.assert_array_equal(model.predict(list(data.values()), verbose=0), np.concatenate(expected, axis=1))


def test_hashing_is_not_skipped_for_a_shape_seen_before() -> None:
    inputs = kgraph.Input((2,), dtype="int32")
    layer = L.Hashing(10)
    model = kgraph.Model(inputs, layer(inputs))
    for data in (np.array([[1, 2], [3, 4]], "int32"), np.array([[5, 6], [7, 8]], "int32")):
        np.testing.assert_array_equal(model.predict_on_batch(data), layer(data))


def test_sequential_without_an_input() -> None:
    vectorise = L.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3)
    model = kgraph.Sequential([vectorise, L.Embedding(4, 2), L.Flatten(), L.Dense(1)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(TEXTS, LABELS, verbose=0).history["loss"]).all()
    assert model.predict(TEXTS[:3], verbose=0).shape == (3, 1)


def test_what_cannot_be() -> None:
    text = kgraph.Input((1,), dtype="string", name="text")
    with pytest.raises(DtypeError, match="tensor of strings"):
        L.Dense(2)(text)
    with pytest.raises(UnsupportedError, match="cannot read what the model computes"):
        L.Hashing(3)(L.Dense(2)(kgraph.Input((2,))))
    with pytest.raises(UnsupportedError, match="gives strings"):
        L.StringLookup(vocabulary=["a"], invert=True)(kgraph.Input((1,), dtype="int32"))
    model = kgraph.Model(text, L.StringLookup(vocabulary=["a"])(text))
    with pytest.raises(DtypeError, match="takes strings"):
        model.predict(np.ones((2, 1)), verbose=0)
    with pytest.raises(ShapeError, match="does not take an array"):
        model.predict(np.array([["a", "b"]]), verbose=0)
    with pytest.raises(UnsupportedError, match="holds strings"):
        kgraph.Model(text, [text, L.StringLookup(vocabulary=["a"])(text)]).predict(["a"], verbose=0)
