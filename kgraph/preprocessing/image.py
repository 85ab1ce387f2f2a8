"""`keras.preprocessing.image` of Keras 2: `ImageDataGenerator` changes images at random, batch by batch.

It runs in NumPy on the host; the layers `RandomFlip`, `RandomRotation` and their kin do the same inside a model.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.session import floatx
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.preprocessing.iterators import DirectoryIterator, Iterator, NumpyArrayIterator
from kgraph.preprocessing.warp import (
    FILL_MODES,
    apply_affine_transform,
    apply_brightness_shift,
    apply_channel_shift,
    axes_of,
    flip_axis,
    pair,
    random_brightness,
    random_channel_shift,
    random_rotation,
    random_shear,
    random_shift,
    random_zoom,
    transform_matrix_offset_center,
)
from kgraph.utils.image import array_to_img, check_layout, img_to_array, load_img, save_img, smart_resize

__all__ = [
    "DirectoryIterator",
    "ImageDataGenerator",
    "Iterator",
    "NumpyArrayIterator",
    "apply_affine_transform",
    "apply_brightness_shift",
    "apply_channel_shift",
    "array_to_img",
    "flip_axis",
    "img_to_array",
    "load_img",
    "random_brightness",
    "random_channel_shift",
    "random_rotation",
    "random_shear",
    "random_shift",
    "random_zoom",
    "save_img",
    "smart_resize",
    "transform_matrix_offset_center",
]

Array = np.ndarray[Any, np.dtype[Any]]
_TINY = 1e-6  # added to a standard deviation


class ImageDataGenerator:
    """Normalises images, and changes them at random.

    Args:
        featurewise_center: subtract the mean of each channel over the data of `fit`.
        samplewise_center: subtract the mean of each image.
        featurewise_std_normalization: divide by the standard deviation of each channel over the data of `fit`.
        samplewise_std_normalization: divide by that of each image.
        zca_whitening: decorrelate the pixels (ZCA), by the data of `fit`.
        zca_epsilon: added to its singular values.
        rotation_range: turn by up to so many degrees.
        width_shift_range: shift left or right: a fraction of the width, or pixels from 1 on; a whole number n: by whole
            pixels below n; a list: by one of these.
        height_shift_range: the same, up or down.
        brightness_range: factor of the brightness, drawn from (low, high).
        shear_range: shear by up to so many degrees.
        zoom_range: zoom by a factor in (1 - z, 1 + z), or in (low, high), for each axis.
        channel_shift_range: add up to so much to all values.
        fill_mode: what comes in from outside, see `apply_affine_transform`.
        cval: value for `fill_mode="constant"`.
        horizontal_flip: mirror every second image (by chance) left to right.
        vertical_flip: the same, upside down.
        rescale: factor for all values, after the changes.
        preprocessing_function: called on each image `(height, width, channels)` after the changes, before `rescale`.
        data_format: `"channels_last"` or `"channels_first"`.
        validation_split: share of the rows (of each class, for files) that `subset="validation"` takes from the start.
        interpolation_order: 0 or 1.
        dtype: of the batches.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        UnsupportedError: an interpolation order above 1.
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: Any = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        # Each kind of scaling needs the centring that goes with it.
        self.featurewise_center = featurewise_center or featurewise_std_normalization or zca_whitening
        self.featurewise_std_normalization = featurewise_std_normalization and not zca_whitening
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening, self.zca_epsilon = zca_whitening, zca_epsilon
        self.rotation_range, self.shear_range = rotation_range, shear_range
        self.width_shift_range, self.height_shift_range = width_shift_range, height_shift_range
        self.channel_shift_range, self.fill_mode, self.cval = channel_shift_range, fill_mode, cval
        self.horizontal_flip, self.vertical_flip = horizontal_flip, vertical_flip
        self.rescale, self.preprocessing_function = rescale, preprocessing_function
        self.interpolation_order, self.dtype = interpolation_order, dtype or floatx()
        self.data_format = check_layout(data_format)
        single = isinstance(zoom_range, (int, float))
        self.zoom_range = pair("zoom_range", (1 - zoom_range, 1 + zoom_range) if single else zoom_range)
        self.brightness_range = None if brightness_range is None else pair("brightness_range", brightness_range)
        if fill_mode not in FILL_MODES:
            raise InvalidArgumentError(f"fill_mode={fill_mode!r}", needed="one of " + ", ".join(FILL_MODES))
        if interpolation_order not in (0, 1):
            raise UnsupportedError(f"interpolation_order={interpolation_order!r} is not there", fix="use 0 or 1")
        if validation_split and not 0 < validation_split < 1:
            raise InvalidArgumentError(f"validation_split={validation_split!r}", needed="0 <= validation_split < 1")
        self.split = float(validation_split or 0.0)
        self.mean: Array | None = None
        self.std: Array | None = None
        self.zca_whitening_matrix: Array | None = None

    # -- batches ------------------------------------------------------------------------------------------------------
    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        ignore_class_split: bool = False,
        subset: str | None = None,
    ) -> NumpyArrayIterator:
        """Batches of an array, for `fit`, or for `next` without end.

        Args:
            x: images `(n, height, width, channels)`; or (images, further arrays) for a model of several inputs.
            y: labels, or None.
            batch_size: images in a batch.
            shuffle: in a new random order each epoch.
            sample_weight: weight of each image.
            seed: of the order and the changes.
            save_to_dir: write each changed image to this directory (needs Pillow).
            save_prefix: begin of their names.
            save_format: `"png"`, ...
            ignore_class_split: let the two subsets have different classes.
            subset: `"training"` or `"validation"`, see `validation_split`.

        Raises:
            ShapeError: `x` has not four axes.
            DataError: lengths differ, or the subsets have different classes.
            InvalidArgumentError: another argument has a value that means nothing.
        """
        more = (save_to_dir, save_prefix, save_format, subset, ignore_class_split, self.dtype)
        return NumpyArrayIterator(x, y, self, batch_size, shuffle, sample_weight, seed, self.data_format, *more)

    def flow_from_directory(
        self,
        directory: Any,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
    ) -> DirectoryIterator:
        """Batches of image files (png, jpg, bmp, ppm, tif), a directory below `directory` for each class.

        Reading needs Pillow.

        Args:
            directory: with the directories of the classes.
            target_size: (height, width) of the images in a batch.
            color_mode: `"rgb"`, `"rgba"` or `"grayscale"`.
            classes: names of the directories; default: all, sorted.
            class_mode: `"categorical"` (one-hot rows), `"binary"` or `"sparse"` (numbers), `"input"` (images), None.
            batch_size, shuffle, seed, save_to_dir, save_prefix, save_format, subset: as in `flow`.
            follow_links: into linked directories.
            interpolation: as in `load_img`.
            keep_aspect_ratio: cut to the form of `target_size` first.

        Raises:
            FileMissingError: there is no such directory.
            InvalidArgumentError: an argument has a value that means nothing.
            MissingLibraryError: on the first batch, where Pillow is not installed.
        """
        first = (target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, self.data_format)
        more = (save_to_dir, save_prefix, save_format, follow_links, subset, interpolation, keep_aspect_ratio)
        return DirectoryIterator(directory, self, *first, *more, self.dtype)

    def flow_from_dataframe(self, *args: Any, **kwargs: Any) -> None:
        """Not there.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "flow_from_dataframe is not there",
            fix="use flow_from_directory, or read the files with load_img and pass the arrays to flow",
        )

    # -- normalising --------------------------------------------------------------------------------------------------
    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Learn means, deviations and the whitening matrix from data; `rescale` is applied before.

        Args:
            x: images `(n, height, width, channels)`.
            augment: learn from images changed at random.
            rounds: how many times each image is changed then.
            seed: of the changes.

        Raises:
            ShapeError: `x` has not four axes.
        """
        images = np.array(x, dtype=self.dtype)
        if images.ndim != 4:
            raise ShapeError("fit takes images", got=f"shape {images.shape}", needed="(n, height, width, channels)")
        if self.rescale:
            images *= self.rescale
        if augment:
            random = np.random if seed is None else np.random.RandomState(seed)
            images = np.array(
                [self.randomly_changed(image, random) for _ in range(rounds) for image in images], self.dtype
            )
        rows, columns, channels = axes_of(self.data_format)
        shape = [1, 1, 1]
        shape[channels] = images.shape[channels + 1]
        over = (0, rows + 1, columns + 1)
        if self.featurewise_center:
            self.mean = images.mean(axis=over).reshape(shape)
            images -= self.mean
        if self.featurewise_std_normalization:
            self.std = images.std(axis=over).reshape(shape)
            images /= self.std + _TINY
        if self.zca_whitening:
            left, values, _ = np.linalg.svd(images.reshape(len(images), -1).T, full_matrices=False)
            self.zca_whitening_matrix = (left * (math.sqrt(len(images)) / (values + self.zca_epsilon))) @ left.T

    def standardize(self, x: Array) -> Array:
        """One image or a batch normalised, in place where that can be.

        Warns:
            UserWarning: `fit` is needed first.
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x *= self.rescale
        if self.samplewise_center:
            x -= np.mean(x, keepdims=True)
        if self.samplewise_std_normalization:
            x /= np.std(x, keepdims=True) + _TINY
        if self.featurewise_center and self._learnt("featurewise_center", self.mean):
            x -= self.mean
        if self.featurewise_std_normalization and self._learnt("featurewise_std_normalization", self.std):
            assert self.std is not None
            x /= self.std + _TINY
        if self.zca_whitening and self._learnt("zca_whitening", self.zca_whitening_matrix):
            flat = x.reshape(-1, math.prod(x.shape[-3:]))
            x = np.reshape(flat @ self.zca_whitening_matrix, x.shape)
        return x

    def _learnt(self, option: str, value: Array | None) -> bool:
        if value is None:
            warnings.warn(
                f"{option} needs ImageDataGenerator.fit(x) first; the images are left as they are", stacklevel=3
            )
        return value is not None

    # -- changing at random -------------------------------------------------------------------------------------------
    def get_random_transform(self, img_shape: tuple[int, ...], seed: int | None = None) -> dict[str, Any]:
        """A draw of all changes, for `apply_transform`.

        Args:
            img_shape: of one image.
            seed: of the draw; None: from `numpy.random`.
        """
        return self._drawn(img_shape, np.random if seed is None else np.random.RandomState(seed))

    def _drawn(self, img_shape: tuple[int, ...], random: Any) -> dict[str, Any]:
        # The order of the draws is that of Keras: equal seeds give equal changes.
        rows, columns, _ = axes_of(self.data_format)
        theta = random.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        ty = _drawn_shift(self.height_shift_range, img_shape[rows], random)
        tx = _drawn_shift(self.width_shift_range, img_shape[columns], random)
        shear = random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx, zy = (1, 1) if self.zoom_range == (1, 1) else random.uniform(*self.zoom_range, 2)
        flip_horizontal = bool(random.random_sample() < 0.5) and self.horizontal_flip
        flip_vertical = bool(random.random_sample() < 0.5) and self.vertical_flip
        reach = self.channel_shift_range
        intensity = random.uniform(-reach, reach) if reach else None
        brightness = None if self.brightness_range is None else random.uniform(*self.brightness_range)
        return {
            "theta": theta,
            "tx": tx,
            "ty": ty,
            "shear": shear,
            "zx": zx,
            "zy": zy,
            "flip_horizontal": flip_horizontal,
            "flip_vertical": flip_vertical,
            "channel_shift_intensity": intensity,
            "brightness": brightness,
        }

    def apply_transform(self, x: Array, transform_parameters: dict[str, Any]) -> Array:
        """One image with the changes that a dict of `get_random_transform` names; what is not in it is left out."""
        get = transform_parameters.get
        rows, columns, channels = axes_of(self.data_format)
        x = apply_affine_transform(
            x,
            *(get("theta", 0), get("tx", 0), get("ty", 0), get("shear", 0), get("zx", 1), get("zy", 1)),
            *(rows, columns, channels, self.fill_mode, self.cval, self.interpolation_order),
        )
        if get("channel_shift_intensity") is not None:
            x = apply_channel_shift(x, get("channel_shift_intensity", 0.0), channels)
        if get("flip_horizontal", False):
            x = flip_axis(x, columns)
        if get("flip_vertical", False):
            x = flip_axis(x, rows)
        if get("brightness") is not None:
            x = apply_brightness_shift(x, get("brightness", 1.0), False)
        return x

    def random_transform(self, x: npt.ArrayLike, seed: int | None = None) -> Array:
        """One image changed at random."""
        image = np.asarray(x)
        return self.apply_transform(image, self.get_random_transform(image.shape, seed))

    def randomly_changed(self, image: Array, random: Any) -> Array:
        """As `random_transform`, drawing from a generator of NumPy's older kind."""
        return self.apply_transform(image, self._drawn(image.shape, random))


def _drawn_shift(reach: Any, size: int, random: Any) -> float:
    """Pixels to shift by, of an axis of this size."""
    if np.ndim(reach) == 0 and not reach:
        return 0
    if isinstance(reach, (float, np.floating)):
        shift = float(random.uniform(-reach, reach))
    else:  # a number of pixels, or several to choose from
        shift = float(random.choice(reach) * random.choice([-1, 1]))
    return shift * size if np.max(reach) < 1 else shift
