"""Random changes of place: images seen through an affine, a perspective or an elastic map.

A map says where each output cell looks in the input; segmentation masks go through the same map, cell by cell.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kgraph import ops, random
from kgraph.core.dispatch import operation
from kgraph.errors import InvalidArgumentError
from kgraph.layers.image_base import (
    BYTES,
    RandomImages,
    check_choice,
    factor_range,
    is_number,
    per_image,
    value_pair,
)
from kgraph.ops.warping import sample

__all__ = [
    "RandomElasticTransform",
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
]

_INTERPOLATIONS = ("bilinear", "nearest")
_FILL_MODES = ("reflect", "constant", "wrap", "nearest")


class _Warp(RandomImages):
    """A map of places.

    Args:
        interpolation: "bilinear" or "nearest"; masks always take "nearest".
        fill_value: what stands outside of the image, where the map says so.
    """

    interpolation: str
    fill_value: float

    def _transform(self, images: Any, transformation: Any) -> Any:
        return images if transformation is None else self._warped(images, transformation, self.interpolation)

    def _warped(self, images: Any, transformation: Any, interpolation: str) -> Any:
        raise NotImplementedError

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks seen through the same map; each cell takes its value from one cell."""
        if not training or transformation is None:
            return segmentation_masks
        return ops.cast(
            self._warped(ops.cast(segmentation_masks, "float32"), transformation, "nearest"), segmentation_masks.dtype
        )

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes are not moved; see the error."""
        if training:
            raise self._no_boxes()
        return bounding_boxes


class _Affine(_Warp):
    """An affine map, and what stands outside of the image.

    Args:
        fill_mode: "reflect", "constant", "wrap" or "nearest".
        interpolation: "bilinear" or "nearest".
        fill_value: for "constant".
    """

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.fill_mode = check_choice(self, "fill_mode", fill_mode, _FILL_MODES)
        self.interpolation = check_choice(self, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_value = fill_value

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        shape = (ops.shape(images)[0], 1)
        rows = [
            row if hasattr(row, "shape") else ops.full(shape, row) for row in self._map(images, height, width, seed)
        ]
        matrix = ops.concatenate([*(ops.cast(row, "float32") for row in rows), ops.zeros((shape[0], 2))], 1)
        return {"matrix": matrix, "size": (height, width)}

    def _map(self, images: Any, height: int, width: int, seed: Any) -> list[Any]:
        """(a0, a1, a2, b0, b1, b2), each a number or f32[B, 1]: where an output place (x, y) comes from."""
        raise NotImplementedError

    def _warped(self, images: Any, transformation: Any, interpolation: str) -> Any:
        return ops.affine_transform(
            images,
            transformation["matrix"],
            interpolation,
            self.fill_mode,
            self.fill_value,
            data_format=self.data_format,
        )

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """The boxes around the moved corners of the boxes."""
        if not training or transformation is None:
            return bounding_boxes
        a, b, c, d, e, f = (ops.reshape(transformation["matrix"][:, i], (-1, 1, 1)) for i in range(6))
        # The matrix leads from output to input, in centres of cells, which lie half a cell behind their edges.
        c, f = c + 0.5 - 0.5 * (a + b), f + 0.5 - 0.5 * (d + e)
        area = a * e - b * d
        a, b, d, e = e / area, -b / area, -d / area, a / area
        forward = (a, b, -(a * c + b * f), d, e, -(d * c + e * f))
        return self._moved_boxes(bounding_boxes, transformation["size"], transformation["size"], forward)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"fill_mode": self.fill_mode, "interpolation": self.interpolation, "fill_value": self.fill_value}
        return {**super().get_config(), **own}


class RandomRotation(_Affine):
    """Turns each image about its centre.

    Args:
        factor: share of a full turn, one number for both directions or (low, high).
    """

    def __init__(self, factor: Any, fill_mode: str = "reflect", interpolation: str = "bilinear", **kwargs: Any) -> None:
        super().__init__(fill_mode, interpolation, **kwargs)
        self.factor = factor_range(self, "factor", factor, -math.inf, math.inf)

    def _map(self, images: Any, height: int, width: int, seed: Any) -> list[Any]:
        low, high = (side * 2.0 * math.pi for side in self.factor)
        angle = self._draw(images, low, high, 1, seed=seed)
        sine, cosine = ops.sin(angle), ops.cos(angle)
        across, down = (width - 1) / 2.0, (height - 1) / 2.0
        return [
            cosine,
            ops.negative(sine),
            across - cosine * across + sine * down,
            sine,
            cosine,
            down - sine * across - cosine * down,
        ]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "factor": self.factor}


class RandomTranslation(_Affine):
    """Moves each image.

    Args:
        height_factor, width_factor: share of the size, one number for both directions or (low, high); positive moves
            down, and to the right.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, **kwargs)
        self.height_factor = factor_range(self, "height_factor", height_factor)
        self.width_factor = factor_range(self, "width_factor", width_factor)

    def _map(self, images: Any, height: int, width: int, seed: Any) -> list[Any]:
        down = self._draw(images, *self.height_factor, 1, seed=seed) * float(height)
        across = self._draw(images, *self.width_factor, 1, seed=seed) * float(width)
        return [1.0, 0.0, ops.negative(across), 0.0, 1.0, ops.negative(down)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomZoom(_Affine):
    """Enlarges or shrinks each image about its centre.

    Args:
        height_factor: one number for both directions or (low, high), above -1; positive shows more of the outside.
        width_factor: likewise; None follows the height.
    """

    def __init__(
        self,
        height_factor: Any,
        width_factor: Any = None,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, **kwargs)
        self.height_factor = factor_range(self, "height_factor", height_factor)
        self.width_factor = None if width_factor is None else factor_range(self, "width_factor", width_factor)

    def _map(self, images: Any, height: int, width: int, seed: Any) -> list[Any]:
        down = self._draw(images, 1.0 + self.height_factor[0], 1.0 + self.height_factor[1], 1, seed=seed)
        across = down
        if self.width_factor is not None:
            across = self._draw(images, 1.0 + self.width_factor[0], 1.0 + self.width_factor[1], 1, seed=seed)
        return [across, 0.0, (1.0 - across) * ((width - 1) / 2.0), 0.0, down, (1.0 - down) * ((height - 1) / 2.0)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomShear(_Affine):
    """Slants each image, to one side or the other.

    Args:
        x_factor, y_factor: cells to the side for each cell down, and the other way round, from 0 to 1; one number for
            both directions or (low, high).
    """

    def __init__(
        self,
        x_factor: Any = 0.0,
        y_factor: Any = 0.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(fill_mode, interpolation, fill_value=fill_value, **kwargs)
        self.x_factor = self._slant("x_factor", x_factor)
        self.y_factor = self._slant("y_factor", y_factor)

    def _slant(self, name: str, factor: Any) -> tuple[float, float]:
        # A layer's own factors come back from get_config as (-number, number).
        if isinstance(factor, (tuple, list)) and len(factor) == 2 and is_number(factor[0]) and factor[0] == -factor[1]:
            return factor_range(self, name, factor)
        low, high = factor_range(self, name, factor, 0.0)
        return (low, high) if isinstance(factor, (tuple, list)) else (-high, high)

    def _map(self, images: Any, height: int, width: int, seed: Any) -> list[Any]:
        backwards = ops.greater(self._draw(images, 0.0, 1.0, 1, seed=seed), 0.5)
        slants = [self._draw(images, *factor, 1, seed=seed) for factor in (self.x_factor, self.y_factor)]
        across, down = (ops.where(backwards, -slant, slant) for slant in slants)
        return [1.0, across, 0.0, down, 1.0, 0.0]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "x_factor": self.x_factor, "y_factor": self.y_factor}


class RandomPerspective(_Warp):
    """Moves the corners of some images, three of them, as if seen from the side.

    Args:
        factor: probability, one number for (0, number) or (low, high), from which each image draws its own.
        scale: how far a corner moves at most, from 0 to 1; half of that share of its distance from the first corner.
        interpolation: "bilinear" or "nearest".
        fill_value: what stands outside of the image.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: float = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0.0)
        if not is_number(scale) or not 0 <= scale <= 1:
            raise InvalidArgumentError(
                f"RandomPerspective: argument `scale` is {scale!r}", needed="a number from 0 to 1", where=self.name
            )
        self.scale = scale
        self.interpolation = check_choice(self, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_value = fill_value

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]], np.float32)
        start = ops.broadcast_to(corners, (ops.shape(images)[0], 4, 2))
        moved = self._draw(images, -0.5 * self.scale, 0.5 * self.scale, 4, 2, seed=seed)
        return {
            "apply_perspective": self._chance(images, self.factor, seed),
            "start_points": start,
            "end_points": start + start * ops.cast(moved, "float32"),
        }

    def _warped(self, images: Any, transformation: Any, interpolation: str) -> Any:
        start, end = transformation["start_points"], transformation["end_points"]
        seen = ops.perspective_transform(
            images, start, end, interpolation, self.fill_value, data_format=self.data_format
        )
        return ops.where(per_image(transformation["apply_perspective"]), seen, images)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "interpolation": self.interpolation,
            "fill_value": self.fill_value,
        }


@operation
def _displaced(images: Any, down: Any, across: Any, interpolation: str, fill_mode: str, fill_value: float) -> Any:
    """Images [B, H, W, C] whose cell (i, j) shows the place (i + down, j + across), f32[B, H, W] each."""
    batch, height, width, channels = ops.shape(images)
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    start = ops.reshape(ops.arange(batch), (batch, 1, 1)) * (height * width)
    return sample(
        ops.reshape(images, (batch * height * width, channels)),
        start,
        (down + rows.astype("float32"), across + columns.astype("float32")),
        (height, width),
        _INTERPOLATIONS[::-1].index(interpolation),
        fill_mode,
        fill_value,
    )


def _smoothing(size: int, sigma: Any) -> Any:
    """f32[size, size]: the product with it is a Gaussian filter of `sigma` cells, cut off at three, zeros outside.

    A matrix, since the width of the filter is drawn with every batch.
    """
    reach = np.arange(1 - size, size, dtype=np.float32)
    sigma = ops.maximum(ops.cast(sigma, "float32"), 1e-6)
    near = ops.abs(reach) <= ops.floor(3.0 * sigma)
    bell = ops.where(near, ops.exp(-0.5 * ops.square(reach / sigma)), 0.0)
    # The sum over the whole filter, not over what lies inside the image.
    weights = bell / ops.sum(bell)
    places = np.arange(size)
    return ops.take(weights, (places[:, None] - places[None, :] + size - 1).astype("int32"), axis=0)


class RandomElasticTransform(_Warp):
    """Distorts some images by a smooth random displacement.

    Args:
        factor: probability, one number for (0, number) or (low, high), from which each image draws its own.
        scale: strength, drawn once for a batch, likewise: at strength s the displacement is filtered over 0.05 s of
            the shorter side, and multiplied by 0.1 s of the longer one.
        interpolation: "bilinear" or "nearest".
        fill_mode: what stands outside: "reflect", "constant", "wrap", "nearest" or "mirror".
        fill_value: for "constant".
        value_range: lowest and highest value of the images; results are kept within.

    Rows and columns move independently (Simard et al. 2003); in Keras 3.15 by the same numbers.
    """

    def __init__(
        self,
        factor: Any = 1.0,
        scale: Any = 1.0,
        interpolation: str = "bilinear",
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        value_range: Any = BYTES,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0.0)
        self.scale = factor_range(self, "scale", scale, 0.0)
        self.interpolation = check_choice(self, "interpolation", interpolation, _INTERPOLATIONS)
        self.fill_mode = check_choice(self, "fill_mode", fill_mode, (*_FILL_MODES, "mirror"))
        self.fill_value = fill_value
        self.value_range = value_pair(self, value_range)

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        if self.factor[1] == 0 or self.scale[1] == 0:
            return None
        noise = random.normal((ops.shape(images)[0], height, width, 2), seed=self._seed(seed))
        return {
            "apply_transform": self._chance(images, self.factor, seed),
            "distortion_factor": random.uniform((), *self.scale, dtype="float32", seed=self._seed(seed)),
            "noise": noise,
        }

    def displacement(self, transformation: Any) -> tuple[Any, Any]:
        """(down, across) in cells, f32[B, H, W] each."""
        noise, strength = transformation["noise"], transformation["distortion_factor"]
        height, width = int(noise.shape[1]), int(noise.shape[2])
        alpha, sigma = strength * (0.1 * max(height, width)), strength * (0.05 * min(height, width))
        rows, columns = _smoothing(height, sigma), _smoothing(width, sigma)

        def smooth(part: Any) -> Any:
            return ops.matmul(ops.matmul(rows, part * sigma), columns) * alpha

        return smooth(noise[..., 0]), smooth(noise[..., 1])

    def _warped(self, images: Any, transformation: Any, interpolation: str) -> Any:
        down, across = self.displacement(transformation)
        seen = _displaced(self._last(images), down, across, interpolation, self.fill_mode, self.fill_value)
        kept = ops.where(per_image(transformation["apply_transform"]), self._restored(seen), images)
        return ops.clip(kept, float(self.value_range[0]), float(self.value_range[1]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "factor": self.factor,
            "scale": self.scale,
            "interpolation": self.interpolation,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "value_range": self.value_range,
        }
