"""Image layers against Keras on JAX: the same draws give the same images.

Draws differ in their bits, so Keras' own transformations are handed to our layers, or a factor leaves nothing to draw.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, keras, kgraph

pytestmark = [
    pytest.mark.parity,
    # MixUp of Keras asks JAX for 64-bit places.
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64"),
]

Make = Callable[[Any], Any]
# float32 arithmetic on values up to 255, in another order.
CLOSE: dict[str, float] = {"rtol": 1e-4, "atol": 2e-3}


def images(rng: np.random.Generator, low: float, high: float, *shape: int) -> np.ndarray:
    return rng.uniform(low, high, shape or (4, 9, 11, 3)).astype("float32")


def arrays(value: Any) -> Any:
    """A transformation of Keras with NumPy arrays."""
    if isinstance(value, dict):
        return {key: arrays(item) for key, item in value.items() if key not in ("seed", "input_shape")}
    return value if value is None or isinstance(value, (int, float)) else np.asarray(value)


# Layers whose transformation has the names that Keras has.
DRAWN: dict[str, Make] = {
    "brightness": lambda L: L.RandomBrightness(0.4),
    "brightness_low": lambda L: L.RandomBrightness((-0.3, -0.1), value_range=(0, 1)),
    "contrast": lambda L: L.RandomContrast(0.6),
    "contrast_pair": lambda L: L.RandomContrast((0.2, 0.9), value_range=(0, 1)),
    "degeneration": lambda L: L.RandomColorDegeneration(0.8),
    "degeneration_pair": lambda L: L.RandomColorDegeneration((0.2, 0.7), value_range=(0, 1)),
    "invert": lambda L: L.RandomInvert(0.9),
    "invert_unit": lambda L: L.RandomInvert((1.0, 1.0), value_range=(0, 1)),
    "posterization": lambda L: L.RandomPosterization(5),
    "posterization_fixed": lambda L: L.RandomPosterization((3, 3)),
    "posterization_unit": lambda L: L.RandomPosterization((2, 6), value_range=(0, 1)),
    "saturation": lambda L: L.RandomSaturation(0.6),
    "saturation_unit": lambda L: L.RandomSaturation((0.2, 0.9), value_range=(0, 1)),
    "hue": lambda L: L.RandomHue(0.7),
    "hue_unit": lambda L: L.RandomHue((0.1, 0.4), value_range=(0, 1)),
    "solarization": lambda L: L.Solarization(0.2, 0.6),
    "solarization_unit": lambda L: L.Solarization((0.1, 0.3), (0.4, 0.5), value_range=(0, 1)),
    "sharpness": lambda L: L.RandomSharpness(0.9),
    "sharpness_unit": lambda L: L.RandomSharpness((0.1, 0.4), value_range=(0, 1)),
    "blur": lambda L: L.RandomGaussianBlur(0.9, 5, 0.9),
    "blur_two": lambda L: L.RandomGaussianBlur((1.0, 1.0), (3, 7), (0.4, 0.9), value_range=(0, 1)),
    "erasing": lambda L: L.RandomErasing((0.5, 1.0)),
    "erasing_number": lambda L: L.RandomErasing((1.0, 1.0), scale=(0.3, 0.5), fill_value=0.25, value_range=(0, 1)),
    "grayscale": lambda L: L.RandomGrayscale(0.5),
    "perspective": lambda L: L.RandomPerspective((0.5, 1.0), scale=0.6),
    "perspective_nearest": lambda L: L.RandomPerspective(scale=0.4, interpolation="nearest", fill_value=3.0),
    "flip": lambda L: L.RandomFlip(),
    "flip_vertical": lambda L: L.RandomFlip("vertical"),
    "cutmix": lambda L: L.CutMix((0.5, 1.0)),
    "mixup": lambda L: L.MixUp(0.4),
}
UNIT = {"brightness_low", "contrast_pair", "degeneration_pair", "erasing_number", "saturation_unit", "blur_two"}


@pytest.mark.parametrize("case", DRAWN)
def test_the_same_draws(case: str, rng: np.random.Generator) -> None:
    x = images(rng, 0.0, 1.0 if case.endswith("unit") or case in UNIT else 255.0)
    ours, theirs = DRAWN[case](kgraph.layers), DRAWN[case](keras.layers)
    drawn = theirs.get_random_transformation(x, training=True)
    wanted = np.asarray(theirs.transform_images(keras.ops.convert_to_tensor(x), drawn, training=True))
    found = np.asarray(ours.transform_images(x, arrays(drawn), training=True))
    assert found.dtype == np.float32
    if case.startswith("perspective"):
        # Where a coordinate falls on a whole number within rounding, one of two cells is taken.
        near = np.isclose(found, wanted, rtol=1e-3, atol=0.3 if case == "perspective" else 1e-3)
        assert near.mean() > 0.98
    else:
        assert_close(found, wanted, **CLOSE)
    names = {key for key in arrays(drawn)} if isinstance(drawn, dict) else set()
    if names:
        own = {k: v for k, v in ours.get_random_transformation(x).items() if k != "size"}
        assert set(own) == names
        assert {key: np.shape(own[key]) for key in names} == {key: np.shape(drawn[key]) for key in names} | {
            key: np.shape(own[key]) for key in names if key in ("batch_masks", "mix_weight", "fill_value")
        }


@pytest.mark.parametrize("case", ["degeneration", "saturation", "hue_unit", "sharpness", "contrast", "flip", "blur"])
def test_channels_first(case: str, rng: np.random.Generator) -> None:
    x = images(rng, 0.0, 1.0 if case.endswith("unit") else 255.0)
    layer, first = DRAWN[case](kgraph.layers), DRAWN[case](kgraph.layers)
    first.data_format = "channels_first"
    drawn = layer.get_random_transformation(x)
    turned = first.transform_images(np.moveaxis(x, -1, 1), drawn)
    assert_close(np.moveaxis(np.asarray(turned), 1, -1), layer.transform_images(x, drawn), **CLOSE)


# A layer whose result does not depend on a draw.
FIXED: dict[str, Make] = {
    "rotation": lambda L: L.RandomRotation((0.1, 0.1)),
    "rotation_constant": lambda L: L.RandomRotation((-0.2, -0.2), fill_mode="constant", fill_value=7.0),
    "rotation_wrap": lambda L: L.RandomRotation((0.3, 0.3), fill_mode="wrap"),
    "translation": lambda L: L.RandomTranslation((0.2, 0.2), (-0.3, -0.3)),
    "translation_nearest": lambda L: L.RandomTranslation((0.25, 0.25), (0.3, 0.3), "nearest", "nearest"),
    "zoom": lambda L: L.RandomZoom((0.3, 0.3), (-0.2, -0.2), fill_mode="constant", fill_value=1.0),
    "zoom_one": lambda L: L.RandomZoom((-0.4, -0.4)),
    "no_shear": lambda L: L.RandomShear(),
    "brightness": lambda L: L.RandomBrightness((0.25, 0.25)),
    "contrast": lambda L: L.RandomContrast((0.0, 0.0)),
    "degeneration": lambda L: L.RandomColorDegeneration((0.7, 0.7)),
    "posterization": lambda L: L.RandomPosterization((4, 4)),
    "saturation": lambda L: L.RandomSaturation((0.8, 0.8)),
    "no_hue": lambda L: L.RandomHue((0.0, 0.0)),
    "whole_hue": lambda L: L.RandomHue((1.0, 1.0)),
    "sharpness": lambda L: L.RandomSharpness((1.0, 1.0)),
    "smooth": lambda L: L.RandomSharpness((0.0, 0.0)),
    "invert": lambda L: L.RandomInvert((1.0, 1.0)),
    "no_invert": lambda L: L.RandomInvert((0.0, 0.0)),
    "blur": lambda L: L.RandomGaussianBlur((1.0, 1.0), 3, (0.8, 0.8)),
    "grayscale": lambda L: L.RandomGrayscale(1.0),
    "no_grayscale": lambda L: L.RandomGrayscale(0.0),
    "no_erasing": lambda L: L.RandomErasing((0.0, 0.0)),
    "no_elastic": lambda L: L.RandomElasticTransform((0.0, 0.0)),
    "no_scale": lambda L: L.RandomPerspective((1.0, 1.0), scale=0.0),
    "solarization": lambda L: L.Solarization(),
    "auto_contrast": lambda L: L.AutoContrast(),
    "equalization": lambda L: L.Equalization(),
    "equalization_bins": lambda L: L.Equalization(bins=16),
    "clahe": lambda L: L.ContrastLimitedAdaptiveHistogramEqualization(tile_grid_size=(2, 3)),
    "clahe_no_limit": lambda L: L.ContrastLimitedAdaptiveHistogramEqualization(clip_limit=0, tile_grid_size=(3, 2)),
    "jitter": lambda L: L.RandomColorJitter(
        brightness_factor=(0.1, 0.1), contrast_factor=(0.0, 0.0), saturation_factor=(0.6, 0.6), hue_factor=(0.0, 0.0)
    ),
    "resizing_pad": lambda L: L.Resizing(6, 6, pad_to_aspect_ratio=True, fill_value=2.0),
    "resizing_pad_rows": lambda L: L.Resizing(12, 6, pad_to_aspect_ratio=True),
    "crop_smaller": lambda L: L.RandomCrop(12, 8),
    "crop_wider": lambda L: L.RandomCrop(6, 14),
}


@pytest.mark.parametrize("case", FIXED)
def test_nothing_to_draw(case: str, rng: np.random.Generator) -> None:
    x = images(rng, 0.0, 255.0)
    ours, theirs = FIXED[case](kgraph.layers), FIXED[case](keras.layers)
    # Without `training`, as Keras does: a layer applied to arrays changes them.
    found, wanted = np.asarray(ours(x)), np.asarray(theirs(x))
    close = {"rtol": 1e-3, "atol": 0.1} if "hue" in case or case == "jitter" else CLOSE
    assert_close(found, wanted, **close)
    assert_close(ours(x, training=False), theirs(x, training=False), **CLOSE)


def test_range_of_one(rng: np.random.Generator) -> None:
    x = images(rng, 0.2, 0.6)
    for make in (
        lambda L: L.AutoContrast(value_range=(0, 1)),
        lambda L: L.Equalization(value_range=(0, 1)),
        lambda L: L.ContrastLimitedAdaptiveHistogramEqualization(value_range=(0, 1), tile_grid_size=(3, 3)),
    ):
        ours, theirs = np.asarray(make(kgraph.layers)(x)), np.asarray(make(keras.layers)(x))
        assert (np.abs(ours - theirs) < 1e-4).mean() > 0.995  # a value on the edge of a bin falls to either side


def test_flat_images() -> None:
    x = np.full((2, 6, 7, 3), 90.0, "float32")
    for name in ("AutoContrast", "Equalization"):
        layer = getattr(kgraph.layers, name)()
        assert_close(layer(x), getattr(keras.layers, name)()(x))


@pytest.mark.parametrize("name", ["RandomShear", "RandomElasticTransform"])
def test_warps_through_their_own_draws(name: str, rng: np.random.Generator) -> None:
    x = images(rng, 0.0, 255.0)
    if name == "RandomShear":
        ours = kgraph.layers.RandomShear(0.4, 0.2, seed=1)
        drawn = ours.get_random_transformation(x)
        matrix = np.asarray(drawn["matrix"])
        assert (np.abs(matrix[:, 1]) <= 0.4).all()
        assert (np.abs(matrix[:, 3]) <= 0.2).all()
        wanted = keras.ops.image.affine_transform(x, matrix, fill_mode="reflect")
    else:
        ours = kgraph.layers.RandomElasticTransform((1.0, 1.0), scale=(0.9, 0.9), seed=1)
        drawn = ours.get_random_transformation(x)
        down, across = (np.asarray(part) for part in ours.displacement(drawn))
        sigma = 0.05 * 9 * 0.9
        noise = np.asarray(drawn["noise"]) * sigma
        size = int(6 * sigma) | 1
        smooth = (
            np.asarray(keras.ops.image.gaussian_blur(noise, (size, size), (sigma, sigma), "channels_last"))
            * 0.1
            * 11
            * 0.9
        )
        assert_close(down, smooth[..., 0], rtol=1e-4, atol=1e-5)
        assert_close(across, smooth[..., 1], rtol=1e-4, atol=1e-5)
        rows, columns = np.mgrid[:9, :11].astype("float32")
        wanted = np.stack(
            [
                np.stack(
                    [
                        keras.ops.image.map_coordinates(
                            x[b, :, :, c], np.stack([rows + down[b], columns + across[b]]), 1, "reflect"
                        )
                        for c in range(3)
                    ],
                    axis=-1,
                )
                for b in range(4)
            ]
        )
    assert_close(ours.transform_images(x, drawn), wanted, rtol=1e-3, atol=0.05)


def test_mixed_labels(rng: np.random.Generator) -> None:
    data = {"images": images(rng, 0.0, 255.0), "labels": np.eye(4, 5, dtype="float32")}
    for make in (lambda L: L.CutMix(seed=3), lambda L: L.MixUp(0.5, seed=3)):
        ours, theirs = make(kgraph.layers), make(keras.layers)
        drawn = theirs.get_random_transformation(data)
        wanted = theirs.transform_labels(keras.ops.convert_to_tensor(data["labels"]), drawn)
        assert_close(ours.transform_labels(data["labels"], arrays(drawn)), wanted)
        found = ours(data)
        assert set(found) == {"images", "labels"}
        assert_close(np.asarray(found["labels"]).sum(axis=1), np.ones(4), rtol=1e-5)


BOXES: dict[str, Make] = {
    "flip": lambda L: L.RandomFlip(bounding_box_format="xyxy"),
    "translation": lambda L: L.RandomTranslation((0.25, 0.25), (-0.25, -0.25), bounding_box_format="xyxy"),
    "resizing": lambda L: L.Resizing(16, 40, bounding_box_format="xyxy"),
    "resizing_crop": lambda L: L.Resizing(8, 8, crop_to_aspect_ratio=True, bounding_box_format="xyxy"),
    "center_crop": lambda L: L.CenterCrop(8, 10, bounding_box_format="center_xywh"),
    "center_crop_large": lambda L: L.CenterCrop(24, 24, bounding_box_format="xyxy"),
    "rel": lambda L: L.CenterCrop(8, 10, bounding_box_format="rel_xywh"),
}


@pytest.mark.parametrize("case", BOXES)
def test_boxes_are_moved(case: str, rng: np.random.Generator) -> None:
    x = images(rng, 0, 1, 2, 16, 20, 3)
    corner = rng.uniform(0, 10, (2, 4, 2))
    extent = rng.uniform(1, 6, (2, 4, 2))
    form = BOXES[case](kgraph.layers).bounding_box_format
    second = corner + extent if form == "xyxy" else extent
    boxes = np.concatenate([corner, second], axis=-1).astype("float32") / (20.0 if form[:3] == "rel" else 1.0)
    given = {"boxes": boxes, "labels": np.arange(8, dtype="int32").reshape(2, 4)}
    ours, theirs = BOXES[case](kgraph.layers), BOXES[case](keras.layers)
    drawn = theirs.get_random_transformation(x)
    own = ours.get_random_transformation(x)
    if case == "flip":
        own["flips"] = np.asarray(drawn["flips"])
    wanted = theirs.transform_bounding_boxes({k: keras.ops.convert_to_tensor(v) for k, v in given.items()}, drawn)
    found = ours.transform_bounding_boxes(given, own)
    assert_close(found["boxes"], wanted["boxes"], rtol=1e-4, atol=1e-3)
    assert_close(found["labels"], wanted["labels"])


def test_boxes(rng: np.random.Generator) -> None:
    boxes = {"boxes": rng.uniform(0, 9, (2, 3, 4)).astype("float32"), "labels": np.array([[1, 2, 3], [4, 5, 6]])}
    for count in (2, 5):
        ours, theirs = kgraph.layers.MaxNumBoundingBoxes(count), keras.layers.MaxNumBoundingBoxes(count)
        found = ours({"images": images(rng, 0, 1, 2, 4, 4, 3), "bounding_boxes": boxes})["bounding_boxes"]
        wanted = theirs.transform_bounding_boxes(boxes, None)
        for key in boxes:
            assert_close(found[key], wanted[key])


@pytest.mark.parametrize("choices", [(0, 3), (1, 10), (2, 7), (8, 5)])
def test_rand_augment(choices: tuple[int, int], rng: np.random.Generator) -> None:
    x = images(rng, 0.0, 255.0)
    ours, theirs = kgraph.layers.RandAugment(seed=2), keras.layers.RandAugment(seed=2)
    drawn = theirs.get_random_transformation(x)
    drawn["layer_idxes"] = np.asarray(choices)
    wanted = np.asarray(theirs.transform_images(keras.ops.convert_to_tensor(x), drawn))
    assert list(ours.get_random_transformation(x)["transforms"]) == list(drawn["transforms"])
    given = arrays(drawn)
    moves = given["transforms"]
    moves["random_rotation"] = {"matrix": moves["random_rotation"]["rotation_matrix"]}
    shift, slant = moves["random_translation"]["translations"], moves["random_shear"]["shear_factor"]
    one, zero = np.ones(4, "float32"), np.zeros(4, "float32")
    moves["random_translation"] = {
        "matrix": np.stack([one, zero, -shift[:, 0], zero, one, -shift[:, 1], zero, zero], axis=1)
    }
    moves["random_shear"] = {"matrix": np.stack([one, slant[:, 0], zero, slant[:, 1], one, zero, zero, zero], axis=1)}
    found = np.asarray(ours.transform_images(x, given))
    assert (np.abs(found - wanted) < 0.05).mean() > 0.99  # equalisation: a value on the edge of a bin


@pytest.mark.parametrize("name", ["RandAugment", "AugMix"])
def test_arguments_of_policies(name: str) -> None:
    ours, theirs = getattr(kgraph.layers, name)(factor=0.4), getattr(keras.layers, name)(factor=0.4)
    assert tuple(ours.factor) == tuple(theirs.factor)
    posterization = (ours.random_posterization.factor, theirs.random_posterization.factor)
    assert tuple(posterization[0]) == tuple(posterization[1])
    assert set(theirs.get_config()) - {"dtype", "name", "trainable"} <= set(ours.get_config())


@pytest.mark.parametrize(
    "case", ["degeneration", "erasing_number", "hue", "perspective", "blur_two", "cutmix", "mixup"]
)
def test_config_has_the_names_of_keras(case: str) -> None:
    ours, theirs = DRAWN[case](kgraph.layers).get_config(), DRAWN[case](keras.layers).get_config()
    assert set(theirs) - {"value_range"} <= set(ours)
    for key in ("factor", "scale", "alpha", "fill_value"):
        if key in theirs:
            assert np.allclose(np.asarray(ours[key], float), np.asarray(theirs[key], float))
