"""Preprocessing layers: numbers and sizes against Keras on JAX, random changes by their statistics, lookups by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph.errors import InvalidArgumentError, KGraphError, UnsupportedError
from tests.parity.comparing import assert_close, compare_layers, keras, kgraph

pytestmark = pytest.mark.parity

L = kgraph.layers
Make = Callable[[Any], Any]
M = (2, 7, 9, 3)

SIZES: dict[str, Make] = {
    "bilinear": lambda L: L.Resizing(5, 12),
    "nearest": lambda L: L.Resizing(4, 5, interpolation="nearest"),
    "bicubic": lambda L: L.Resizing(10, 4, interpolation="bicubic"),
    "lanczos3": lambda L: L.Resizing(9, 11, interpolation="lanczos3"),
    "antialias": lambda L: L.Resizing(3, 4, antialias=True),
    "aspect": lambda L: L.Resizing(4, 4, crop_to_aspect_ratio=True),
    "crop": lambda L: L.CenterCrop(4, 5),
    "crop_odd": lambda L: L.CenterCrop(3, 8),
    "crop_whole": lambda L: L.CenterCrop(7, 9),
    "normalization_given": lambda L: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25]),
    "normalization_number": lambda L: L.Normalization(axis=None, mean=1.5, variance=2.0),
    "normalization_invert": lambda L: L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 1.0, 0.25], invert=True),
    "discretization": lambda L: L.Discretization(bin_boundaries=[-1.0, 0.0, 0.5]),
    "discretization_one_hot": lambda L: L.Discretization(bin_boundaries=[-1.0, 0.0, 0.5], output_mode="one_hot"),
}


@pytest.mark.parametrize("case", SIZES)
def test_values(case: str, rng: np.random.Generator) -> None:
    compare_layers(SIZES[case], rng.normal(size=M).astype("float32"), rng)


@pytest.mark.parametrize("axis", [-1, None, (1, 2)])
def test_normalization_adapts(axis: Any, rng: np.random.Generator) -> None:
    x = rng.normal(3.0, 2.0, size=(20, 4, 3)).astype("float32")
    ours, theirs = kgraph.layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
    ours.adapt(x)
    theirs.adapt(x)
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    if axis == -1:
        parts = kgraph.layers.Normalization()
        parts.adapt([x[:7], x[7:]])
        assert_close(parts(x), ours(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bins", [2, 4, 7])
def test_discretization_adapts(bins: int, rng: np.random.Generator) -> None:
    x = rng.normal(size=(200, 3)).astype("float32")
    ours, theirs = kgraph.layers.Discretization(num_bins=bins), keras.layers.Discretization(num_bins=bins)
    ours.adapt(x)
    theirs.update_state(x)  # its adapt asks for TensorFlow
    theirs.finalize_state()
    np.testing.assert_allclose(ours.bin_boundaries, theirs.bin_boundaries, rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(ours(x)), np.asarray(theirs(x)))
    again = type(ours).from_config(ours.get_config())
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(ours(x)))


def test_normalization_moments(rng: np.random.Generator) -> None:
    x = rng.normal(3.0, 2.0, size=(30, 4)).astype("float32")

    def batches() -> Any:
        yield x[:10]
        yield x[10:], np.zeros(20)

    for data in (lambda: batches(), lambda: [x[:7], x[7:]], lambda: kgraph.utils.split_dataset(x, 29)[0].batch(9)):
        ours, theirs = kgraph.layers.Normalization(invert=True), keras.layers.Normalization(invert=True)
        ours.adapt(data())
        rows = x[:29] if isinstance(data(), kgraph.utils.PyDataset) else x
        theirs.adapt(rows)
        assert_close(ours.mean, theirs.mean, rtol=1e-5)
        assert_close(ours.variance, theirs.variance, rtol=1e-4)
        assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(KGraphError, match="another shape"):
        ours.adapt(np.ones((3, 5), "float32"))


def test_discretization_edges() -> None:
    x = np.array([[np.nan, -1, 0], [1, 2, 0.5]], "float32")
    for edges in ([0.0, 1.0], [1.0, 0.0], [0.5]):
        ours = kgraph.layers.Discretization(bin_boundaries=edges)
        np.testing.assert_array_equal(ours(x), np.asarray(keras.layers.Discretization(bin_boundaries=edges)(x)))
        inputs = kgraph.Input((3,))
        np.testing.assert_array_equal(kgraph.Model(inputs, ours(inputs)).predict(x, verbose=0), ours(x))


@pytest.mark.parametrize("mode", ["multi_hot", "one_hot", "count"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (5,)])
def test_category_encoding(mode: str, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    ids = rng.integers(0, 4, shape).astype("int32")
    ours, theirs = kgraph.layers.CategoryEncoding(4, mode), keras.layers.CategoryEncoding(4, mode)
    assert_close(ours(ids), theirs(ids))


def test_category_encoding_weights(rng: np.random.Generator) -> None:
    ids, weights = rng.integers(0, 4, (3, 5)).astype("int32"), rng.uniform(size=(3, 5)).astype("float32")
    found = kgraph.layers.CategoryEncoding(4, "count")(ids, count_weights=weights)
    assert_close(found, (np.eye(4, dtype="float32")[ids] * weights[..., None]).sum(axis=1))


def test_string_lookup() -> None:
    layer = L.StringLookup(vocabulary=["a", "b", "c"])
    np.testing.assert_array_equal(layer([["a", "c"], ["d", "b"]]), [[1, 3], [0, 2]])
    masked = L.StringLookup(vocabulary=["a", "b"], mask_token="")
    np.testing.assert_array_equal(masked(["", "a", "zz", "b"]), [0, 2, 1, 3])
    assert masked.get_vocabulary() == ["", "[UNK]", "a", "b"]
    back = L.StringLookup(vocabulary=["", "[UNK]", "a", "b"], mask_token="", invert=True)
    np.testing.assert_array_equal(back([0, 1, 2, 3]), ["", "[UNK]", "a", "b"])
    several = L.StringLookup(vocabulary=["a"], num_oov_indices=3)(["x", "y", "z", "a"])
    assert several[3] == 3
    assert set(several[:3]) <= {0, 1, 2}
    counted = L.StringLookup(vocabulary=["a", "b"], output_mode="count")([["a", "a", "q"]])
    np.testing.assert_array_equal(counted, [[1, 2, 0]])
    with pytest.raises(InvalidArgumentError, match="not in the vocabulary"):
        L.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"])


def test_lookup_adapts() -> None:
    layer = L.StringLookup(max_tokens=4)
    layer.adapt([["a", "c", "d", "d"], ["b", "d", "a", "b"], ["a", "a", "e", "[UNK]"]])
    assert layer.get_vocabulary() == ["[UNK]", "a", "d", "b"]
    again = L.StringLookup.from_config(layer.get_config())
    np.testing.assert_array_equal(again(["b", "e"]), layer(["b", "e"]))
    weighted = L.IntegerLookup(output_mode="tf_idf")
    weighted.adapt(np.array([[1, 1, 2], [1, 3, 3]]))
    assert weighted.get_vocabulary() == [-1, 1, 3, 2]
    found = np.asarray(weighted(np.array([[1, 3, 3]])))
    np.testing.assert_allclose(found, [[0, np.log(1 + 2 / 3), 2 * np.log(2.0), 0]], rtol=1e-6)


def test_integer_lookup_inside_a_model() -> None:
    ids = np.array([[12, 7, 99], [36, 0, 12]], "int32")
    for kwargs in ({}, {"mask_token": 0}, {"num_oov_indices": 3}, {"output_mode": "multi_hot"}, {"max_tokens": 9}):
        layer = L.IntegerLookup(vocabulary=[12, 36, 7], **kwargs)
        inputs = kgraph.Input((3,), dtype="int32")
        model = kgraph.Model(inputs, layer(inputs))
        np.testing.assert_array_equal(model.predict(ids, verbose=0), np.asarray(layer(ids)))
    rng = np.random.default_rng(3)
    spread = [int(v) for v in rng.permutation(40_000)[:50] - 20_000]  # too far apart for a table
    wide = np.concatenate([rng.choice(spread, 20), rng.integers(-20_000, 20_000, 20)]).reshape(4, 10).astype("int32")
    for kwargs in ({}, {"num_oov_indices": 3, "mask_token": 5}, {"output_mode": "count"}, {"num_oov_indices": 0}):
        layer = L.IntegerLookup(vocabulary=spread, **kwargs)
        data = wide if kwargs.get("num_oov_indices") != 0 else wide[:2]
        inputs = kgraph.Input((10,), dtype="int32")
        np.testing.assert_array_equal(kgraph.Model(inputs, layer(inputs)).predict(data, verbose=0), layer(data))
    weighted = L.IntegerLookup(vocabulary=[3, 5], idf_weights=[0.5, 2.0], output_mode="tf_idf")
    inputs = kgraph.Input((3,), dtype="int32")
    found = kgraph.Model(inputs, weighted(inputs)).predict(np.array([[3, 5, 5], [1, 1, 3]]), verbose=0)
    np.testing.assert_allclose(found, [[0, 0.5, 4], [2.5, 0.5, 0]])
    far = L.IntegerLookup(vocabulary=[2**40, 7])
    inputs = kgraph.Input((2,), dtype="int64")
    found = kgraph.Model(inputs, far(inputs)).predict(np.array([[7, 2**40], [1, 2**40 + 1]]), verbose=0)
    np.testing.assert_array_equal(found, [[2, 1], [0, 0]])
    back = L.IntegerLookup(vocabulary=[12, 36, 7], invert=True)
    inputs = kgraph.Input((3,), dtype="int32")
    found = kgraph.Model(inputs, back(inputs)).predict(np.array([[0, 1, 3]], "int32"), verbose=0)
    np.testing.assert_array_equal(found, [[-1, 12, 7]])


def test_hashing() -> None:
    values = np.arange(3000)
    found = np.asarray(L.Hashing(10)(values))
    assert found.min() == 0
    assert found.max() == 9
    assert np.bincount(found).min() > 200
    np.testing.assert_array_equal(found, L.Hashing(10)([str(v) for v in values]))
    assert not np.array_equal(found, np.asarray(L.Hashing(10, salt=7)(values)))
    masked = np.asarray(L.Hashing(10, mask_value=5)(values))
    assert masked[5] == 0
    assert (masked == 0).sum() == 1
    with pytest.raises(UnsupportedError, match="cannot read what the model computes"):
        L.Hashing(3)(L.Dense(2)(kgraph.Input((2,))))


RANDOM: dict[str, Make] = {
    "flip": lambda L: L.RandomFlip(seed=3),
    "rotation": lambda L: L.RandomRotation(0.2, seed=3),
    "translation": lambda L: L.RandomTranslation(0.3, 0.2, seed=3),
    "zoom": lambda L: L.RandomZoom((-0.4, 0.2), seed=3),
    "contrast": lambda L: L.RandomContrast(0.5, value_range=(-9, 9), seed=3),
    "brightness": lambda L: L.RandomBrightness(0.5, value_range=(-9, 9), seed=3),
}


@pytest.mark.parametrize("case", RANDOM)
def test_random_changes_each_image(case: str, rng: np.random.Generator) -> None:
    layer = RANDOM[case](L)
    x = np.repeat(rng.normal(size=(1, 6, 5, 2)).astype("float32"), 40, axis=0)
    np.testing.assert_array_equal(np.asarray(layer(x, training=False)), x)
    y = np.asarray(layer(x, training=True))
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    assert np.ptp(y, axis=0).max() > 0.1
    again = L.deserialize(L.serialize(layer))
    np.testing.assert_array_equal(np.asarray(again(x, training=True)), y)
    assert np.asarray(layer(x[0], training=True)).shape == x[0].shape


def test_flip_is_even(rng: np.random.Generator) -> None:
    x = np.repeat(rng.normal(size=(1, 4, 5, 1)).astype("float32"), 400, axis=0)
    y = np.asarray(L.RandomFlip("horizontal", seed=1)(x, training=True))
    turned = (y == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((y == x).all(axis=(1, 2, 3)) | turned).all()
    assert 150 < turned.sum() < 250


def test_brightness_and_contrast_are_uniform(rng: np.random.Generator) -> None:
    x = np.full((2000, 1, 1, 1), 100.0, "float32")
    added = np.asarray(L.RandomBrightness((-0.1, 0.3), seed=2)(x, training=True))[:, 0, 0, 0] - 100.0
    assert -25.6 < added.min() < -24.0
    assert 75.0 < added.max() < 76.6
    assert abs(added.mean() - 25.5) < 2.0
    pair = np.tile(np.array([90.0, 110.0], "float32").reshape(1, 1, 2, 1), (2000, 1, 1, 1))
    times = np.asarray(L.RandomContrast((0.5, 0.3), seed=2)(pair, training=True))
    times = (times[:, 0, 1, 0] - 100.0) / 10.0
    assert 0.69 < times.min() < 0.72
    assert 1.48 < times.max() < 1.51


@pytest.mark.parametrize("fill", ["reflect", "constant", "nearest", "wrap"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_affine_transform(fill: str, interpolation: str, rng: np.random.Generator) -> None:
    x = rng.normal(size=(3, 6, 7, 2)).astype("float32")
    maps = (np.array([1, 0, 0, 0, 1, 0, 0, 0]) + rng.normal(0, 0.3, (3, 8)) * [1, 1, 6, 1, 1, 6, 0, 0]).astype(
        "float32"
    )
    kwargs: dict[str, Any] = {"interpolation": interpolation, "fill_mode": fill, "fill_value": 0.5}
    ours = kgraph.ops.affine_transform(x, maps, **kwargs)
    theirs = np.asarray(keras.ops.image.affine_transform(x, maps, **kwargs))
    assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_random_crop(rng: np.random.Generator) -> None:
    x = np.arange(48, dtype="float32").reshape(1, 6, 8, 1)
    layer = L.RandomCrop(3, 4, seed=1)
    seen = set()
    for _ in range(60):
        y = np.asarray(layer(x, training=True))[0, :, :, 0]
        np.testing.assert_array_equal(y - y[0, 0], np.arange(3)[:, None] * 8.0 + np.arange(4))
        seen.add((int(y[0, 0]) // 8, int(y[0, 0]) % 8))
    assert {row for row, _ in seen} == {0, 1, 2, 3}
    assert {column for _, column in seen} == {0, 1, 2, 3, 4}


def test_augmentation_trains_natively(rng: np.random.Generator) -> None:
    model = kgraph.Sequential(
        [
            kgraph.Input((8, 8, 1)),
            L.RandomFlip("horizontal"),
            L.RandomTranslation(0.1, 0.1),
            L.RandomRotation(0.05),
            L.Rescaling(0.5),
            L.Conv2D(2, 3),
            L.Flatten(),
            L.Dense(1),
        ]
    )
    model.compile("sgd", "mse", target="cpu")
    x, y = rng.normal(size=(16, 8, 8, 1)).astype("float32"), rng.normal(size=(16, 1)).astype("float32")
    assert np.isfinite(model.fit(x, y, epochs=2, batch_size=8, verbose=0).history["loss"]).all()


@pytest.mark.parametrize("name", sorted(kgraph.layers.LEFT_OUT))
def test_left_out_names_say_what_to_use(name: str) -> None:
    with pytest.raises(UnsupportedError, match="use "):
        getattr(kgraph.layers, name)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Discretization(),
        lambda: L.CategoryEncoding(),
        lambda: L.CategoryEncoding(3, "other"),
        lambda: L.Normalization(mean=1.0),
        lambda: L.RandomFlip("sideways"),
        lambda: L.RandomZoom(2.0),
        lambda: L.Resizing(3, 0),
        lambda: L.Resizing(3, 3, interpolation="spline"),
        lambda: L.StringLookup(vocabulary=["a", "a"]),
        lambda: L.Hashing(0),
        lambda: L.Normalization(mean=[1.0, 2.0], variance=1.0),
        lambda: L.Normalization(axis=None, mean=[1.0], variance=[1.0]),
        lambda: L.Normalization().adapt([]),
        lambda: L.Discretization(num_bins=0),
        lambda: L.Discretization(bin_boundaries=[0.0, 2.0, 1.0]),
        lambda: L.Discretization(num_bins=3).adapt([]),
        lambda: L.Discretization(num_bins=3)(np.ones(3)),
    ],
)
def test_wrong_arguments(make: Callable[[], Any]) -> None:
    with pytest.raises(KGraphError):
        make()
