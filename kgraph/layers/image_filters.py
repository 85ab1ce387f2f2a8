"""Random changes of a pixel from its surroundings: blur and sharpness; and rectangles that are blanked."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph import ops, random
from kgraph.errors import InvalidArgumentError
from kgraph.layers.image_base import BYTES, RandomImages, factor_range, is_number, per_image, value_pair

__all__ = ["RandomErasing", "RandomGaussianBlur", "RandomSharpness", "rectangle_bounds", "rectangles"]


class _Filter(RandomImages):
    """A change of some images, within a range of values."""

    def __init__(
        self,
        factor: Any = 1.0,
        value_range: Any = BYTES,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0.0)
        self.value_range = value_pair(self, value_range)

    def _kept(self, x: Any) -> Any:
        return ops.clip(x, float(self.value_range[0]), float(self.value_range[1]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "factor": self.factor, "value_range": self.value_range}


class RandomSharpness(_Filter):
    """Moves each image towards a smoothed copy of itself, or away from it.

    Args:
        factor: 0.5 keeps the image, 0 smooths it, 1 sharpens it; one number for (0, number) or (low, high).
        value_range: lowest and highest value of the images; results are kept within.
    """

    def __init__(self, factor: Any, value_range: Any = BYTES, **kwargs: Any) -> None:
        super().__init__(factor, value_range, **kwargs)

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {"factor": self._draw(images, *self.factor, seed=seed)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        # The filter SMOOTH of the Python Imaging Library: the middle counts five times.
        weights = np.full((3, 3, 1, 1), 1.0 / 13.0, np.float32)
        weights[1, 1] = 5.0 / 13.0
        kernel = ops.cast(np.tile(weights, (1, 1, self._channels(images), 1)), self.compute_dtype)
        smooth = ops.depthwise_conv(images, kernel, padding="same", data_format=self.data_format)
        share = 1.0 - 2.0 * per_image(transformation["factor"])
        return self._kept(images + share * (smooth - images))


class RandomGaussianBlur(_Filter):
    """Smooths some images with a Gaussian filter; zeros are taken around the image.

    Args:
        factor: probability, one number for (0, number) or (low, high), from which each image draws its own.
        kernel_size: odd number of cells, or two: across and down.
        sigma: standard deviation in cells, from 0 to 1; one number for (0, number) or (low, high), drawn once for a
            batch and direction.
        value_range: lowest and highest value of the images; results are kept within.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        kernel_size: Any = 3,
        sigma: Any = 1.0,
        value_range: Any = BYTES,
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)
        pair = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size, kernel_size)
        if len(pair) != 2 or not all(is_number(side) and side > 0 and side % 2 == 1 for side in pair):
            raise InvalidArgumentError(
                f"RandomGaussianBlur: argument `kernel_size` is {kernel_size!r}",
                needed="an odd number of cells, or two",
                where=self.name,
            )
        self.kernel_size = (int(pair[0]), int(pair[1]))
        self.sigma = factor_range(self, "sigma", sigma, 0.0)

    def _drawn(self, images: Any, seed: Any) -> Any:
        # Not quite 0: the filter divides by it.
        sigma = random.uniform((2,), *self.sigma, dtype=self.compute_dtype, seed=self._seed(seed)) + 1e-6
        return {"should_apply_blur": self._chance(images, self.factor, seed), "blur_factor": sigma}

    def _transform(self, images: Any, transformation: Any) -> Any:
        self._channels(images)
        sigma = transformation["blur_factor"]
        smooth = ops.gaussian_blur(images, self.kernel_size, sigma, data_format=self.data_format)
        return self._kept(ops.where(per_image(transformation["should_apply_blur"]), smooth, images))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "kernel_size": self.kernel_size, "sigma": self.sigma}


def rectangle_bounds(layer: RandomImages, images: Any, length: int, share: Any, seed: Any) -> tuple[Any, Any]:
    """(start, end) f32[B] of a stretch of `share` (f32[B]) of an axis, anywhere on it."""
    size = share * float(length)
    start = layer._draw(images, 0.0, 1.0, seed=seed) * (float(length) - size)
    return start, start + size


def rectangles(layer: RandomImages, images: Any, across: tuple[Any, Any], down: tuple[Any, Any]) -> Any:
    """bool[B, H, W, 1] (or channels first): true within the rectangles of these bounds."""
    height, width = layer._sizes(images)
    first = layer._first(4)
    inside: Any = True
    for (start, end), size, axis in ((down, height, first), (across, width, first + 1)):
        places = np.arange(size, dtype=np.float32).reshape([-1 if i == axis else 1 for i in range(4)])
        within = ops.logical_and(places >= per_image(start), places < per_image(end))
        inside = within if inside is True else ops.logical_and(inside, within)
    return inside


class RandomErasing(_Filter):
    """Blanks a rectangle of some images (Zhong et al. 2017).

    Args:
        factor: probability, one number for (0, number) or (low, high), from which each image draws its own.
        scale: share of the image's area, likewise; the form of the rectangle is drawn too.
        fill_value: what stands in the rectangle: a number, one for each of three channels, or None for normal noise.
        value_range: lowest and highest value of the images; the filling is kept within.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = (0.02, 0.33),
        fill_value: Any = None,
        value_range: Any = BYTES,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(factor, value_range, data_format, seed, **kwargs)
        self.scale = factor_range(self, "scale", scale, 0.0)
        several = isinstance(fill_value, (tuple, list))
        if fill_value is not None and not (
            len(fill_value) == 3 and all(is_number(v) for v in fill_value) if several else is_number(fill_value)
        ):
            raise InvalidArgumentError(
                f"RandomErasing: argument `fill_value` is {fill_value!r}",
                needed="a number, three of them, or None for noise",
                where=self.name,
            )
        self.fill_value = fill_value

    def _filling(self, images: Any, seed: Any) -> Any:
        if self.fill_value is None:
            noise = random.normal(ops.shape(images), dtype=self.compute_dtype, seed=self._seed(seed))
            return self._kept(noise * float(self.value_range[1]))
        values = np.asarray(self.fill_value, np.float32)
        if values.ndim:
            self._channels(images, (3,))
            values = values.reshape((1, 1, 1, 3) if self.data_format == "channels_last" else (1, 3, 1, 1))
        return self._kept(ops.broadcast_to(ops.cast(values, self.compute_dtype), ops.shape(images)))

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        sides = [ops.sqrt(self._draw(images, *self.scale, seed=seed)) for _ in range(2)]
        across = rectangle_bounds(self, images, width, sides[0], seed)
        down = rectangle_bounds(self, images, height, sides[1], seed)
        return {
            "apply_erasing": self._chance(images, self.factor, seed),
            "batch_masks": rectangles(self, images, across, down),
            "fill_value": self._filling(images, seed),
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        chosen = ops.logical_and(transformation["batch_masks"], per_image(transformation["apply_erasing"]))
        return ops.where(chosen, transformation["fill_value"], images)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "scale": self.scale, "fill_value": self.fill_value}
