"""Image layers: draws, seeds, dictionaries, layouts, types, and training through them natively.

The numbers are compared with Keras in tests/parity/test_layers_image.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import layers as L
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.layers.image_base import BOX_FORMATS
from kgraph.layers.image_boxes import converted

Make = Callable[[], Any]

# Each with arguments under which a draw shows.
LAYERS: dict[str, Make] = {
    "AugMix": lambda: L.AugMix(num_chains=2, chain_depth=2, factor=0.7, seed=4),
    "CutMix": lambda: L.CutMix((0.9, 1.0), seed=4),
    "MixUp": lambda: L.MixUp(1.0, seed=4),
    "RandAugment": lambda: L.RandAugment(num_ops=1, factor=0.9, seed=4),
    "RandomBrightness": lambda: L.RandomBrightness(0.4, seed=4),
    "RandomColorDegeneration": lambda: L.RandomColorDegeneration(0.9, seed=4),
    "RandomColorJitter": lambda: L.RandomColorJitter((0, 255), 0.2, 0.3, 0.5, 0.2, seed=4),
    "RandomContrast": lambda: L.RandomContrast(0.8, seed=4),
    "RandomCrop": lambda: L.RandomCrop(5, 6, seed=4),
    "RandomElasticTransform": lambda: L.RandomElasticTransform((0.9, 1.0), seed=4),
    "RandomErasing": lambda: L.RandomErasing((0.9, 1.0), scale=(0.4, 0.8), seed=4),
    "RandomFlip": lambda: L.RandomFlip(seed=4),
    "RandomGaussianBlur": lambda: L.RandomGaussianBlur((0.5, 1.0), 5, seed=4),
    "RandomGrayscale": lambda: L.RandomGrayscale(0.5, seed=4),
    "RandomHue": lambda: L.RandomHue(0.9, seed=4),
    "RandomInvert": lambda: L.RandomInvert((0.4, 0.6), seed=4),
    "RandomPerspective": lambda: L.RandomPerspective((0.8, 1.0), scale=0.5, seed=4),
    "RandomPosterization": lambda: L.RandomPosterization((1, 7), seed=4),
    "RandomRotation": lambda: L.RandomRotation(0.3, seed=4),
    "RandomSaturation": lambda: L.RandomSaturation((0.1, 0.9), seed=4),
    "RandomSharpness": lambda: L.RandomSharpness(0.9, seed=4),
    "RandomShear": lambda: L.RandomShear(0.5, 0.5, seed=4),
    "RandomTranslation": lambda: L.RandomTranslation(0.4, 0.4, seed=4),
    "RandomZoom": lambda: L.RandomZoom(0.4, 0.3, seed=4),
    "Solarization": lambda: L.Solarization(0.3, 0.8, seed=4),
}
ALWAYS: dict[str, Make] = {
    "AutoContrast": lambda: L.AutoContrast(),
    "CenterCrop": lambda: L.CenterCrop(4, 5),
    "ContrastLimitedAdaptiveHistogramEqualization": lambda: L.ContrastLimitedAdaptiveHistogramEqualization(
        tile_grid_size=(2, 2)
    ),
    "Resizing": lambda: L.Resizing(5, 4),
}


def _images(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 255, shape or (6, 8, 9, 3)).astype("float32")


@pytest.mark.parametrize("name", LAYERS)
def test_draws_follow_the_seed(name: str) -> None:
    x = _images()
    layer = LAYERS[name]()
    first = np.asarray(layer(x))
    assert np.isfinite(first).all()
    assert first.shape != x.shape or not np.array_equal(first, x)
    assert not np.array_equal(np.asarray(layer(x)), first), "the second draw is another"
    again = L.deserialize(L.serialize(LAYERS[name]()))
    assert again.get_config() == LAYERS[name]().get_config() | {"name": again.name}
    np.testing.assert_array_equal(np.asarray(again(x)), first)
    np.testing.assert_array_equal(np.asarray(LAYERS[name]()(x, training=False)), x)


@pytest.mark.parametrize("name", [*LAYERS, *ALWAYS])
def test_one_image_and_whole_numbers(name: str) -> None:
    layer = (LAYERS | ALWAYS)[name]()
    x = _images(8, 9, 3)
    found = np.asarray(layer(x))
    assert found.ndim == 3
    assert found.shape[-1] == 3
    whole = np.asarray((LAYERS | ALWAYS)[name]()(x.astype("uint8")))
    assert whole.dtype == ("uint8" if name == "Resizing" else "float32")
    assert np.isfinite(whole).all()


@pytest.mark.parametrize("name", ALWAYS)
def test_layers_that_draw_nothing_work_in_inference(name: str) -> None:
    x = _images()
    layer = ALWAYS[name]()
    np.testing.assert_array_equal(np.asarray(layer(x, training=False)), np.asarray(layer(x)))
    assert L.deserialize(L.serialize(layer)).get_config() == layer.get_config()


@pytest.mark.parametrize("name", sorted(set(LAYERS) - {"AugMix", "RandAugment"}))
def test_channels_first(name: str) -> None:
    x = _images()
    layer = LAYERS[name]()
    config = {**layer.get_config(), "data_format": "channels_first"}
    turned = type(layer).from_config(config)
    drawn = layer.get_random_transformation(x)
    wanted = np.asarray(layer.transform_images(x, drawn))
    if isinstance(drawn, dict):
        of_pixels = ("batch_masks", "fill_value")
        drawn = {k: np.moveaxis(np.asarray(v), -1, 1) if k in of_pixels else v for k, v in drawn.items()}
    found = np.asarray(turned.transform_images(np.moveaxis(x, -1, 1), drawn))
    np.testing.assert_allclose(np.moveaxis(found, 1, -1), wanted, rtol=1e-4, atol=1e-3)


def test_set_random_seed_gives_the_same_bits() -> None:
    x = _images()

    def once() -> list[np.ndarray]:
        kgraph.utils.set_random_seed(11)
        return [np.asarray(layer(x)) for layer in (L.RandomShear(0.4), L.RandomErasing(), L.CutMix(), L.RandomHue(0.5))]

    for a, b in zip(once(), once(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_masks_follow_the_pixels() -> None:
    mask = (_images(6, 8, 9, 1) > 128).astype("int32")
    images = np.repeat(mask, 3, axis=-1).astype("float32") * 255.0
    for layer in (
        L.RandomFlip(seed=1),
        L.RandomRotation(0.3, interpolation="nearest", seed=1),
        L.RandomPerspective(scale=0.5, interpolation="nearest", seed=1),
        L.RandomElasticTransform(interpolation="nearest", seed=1),
        L.RandomCrop(4, 4, seed=1),
        L.CutMix(seed=1),
        L.Resizing(4, 5, interpolation="nearest"),
    ):
        found = layer({"images": images, "segmentation_masks": mask})
        moved = np.asarray(found["segmentation_masks"])
        np.testing.assert_array_equal(moved * 255.0, np.asarray(found["images"])[..., :1])
        assert moved.dtype == "int32"
    kept = L.RandomHue(0.9)({"images": _images(), "segmentation_masks": mask, "labels": np.arange(6)})
    np.testing.assert_array_equal(kept["segmentation_masks"], mask)
    np.testing.assert_array_equal(kept["labels"], np.arange(6))


BOXED: dict[str, Make] = {
    "flip": lambda: L.RandomFlip(seed=1, bounding_box_format="xyxy"),
    "rotation": lambda: L.RandomRotation((0.25, 0.25), "constant", "nearest", bounding_box_format="xyxy"),
    "translation": lambda: L.RandomTranslation((0.1, 0.1), (-0.2, -0.2), "constant", bounding_box_format="xyxy"),
    "zoom": lambda: L.RandomZoom((-0.5, -0.5), fill_mode="constant", bounding_box_format="xyxy"),
    "crop": lambda: L.RandomCrop(14, 15, seed=3, bounding_box_format="xyxy"),
    "crop_small": lambda: L.RandomCrop(40, 40, bounding_box_format="xyxy"),
    "center": lambda: L.CenterCrop(12, 16, bounding_box_format="xyxy"),
    "resizing": lambda: L.Resizing(40, 10, "nearest", bounding_box_format="xyxy"),
    "resizing_pad": lambda: L.Resizing(40, 20, "nearest", pad_to_aspect_ratio=True, bounding_box_format="xyxy"),
}


@pytest.mark.parametrize("name", BOXED)
def test_boxes_follow_the_pixels(name: str) -> None:
    """A white rectangle on black stays within its box, and reaches to its sides."""
    x = np.zeros((3, 20, 20, 1), "float32")
    x[:, 8:12, 6:13] = 255.0
    boxes = {"boxes": np.tile(np.array([[6.0, 8.0, 13.0, 12.0]], "float32"), (3, 1, 1)), "labels": np.ones((3, 1))}
    found = BOXED[name]()({"images": x, "bounding_boxes": boxes})
    seen, moved = np.asarray(found["images"])[..., 0], np.asarray(found["bounding_boxes"]["boxes"])[:, 0]
    for image, (left, top, right, bottom) in zip(seen, moved, strict=True):
        rows, columns = np.nonzero(image > 127.0)
        edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose([left, top, right, bottom], edges, atol=0.8)


@pytest.mark.parametrize("form", BOX_FORMATS)
def test_box_formats(form: str) -> None:
    corners = np.array([[[1.0, 2.0, 5.0, 8.0], [0.0, 0.0, 20.0, 10.0]]], "float32")
    there = converted(corners, "xyxy", form, (10, 20))
    np.testing.assert_allclose(converted(there, form, "xyxy", (10, 20)), corners, rtol=1e-6, atol=1e-6)
    wanted = {"xywh": [1, 2, 4, 6], "center_yxhw": [5, 3, 6, 4], "rel_yxyx": [0.2, 0.05, 0.8, 0.25]}
    if form in wanted:
        np.testing.assert_allclose(np.asarray(there)[0, 0], wanted[form], rtol=1e-6)


def test_boxes_that_leave_the_image() -> None:
    boxes = {"boxes": np.array([[[0.0, 0.0, 3.0, 3.0], [2.0, 2.0, 9.0, 9.0]]], "float32"), "labels": np.array([[4, 5]])}
    found = L.CenterCrop(2, 2, bounding_box_format="xyxy")(
        {"images": np.zeros((1, 10, 10, 3), "float32"), "bounding_boxes": boxes}
    )["bounding_boxes"]
    np.testing.assert_array_equal(found["labels"], [[-1, 5]])
    np.testing.assert_array_equal(found["boxes"][0, 1], [0.0, 0.0, 2.0, 2.0])


def test_one_image_of_a_dictionary() -> None:
    boxes = {"boxes": np.ones((2, 4), "float32"), "labels": np.array([3, 4])}
    data = {"images": _images(8, 9, 3), "labels": np.array([0.0, 1.0], "float32"), "bounding_boxes": boxes}
    found = L.MaxNumBoundingBoxes(3, fill_value=-7)(data)
    assert np.asarray(found["images"]).shape == (8, 9, 3)
    np.testing.assert_array_equal(found["bounding_boxes"]["labels"], [3, 4, -7])
    assert np.asarray(found["bounding_boxes"]["boxes"]).shape == (3, 4)
    mixed = L.MixUp()({"images": data["images"], "labels": data["labels"]})
    np.testing.assert_allclose(mixed["images"], data["images"], rtol=1e-6)
    np.testing.assert_allclose(mixed["labels"], data["labels"])
    assert set(data) == {"images", "labels", "bounding_boxes"}, "the argument is left as it was"


def test_mixtures_keep_what_they_are_made_of() -> None:
    x = np.arange(40, dtype="float32").reshape(40, 1, 1, 1) * np.ones((1, 30, 30, 1), "float32")
    labels = np.eye(40, dtype="float32")
    cut = L.CutMix(seed=2)({"images": x, "labels": labels})
    found, shares = np.asarray(cut["images"]), np.asarray(cut["labels"])
    seen = set()
    for row in range(40):
        others = set(np.unique(found[row])) - {row}
        assert len(others) <= 1
        seen |= others
        if others:
            # A side of the rectangle covers a cell more or less than its length.
            assert abs((found[row] == row).mean() - shares[row, row]) < 2 / 30
    assert len(seen) > 10
    up = L.MixUp(1.0, seed=2)({"images": x, "labels": labels})
    wanted = np.asarray(up["labels"]) @ np.arange(40.0)
    np.testing.assert_allclose(np.asarray(up["images"])[:, 0, 0, 0], wanted, rtol=1e-4, atol=1e-4)
    order = np.asarray(L.MixUp(seed=9).get_random_transformation(x)["permutation_order"])
    assert sorted(order) == list(range(40))


def test_probabilities() -> None:
    x = np.full((3000, 1, 1, 3), 40.0, "float32")
    inverted = np.asarray(L.RandomInvert((0.3, 0.3), seed=1)(x))[:, 0, 0, 0] == 215.0
    assert abs(inverted.mean() - 0.3) < 0.03
    half = np.asarray(L.RandomInvert(1.0, seed=1)(x))[:, 0, 0, 0] == 215.0
    assert abs(half.mean() - 0.5) < 0.03  # the probability itself is drawn from 0 to 1, as in Keras
    bits = np.asarray(L.RandomPosterization((1, 4), seed=1).get_random_transformation(x)["shift_factor"])
    assert set(bits) == {5, 6, 7}
    erased = np.asarray(L.RandomErasing((1.0, 1.0), (1.0, 1.0), fill_value=(10.0, 20.0, 300.0))(x[:2]))
    np.testing.assert_array_equal(erased[:, 0, 0], [[10.0, 20.0, 255.0]] * 2)


def test_equalization_spreads_values() -> None:
    x = np.random.default_rng(1).normal(120, 8, (2, 40, 40, 1)).clip(0, 255).astype("float32")
    y = np.asarray(L.Equalization()(x))
    assert np.histogram(y, 4, (0, 255))[0].min() > 600
    parts = np.asarray(L.Equalization().transform_images(x, 2))
    for i in range(2):
        np.testing.assert_array_equal(parts[i], np.asarray(L.Equalization()(x[i])))


def _model(*middle: Any, channels: int = 3) -> Any:
    inputs = L.Input((8, 8, 3))
    x = L.Rescaling(255.0)(L.Conv2D(channels, 1, activation="sigmoid", name="before")(inputs))
    for layer in middle:
        x = layer(x)
    return kgraph.Model(inputs, L.Dense(1)(L.Flatten()(L.Rescaling(1 / 255.0)(x))))


CHAINS: dict[str, tuple[list[Make], bool]] = {
    "colour": (
        [
            lambda: L.RandomColorJitter((0, 255), 0.1, 0.2, (0.4, 0.6), 0.2),
            lambda: L.RandomGrayscale(0.3),
            lambda: L.Solarization(0.1, (0.9, 1.0)),
            lambda: L.AutoContrast(),
        ],
        True,
    ),
    "space": (
        [
            lambda: L.RandomShear(0.2, 0.1),
            lambda: L.RandomPerspective(scale=0.3),
            lambda: L.RandomElasticTransform(),
            lambda: L.RandomSharpness(0.8),
            lambda: L.RandomGaussianBlur(),
            lambda: L.RandomErasing(),
        ],
        True,
    ),
    "mixed": ([lambda: L.CutMix(), lambda: L.MixUp()], True),
    "levels": (
        [
            lambda: L.RandomPosterization((5, 7)),
            lambda: L.Equalization(),
            lambda: L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 2)),
        ],
        False,
    ),
    "policy": ([lambda: L.AugMix(num_chains=2, chain_depth=1, all_ops=False)], True),
}


@pytest.mark.parametrize("case", CHAINS)
def test_trained_through_natively(case: str) -> None:
    """The same draws and weights as the interpreter, op by op; gradients reach what stands before."""
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 1, (8, 8, 8, 3)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    trained = []
    for target in ("cpu", "reference"):
        kgraph.utils.set_random_seed(3)
        model = _model(*(make() for make in CHAINS[case][0]))
        before = model.get_layer("before").get_weights()[0].copy()
        model.compile(kgraph.optimizers.SGD(0.01), "mse", target=target)
        losses = model.fit(x, y, epochs=1, batch_size=4, shuffle=False, verbose=0).history["loss"]
        assert np.isfinite(losses).all()
        trained.append(model.get_weights())
        moved = np.abs(model.get_layer("before").get_weights()[0] - before).max()
        assert (moved > 0) == CHAINS[case][1]
    for native, wanted in zip(*trained, strict=True):
        np.testing.assert_allclose(native, wanted, rtol=2e-3, atol=2e-4)


def test_dictionaries_inside_a_model() -> None:
    images, labels = L.Input((8, 8, 3), name="images"), L.Input((4,), name="labels")
    mixed = L.CutMix(seed=5)({"images": images, "labels": labels})
    model = kgraph.Model({"images": images, "labels": labels}, {"x": mixed["images"], "y": mixed["labels"]})
    assert model.output_shape == {"x": (None, 8, 8, 3), "y": (None, 4)}
    data = {"images": _images(4, 8, 8, 3), "labels": np.eye(4, dtype="float32")}
    kept = model.predict(data, verbose=0)
    np.testing.assert_array_equal(kept["x"], data["images"])
    changed = model(data, training=True)
    assert not np.array_equal(np.asarray(changed["x"]), data["images"])
    np.testing.assert_allclose(np.asarray(changed["y"]).sum(axis=1), np.ones(4), rtol=1e-5)


def test_shapes_inside_a_model() -> None:
    assert L.Resizing(4, 5)(L.Input((8, 9, 3))).shape == (None, 4, 5, 3)
    assert L.CenterCrop(4, 5)(L.Input((8, 9, 3))).shape == (None, 4, 5, 3)
    assert L.RandAugment()(L.Input((8, 9, 3))).shape == (None, 8, 9, 3)
    assert L.RandomShear(0.1, data_format="channels_first")(L.Input((3, 8, 9))).shape == (None, 3, 8, 9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.RandomZoom((0.1,)),
        lambda: L.RandomTranslation(0.1, 1.5),
        lambda: L.RandomHue(-0.5),
        lambda: L.RandomShear(-0.2),
        lambda: L.RandomShear((0.5, 2.0)),
        lambda: L.RandomPosterization(2.5),
        lambda: L.RandomPosterization(0),
        lambda: L.RandomGrayscale(1.1),
        lambda: L.RandomPerspective(scale=2.0),
        lambda: L.RandomPerspective(0.5, scale="much"),
        lambda: L.RandomElasticTransform(fill_mode="edge"),
        lambda: L.RandomErasing(fill_value="noise"),
        lambda: L.RandomErasing(scale=(0.1, 1.2)),
        lambda: L.RandomGaussianBlur(sigma=2.0),
        lambda: L.RandomGaussianBlur(kernel_size=(3, 4)),
        lambda: L.Solarization(addition_factor=2.0),
        lambda: L.Solarization(value_range="bytes"),
        lambda: L.Equalization(bins=0),
        lambda: L.ContrastLimitedAdaptiveHistogramEqualization(clip_limit="none"),
        lambda: L.CutMix(factor=2.0),
        lambda: L.MixUp(alpha=float("inf")),
        lambda: L.AugMix(alpha=0.0),
        lambda: L.RandAugment(num_ops=0),
        lambda: L.RandAugment(interpolation="cubic"),
        lambda: L.MaxNumBoundingBoxes(0),
        lambda: L.RandomFlip(data_format="last"),
        lambda: L.RandomFlip(bounding_box_format="xxyy"),
    ],
)
def test_wrong_arguments(make: Make) -> None:
    with pytest.raises(InvalidArgumentError):
        make()


def test_wrong_inputs() -> None:
    with pytest.raises(ShapeError, match="rank 3 or 4"):
        L.RandomInvert()(np.zeros((2, 3), "float32"))
    with pytest.raises(ShapeError, match="3 channels"):
        L.RandomErasing(fill_value=(1, 2, 3))(_images(2, 4, 4, 1))
    data: dict[str, Any] = {
        "images": _images(2, 4, 4, 3),
        "bounding_boxes": {"boxes": np.zeros((2, 3, 5)), "labels": np.zeros((2, 3))},
    }
    with pytest.raises(ShapeError, match="four numbers"):
        L.MaxNumBoundingBoxes(2)(data)
    with pytest.raises(UnsupportedError, match="bounding boxes"):
        L.RandomPerspective(0.1)(data)
    data["bounding_boxes"]["boxes"] = np.zeros((2, 3, 4))
    with pytest.raises(InvalidArgumentError, match="unknown format"):
        L.RandomRotation(0.1)(data)
