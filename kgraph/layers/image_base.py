"""What the image layers share: layouts, checks of their arguments, and how draws, images, labels, masks and boxes meet.

A random layer draws in `get_random_transformation` and computes in `transform_images` and its like, so that the same
draw serves images, labels, boxes and segmentation masks.  A draw is one number per image, from Philox; everything is
written in `kgraph.ops` and runs natively.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kgraph import ops, random
from kgraph.core import Layer
from kgraph.core.dispatch import has_symbolic
from kgraph.core.trace import current_trace
from kgraph.errors import InvalidArgumentError, MissingKeyError, ShapeError, UnsupportedError
from kgraph.layers.common import normal_data_format

__all__ = [
    "BOX_FORMATS",
    "BYTES",
    "Images",
    "RandomImages",
    "check_choice",
    "factor_range",
    "is_number",
    "per_image",
    "rescaled",
    "value_pair",
]

# The range in which formulas of image editing are written.
BYTES = (0, 255)
_CORNERS = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
BOX_FORMATS = (*_CORNERS, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def is_number(value: Any) -> bool:
    """Whether this is a Python number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def factor_range(
    layer: Layer, argument: str, factor: Any, least: float = -1.0, most: float = 1.0
) -> tuple[float, float]:
    """(low, high) from one number, which stands for (max(-number, least), number), or from two.

    Raises:
        InvalidArgumentError: out of bounds, or no numbers.
    """
    pair = tuple(factor) if isinstance(factor, (tuple, list)) else (factor, factor)
    if len(pair) != 2 or not all(is_number(side) and least <= side <= most for side in pair):
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {factor!r}",
            needed=f"a number or two from {least:g} to {most:g}",
            where=layer.name,
        )
    if not isinstance(factor, (tuple, list)):
        pair = (max(-abs(factor), least), abs(factor))
    return float(min(pair)), float(max(pair))


def value_pair(layer: Layer, value_range: Any) -> tuple[float, float]:
    """(low, high), the bounds of the values of an image.

    Raises:
        InvalidArgumentError: not two different numbers.
    """
    pair = value_range if isinstance(value_range, (tuple, list)) else ()
    if len(pair) != 2 or not all(is_number(side) for side in pair) or pair[0] == pair[1]:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `value_range` is {value_range!r}",
            needed="(low, high), the bounds of the images' values, such as (0, 255) or (0, 1)",
            where=layer.name,
        )
    return min(pair), max(pair)


def check_choice(layer: Layer, argument: str, value: Any, allowed: tuple[str, ...]) -> str:
    """One of some words.

    Raises:
        InvalidArgumentError: another.
    """
    if value not in allowed:
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {value!r}",
            needed=" or ".join(allowed),
            where=layer.name,
        )
    return str(value)


def rescaled(x: Any, source: tuple[float, float], target: tuple[float, float]) -> Any:
    """Values of the range `source` in the range `target`."""
    if source == target:
        return x
    return (x - source[0]) / (source[1] - source[0]) * (target[1] - target[0]) + target[0]


class Images(Layer):
    """Images [B, H, W, C], one of them [H, W, C], or a dictionary of "images" and what belongs to them.

    Args:
        data_format: "channels_last" or "channels_first".
        bounding_box_format: how "bounding_boxes" of a dictionary are written, such as "xyxy".
    """

    # Whether the layer works in inference too.
    _always = False

    def __init__(self, data_format: str | None = None, bounding_box_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = normal_data_format(self, data_format)
        if bounding_box_format is not None:
            check_choice(self, "bounding_box_format", bounding_box_format, BOX_FORMATS)
        self.bounding_box_format = bounding_box_format

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer; on arrays it trains unless `training=False`, as in Keras."""
        if len(args) == 1 and current_trace() is None and not has_symbolic(args):
            kwargs.setdefault("training", True)
        return super().__call__(*args, **kwargs)

    # -- layouts ------------------------------------------------------------------------------------------------

    def _first(self, rank: int) -> int:
        """The axis of the rows."""
        if rank not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs images of rank 3 or 4",
                got=f"rank {rank}",
                needed="[batch, height, width, channels] or [height, width, channels]",
            )
        return rank - (3 if self.data_format == "channels_last" else 2)

    def _sizes(self, inputs: Any) -> tuple[int, int]:
        first = self._first(len(inputs.shape))
        height, width = inputs.shape[first], inputs.shape[first + 1]
        if height is None or width is None:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs a known height and width",
                got=f"input shape {tuple(inputs.shape)}",
                fix="give the sizes in Input(shape=...)",
            )
        return int(height), int(width)

    def _channels(self, inputs: Any, allowed: tuple[int, ...] = ()) -> int:
        """The number of channels, one of `allowed` if any are named."""
        count = inputs.shape[-1 if self.data_format == "channels_last" else -3]
        if count is None or (allowed and count not in allowed):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} needs images of "
                f"{' or '.join(map(str, allowed)) or 'a known number of'} channels",
                got=f"{count} channels in images of shape {tuple(inputs.shape)}, {self.data_format}",
                fix="check the images, and `data_format`",
            )
        return int(count)

    def _last(self, x: Any) -> Any:
        """[B, H, W, C], whatever the layout."""
        return x if self.data_format == "channels_last" else ops.transpose(x, (0, 2, 3, 1))

    def _restored(self, x: Any) -> Any:
        return x if self.data_format == "channels_last" else ops.transpose(x, (0, 3, 1, 2))

    def _cut(self, inputs: Any, top: int, left: int, height: int, width: int) -> Any:
        lead = (slice(None),) * self._first(len(inputs.shape))
        key = (*lead, slice(top, top + height), slice(left, left + width))
        return inputs[key]

    # -- transformations ----------------------------------------------------------------------------------------

    def get_random_transformation(self, data: Any, training: Any = True, seed: Any = None) -> Any:
        """What `transform_images` and its like need: draws for each image; None where there is nothing to draw.

        Args:
            data: images, or a dictionary with "images".
            training: whether to draw at all.
            seed: generator to use instead of the layer's own.
        """
        if not training and not self._always:
            return None
        images = data["images"] if isinstance(data, Mapping) else data
        if len(images.shape) == 3:
            images = ops.expand_dims(images, 0)
        self._first(len(images.shape))
        return self._drawn(images, seed)

    def _drawn(self, images: Any, seed: Any) -> Any:
        """The draws for a batch of images."""
        return None

    def transform_images(self, images: Any, transformation: Any = None, training: Any = True) -> Any:
        """Images as the transformation says; the images themselves in inference."""
        images = ops.cast(images, self.compute_dtype)
        if not training and not self._always:
            return images
        return _in_batch(lambda x: self._transform(x, transformation), images, 3)

    def _transform(self, images: Any, transformation: Any) -> Any:
        """The same for a batch, in training."""
        raise NotImplementedError

    def transform_labels(self, labels: Any, transformation: Any = None, training: Any = True) -> Any:
        """Labels that belong to the images; unchanged unless images are mixed."""
        return labels

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks that belong to the images; unchanged unless pixels change their places."""
        return segmentation_masks

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes {"boxes": [B, N, 4], "labels": [B, N]}; unchanged unless pixels change their places."""
        return bounding_boxes

    def call(self, inputs: Any, training: Any = True) -> Any:
        """Change the images, and what belongs to them."""
        if not isinstance(inputs, Mapping):
            self._first(len(inputs.shape))
            transformation = self.get_random_transformation(inputs, training=training)
            return self.transform_images(inputs, transformation, training)
        self._check_keys(inputs)
        single = len(inputs["images"].shape) == 3
        data = _one_more_axis(inputs) if single else dict(inputs)
        transformation = self.get_random_transformation(data, training=training)
        changed = dict(data)
        for key, change in self._changes().items():
            if key in data:
                changed[key] = change(data[key], transformation, training)
        return _one_axis_less(changed) if single else changed

    def _changes(self) -> dict[str, Callable[..., Any]]:
        return {
            "images": self.transform_images,
            "labels": self.transform_labels,
            "bounding_boxes": self.transform_bounding_boxes,
            "segmentation_masks": self.transform_segmentation_masks,
        }

    def _check_keys(self, inputs: Mapping[str, Any]) -> None:
        if "images" not in inputs:
            raise MissingKeyError(
                f"{type(self).__name__} {self.name!r} was given a dictionary without 'images'",
                got=", ".join(map(repr, inputs)),
                needed="'images', and perhaps 'labels', 'segmentation_masks' and 'bounding_boxes'",
            )
        self._first(len(inputs["images"].shape))
        boxes = inputs.get("bounding_boxes")
        if boxes is not None and (not isinstance(boxes, Mapping) or not {"boxes", "labels"} <= set(boxes)):
            raise MissingKeyError(
                f"{type(self).__name__} {self.name!r}: 'bounding_boxes' is no dictionary of 'boxes' and 'labels'",
                got=", ".join(map(repr, boxes)) if isinstance(boxes, Mapping) else "something else",
                needed='{"boxes": [batch, boxes, 4], "labels": [batch, boxes]}',
            )

    def _no_boxes(self) -> UnsupportedError:
        return UnsupportedError(
            f"{type(self).__name__} cannot change bounding boxes",
            where=self.name,
            fix="leave 'bounding_boxes' out, or move them by hand from get_random_transformation(images)",
        )

    def _moved_boxes(self, boxes: Any, size: tuple[int, int], new_size: tuple[int, int], forward: Any) -> Any:
        """Boxes seen through an affine map; see `image_boxes.moved`."""
        from kgraph.layers.image_boxes import moved

        if self.bounding_box_format is None:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r} has to move bounding boxes of an unknown format",
                fix='give bounding_box_format="xyxy", or the one that they are written in',
                needed=" or ".join(BOX_FORMATS),
            )
        return moved(boxes, self.bounding_box_format, size, new_size, forward)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = {**super().get_config(), "data_format": self.data_format}
        if self.bounding_box_format is not None:
            config["bounding_box_format"] = self.bounding_box_format
        return config


def _in_batch(change: Callable[[Any], Any], x: Any, single_rank: int) -> Any:
    """`change` of a batch, or of one element as a batch of its own."""
    if len(x.shape) > single_rank:
        return change(x)
    return ops.squeeze(change(ops.expand_dims(x, 0)), 0)


def _one_more_axis(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _one_more_axis(v) if isinstance(v, Mapping) else ops.expand_dims(v, 0) for k, v in data.items()}


def _one_axis_less(data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _one_axis_less(v) if isinstance(v, Mapping) else ops.squeeze(v, 0) for k, v in data.items()}


class RandomImages(Images):
    """Changes of images, in training only; `seed` makes the draws reproducible."""

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def _draw(self, images: Any, low: float, high: float, *rest: int, seed: Any = None) -> Any:
        """One number per image, [B, *rest]."""
        return random.uniform((ops.shape(images)[0], *rest), low, high, dtype=self.compute_dtype, seed=self._seed(seed))

    def _seed(self, seed: Any) -> Any:
        return self.seed_generator if seed is None else seed

    def _chance(self, images: Any, factor: tuple[float, float], seed: Any) -> Any:
        """bool[B]: true with a probability that is itself drawn from `factor` (as Keras 3)."""
        return ops.less(self._draw(images, 0.0, 1.0, seed=seed), self._draw(images, *factor, seed=seed))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "seed": self.seed}


def per_image(x: Any) -> Any:
    """[B] as [B, 1, 1, 1]."""
    return ops.reshape(x, (-1, 1, 1, 1))
