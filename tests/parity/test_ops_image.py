"""Operations on images against Keras on JAX: on arrays, and the same through a recorded graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.parity.comparing import assert_close, flat, keras, kgraph

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(7)
RGB = RNG.uniform(0, 1, (2, 6, 5, 3)).astype("float32")
RGB[0, 0, 0], RGB[0, 0, 1], RGB[0, 0, 2] = 0.0, 0.5, (0.7, 0.7, 0.2)  # black, grey, two channels alike
GREY = RNG.uniform(0, 1, (2, 7, 6, 1)).astype("float32")
START = np.array([[[0, 0], [4, 0], [0, 5], [4, 5]], [[0.5, 0], [4, 1], [0, 5], [3, 5]]], "float32")
END = np.array([[[0, 1], [4, 0], [1, 5], [4, 4]], [[0, 0], [4, 0], [0, 5], [4, 5]]], "float32")
PLACES = RNG.uniform(-4, 10, (2, 40)).astype("float32")
AFFINE = np.array([[0.9, 0.1, 0.4, -0.2, 1.1, 0.3, 0, 0], [1, 0, 1.25, 0, 1, -2.25, 0, 0]], "float32")

Case = tuple[Callable[..., Any], list[Any]]
CASES: dict[str, Case] = {
    "grayscale": (lambda o, x: o.image.rgb_to_grayscale(x), [RGB]),
    "grayscale_one": (lambda o, x: o.image.rgb_to_grayscale(x), [RGB[0]]),
    "grayscale_first": (
        lambda o, x: o.image.rgb_to_grayscale(x, data_format="channels_first"),
        [np.moveaxis(RGB, -1, 1)],
    ),
    "grayscale_whole": (lambda o, x: o.image.rgb_to_grayscale(x), [(RGB * 255).astype("uint8")]),
    "to_hsv": (lambda o, x: o.image.rgb_to_hsv(x), [RGB]),
    "to_hsv_first": (lambda o, x: o.image.rgb_to_hsv(x, data_format="channels_first"), [np.moveaxis(RGB, -1, 1)]),
    "to_rgb": (lambda o, x: o.image.hsv_to_rgb(x), [RGB]),
    "to_rgb_and_back": (lambda o, x: o.image.hsv_to_rgb(o.image.rgb_to_hsv(x)), [RGB]),
    "blur": (lambda o, x: o.image.gaussian_blur(x, (3, 5), (1.0, 0.5), "channels_last"), [RGB]),
    "blur_one": (lambda o, x: o.image.gaussian_blur(x, data_format="channels_last"), [RGB[0]]),
    "blur_first": (
        lambda o, x: o.image.gaussian_blur(x, (5, 3), (1.5, 0.7), "channels_first"),
        [np.moveaxis(RGB, -1, 1)],
    ),
    "sobel": (lambda o, x: o.image.sobel_edges(x), [RGB]),
    "ssim": (lambda o, x, y: o.image.ssim(x, y, filter_size=5), [RGB, RGB[::-1].copy()]),
    "ssim_one": (lambda o, x, y: o.image.ssim(x, y, max_val=2.0, filter_size=3), [RGB[0], RGB[1]]),
    "perspective": (lambda o, x, s, e: o.image.perspective_transform(x, s, e), [RGB, START, END]),
    "perspective_nearest": (
        lambda o, x, s, e: o.image.perspective_transform(x, s, e, interpolation="nearest", fill_value=0.3),
        [RGB, START, END],
    ),
    "perspective_one": (lambda o, x, s, e: o.image.perspective_transform(x, s, e), [RGB[0], START[1], END[0]]),
    **{
        f"affine_{mode}_{kind}": (
            lambda o, x, t, mode=mode, kind=kind: o.image.affine_transform(x, t, kind, mode, 0.25),
            [RGB, AFFINE],
        )
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
        for kind in ("nearest", "bilinear")
    },
    **{
        f"map_{mode}_{order}": (
            lambda o, x, p, mode=mode, order=order: o.image.map_coordinates(x, p, order, mode, 0.25),
            [RGB[0, :, :, 0], PLACES],
        )
        for mode in ("constant", "nearest", "wrap", "mirror", "reflect")
        for order in (0, 1)
    },
    "map_whole": (
        lambda o, x, p: o.image.map_coordinates(x, p, 1, "nearest"),
        [(RGB[0, :, :, 0] * 9).astype("int32"), PLACES],
    ),
    "crop": (lambda o, x: o.image.crop_images(x, 1, 2, 0, 1), [RGB]),
    "crop_target": (
        lambda o, x: o.image.crop_images(x, top_cropping=1, right_cropping=1, target_height=3, target_width=2),
        [RGB[0]],
    ),
    "pad": (lambda o, x: o.image.pad_images(x, 1, 2, 0, 1), [RGB]),
    "pad_target": (
        lambda o, x: o.image.pad_images(x, 1, 2, target_height=9, target_width=9, data_format="channels_first"),
        [np.moveaxis(RGB, -1, 1)],
    ),
    "patches": (lambda o, x: o.image.extract_patches(x, 2), [RGB]),
    "patches_same": (lambda o, x: o.image.extract_patches(x, (3, 2), strides=(2, 1), padding="same"), [RGB]),
    "patches_dilated": (lambda o, x: o.image.extract_patches(x, 2, strides=1, dilation_rate=2), [RGB[0]]),
    "patches_first": (
        lambda o, x: o.image.extract_patches(x, 2, strides=(1, 2), data_format="channels_first"),
        [np.moveaxis(RGB, -1, 1)],
    ),
    "patches_3d": (lambda o, x: o.image.extract_patches_3d(x, 2, strides=1), [np.stack([RGB, RGB + 1, RGB - 1], 1)]),
    "depth_to_space": (lambda o, x: o.depth_to_space(x, 2), [np.concatenate([RGB, GREY[:, :6, :5]], -1)]),
    "depth_to_space_first": (
        lambda o, x: o.depth_to_space(x, 2, data_format="channels_first"),
        [RNG.normal(size=(2, 8, 3, 4)).astype("f4")],
    ),
    "space_to_depth": (lambda o, x: o.space_to_depth(x, 2), [RNG.normal(size=(2, 4, 6, 3)).astype("f4")]),
    "space_to_depth_first": (
        lambda o, x: o.space_to_depth(x, 2, data_format="channels_first"),
        [RNG.normal(size=(2, 3, 4, 6)).astype("f4")],
    ),
    "unfold": (lambda o, x: o.unfold(x, (3, 2), 1, (1, 0), (2, 1)), [np.moveaxis(RGB, -1, 1)]),
    "unfold_dilated": (lambda o, x: o.unfold(x, 2, dilation=2), [np.moveaxis(RGB, -1, 1)]),
    "fold": (lambda o, x: o.fold(x, (6, 5), (3, 2), 1, (1, 0), (2, 1)), [RNG.normal(size=(2, 12, 12)).astype("f4")]),
    "fold_dilated": (lambda o, x: o.fold(x, (6, 5), 2, dilation=2), [RNG.normal(size=(2, 8, 12)).astype("f4")]),
    "scale_and_translate": (
        lambda o, x: o.image.scale_and_translate(
            x, (2, 8, 4, 3), np.array([1.3, 0.7], "f4"), np.array([0.4, -0.9], "f4"), (1, 2), "linear"
        ),
        [RGB],
    ),
    "scale_and_translate_cubic": (
        lambda o, x: o.image.scale_and_translate(
            x, (4, 9, 3), np.array([0.5, 1.5], "f4"), np.array([0.0, 0.3], "f4"), (0, 1), "cubic", antialias=False
        ),
        [RGB[0]],
    ),
    "map_3d": (
        lambda o, x, p: o.image.map_coordinates(x, p, 1),
        [RGB[0], np.abs(RNG.normal(1, 1, (3, 4, 2))).astype("f4")],
    ),
}


def through_a_model(run: Callable[[Any], Any], arrays: list[np.ndarray]) -> list[np.ndarray]:
    """`run` recorded as a functional model of fixed shapes and predicted natively."""
    inputs = [kgraph.Input(batch_shape=x.shape, dtype=x.dtype.name) for x in arrays]
    model = kgraph.Model(inputs, flat(run(*inputs)))
    return [np.asarray(y) for y in flat(model(arrays))]


@pytest.mark.parametrize("case", CASES)
def test_against_keras(case: str) -> None:
    make, arrays = CASES[case]
    theirs = flat(make(keras.ops, *[keras.ops.convert_to_tensor(x) for x in arrays]))
    ours = flat(make(kgraph.ops, *arrays))
    for a, b in zip(ours, theirs, strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        assert_close(a, b, rtol=1e-4, atol=2e-5)
    recorded = through_a_model(lambda *xs: make(kgraph.ops, *xs), arrays)
    for a, b in zip(recorded, ours, strict=True):
        assert_close(a, b)
