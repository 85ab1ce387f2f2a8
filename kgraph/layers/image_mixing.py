"""Images of a batch mixed with each other, and their labels by the same shares: `CutMix` and `MixUp`.

Both work on a dictionary {"images": [B, H, W, C], "labels": [B, classes]}; on images alone the labels would be lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph import ops, random
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.image_base import RandomImages, factor_range, is_number, per_image
from kgraph.layers.image_filters import rectangle_bounds, rectangles

__all__ = ["CutMix", "MixUp"]


class _Mixed(RandomImages):
    """Each image with another of the batch."""

    def _order(self, images: Any, seed: Any) -> Any:
        """i32[B]: a random permutation, the ranks of one number for each image."""
        key = self._draw(images, 0.0, 1.0, seed=seed)
        count = ops.shape(images)[0]
        place = ops.arange(count)
        mine, others = ops.reshape(key, (-1, 1)), ops.reshape(key, (1, -1))
        earlier = ops.reshape(place, (1, -1)) < ops.reshape(place, (-1, 1))
        below = ops.logical_or(others < mine, ops.logical_and(ops.equal(others, mine), earlier))
        return ops.sum(ops.cast(below, "int32"), axis=1)

    def transform_labels(self, labels: Any, transformation: Any = None, training: Any = True) -> Any:
        """Labels f[B, classes] mixed by the shares of their images."""
        if not training or transformation is None:
            return labels
        if len(labels.shape) != 2:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs labels of rank 2, since it takes shares of two of them",
                got=f"labels of shape {tuple(labels.shape)}",
                needed="one row of numbers for each image",
                fix="kgraph.utils.to_categorical(labels)",
            )
        labels = ops.cast(labels, self.compute_dtype)
        weight = ops.cast(ops.reshape(transformation["mix_weight"], (-1, 1)), self.compute_dtype)
        return weight * labels + (1.0 - weight) * ops.take(labels, transformation["permutation_order"], axis=0)


class CutMix(_Mixed):
    """Puts a rectangle of another image into each image, and mixes the labels by area (Yun et al. 2019).

    Args:
        factor: parameter of the beta distribution of the share that stays, one number for (0, number) or (low, high).

    Called with {"images": [B, H, W, C], "labels": [B, classes]}.
    """

    def __init__(
        self, factor: Any = 1.0, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor = factor_range(self, "factor", factor, 0.0)

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        alpha = random.uniform((), *self.factor, dtype="float32", seed=self._seed(seed)) + 1e-6
        side = ops.sqrt(
            1.0 - random.beta((ops.shape(images)[0],), alpha, alpha, dtype="float32", seed=self._seed(seed))
        )
        across = rectangle_bounds(self, images, width, side, seed)
        down = rectangle_bounds(self, images, height, side, seed)
        area = (across[1] - across[0]) * (down[1] - down[0]) / float(width * height)
        return {
            "permutation_order": self._order(images, seed),
            "batch_masks": rectangles(self, images, across, down),
            "mix_weight": per_image(1.0 - area),
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        if transformation is None:
            return images
        other = ops.take(images, transformation["permutation_order"], axis=0)
        return ops.where(transformation["batch_masks"], other, images)

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks with the same rectangles of other masks."""
        if not training:
            return segmentation_masks
        return self._transform(segmentation_masks, transformation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes cannot be cut; see the error."""
        if training:
            raise self._no_boxes()
        return bounding_boxes

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "factor": self.factor}


class MixUp(_Mixed):
    """Each image as a weighted mean with another image, and its label likewise (Zhang et al. 2017).

    Args:
        alpha: parameter of the beta distribution of the weights, above 0; the greater, the more even they are.

    Called with {"images": [B, H, W, C], "labels": [B, classes]}.
    """

    def __init__(
        self, alpha: float = 0.2, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not is_number(alpha) or not 0 < alpha < np.inf:
            raise InvalidArgumentError(
                f"MixUp: argument `alpha` is {alpha!r}", needed="a number above 0, such as 0.2", where=self.name
            )
        self.alpha = alpha

    def _drawn(self, images: Any, seed: Any) -> Any:
        alpha, shape = float(self.alpha), (ops.shape(images)[0],)
        return {
            "mix_weight": random.beta(shape, alpha, alpha, dtype="float32", seed=self._seed(seed)),
            "permutation_order": self._order(images, seed),
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        weight = ops.cast(per_image(transformation["mix_weight"]), images.dtype)
        other = ops.take(images, transformation["permutation_order"], axis=0)
        return weight * images + (1.0 - weight) * other

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks mixed by the same weights."""
        if not training:
            return segmentation_masks
        return self._transform(ops.cast(segmentation_masks, self.compute_dtype), transformation)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """The boxes and labels of both images, one after the other."""
        if not training:
            return bounding_boxes
        order = transformation["permutation_order"]
        return {
            key: ops.concatenate([value, ops.take(value, order, axis=0)], axis=1)
            for key, value in bounding_boxes.items()
        }

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "alpha": self.alpha}
