"""Bounding boxes of images: their formats, boxes seen through an affine map, and a fixed number of them.

A box is four numbers [..., 4] in cells of the image from its upper left corner (edges, not centres of cells), or, in
the formats that begin with `rel_`, in shares of the width and height.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kgraph import ops
from kgraph.errors import ShapeError
from kgraph.layers.common import positive
from kgraph.layers.image_base import Images

__all__ = ["MaxNumBoundingBoxes", "converted", "moved"]

_ROWS_FIRST = ("yxyx", "center_yxhw")


def _corners(boxes: Any, form: str) -> list[Any]:
    """(left, top, right, bottom), each [..., 1]."""
    a, b, c, d = ops.split(boxes, 4, axis=-1)
    if form in _ROWS_FIRST:
        a, b, c, d = b, a, d, c
    if form.startswith("center"):
        return [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0]
    return [a, b, a + c, b + d] if form == "xywh" else [a, b, c, d]


def _written(corners: list[Any], form: str) -> Any:
    left, top, right, bottom = corners
    across, down = right - left, bottom - top
    if form.startswith("center"):
        parts = [left + across / 2.0, top + down / 2.0, across, down]
    else:
        parts = [left, top, across, down] if form == "xywh" else corners
    if form in _ROWS_FIRST:
        parts = [parts[1], parts[0], parts[3], parts[2]]
    return ops.concatenate(parts, axis=-1)


def converted(boxes: Any, source: str, target: str, size: tuple[int, int]) -> Any:
    """Boxes in another format; `size` is (height, width) of the image, in cells."""
    height, width = float(size[0]), float(size[1])
    scale = [width, height, width, height]
    corners = _corners(boxes, source.removeprefix("rel_"))
    if source.startswith("rel_"):
        corners = [corner * by for corner, by in zip(corners, scale)]
    if target.startswith("rel_"):
        corners = [corner / by for corner, by in zip(corners, scale)]
    return _written(corners, target.removeprefix("rel_"))


def moved(
    bounding_boxes: Mapping[str, Any],
    form: str,
    size: tuple[int, int],
    new_size: tuple[int, int],
    forward: tuple[Any, Any, Any, Any, Any, Any],
) -> dict[str, Any]:
    """The smallest boxes around boxes whose corners an affine map has moved, within the new image.

    Args:
        bounding_boxes: {"boxes": [B, N, 4], "labels": [B, N]}.
        form: their format.
        size, new_size: (height, width) before and after, in cells.
        forward: (a, b, c, d, e, f), numbers or f32[B, 1, 1]: (x, y) comes to lie at (a x + b y + c, d x + e y + f).

    Returns:
        The same; the label of a box of which nothing is left is -1.
    """
    boxes = ops.cast(bounding_boxes["boxes"], "float32")
    left, top, right, bottom = _corners(converted(boxes, form, "xyxy", size), "xyxy")
    a, b, c, d, e, f = forward
    places = [(a * x + b * y + c, d * x + e * y + f) for x in (left, right) for y in (top, bottom)]
    sides = []
    for axis, most in ((0, float(new_size[1])), (1, float(new_size[0]))):
        low, high = places[0][axis], places[0][axis]
        for place in places[1:]:
            low, high = ops.minimum(low, place[axis]), ops.maximum(high, place[axis])
        sides.append((ops.clip(low, 0.0, most), ops.clip(high, 0.0, most)))
    (left, right), (top, bottom) = sides
    kept = ops.squeeze((right - left) * (bottom - top), -1) > 0.0
    labels = bounding_boxes["labels"]
    if len(labels.shape) == 3:
        kept = ops.expand_dims(kept, -1)
    return {
        "boxes": converted(ops.concatenate([left, top, right, bottom], axis=-1), "xyxy", form, new_size),
        "labels": ops.where(kept, labels, ops.full_like(labels, -1)),
    }


class MaxNumBoundingBoxes(Images):
    """As many bounding boxes for each image as said: the first ones, or filled up.

    Args:
        max_number: boxes for each image.
        fill_value: what boxes and labels that are not there consist of.

    Called with {"images": ..., "bounding_boxes": {"boxes": [B, N, 4], "labels": [B, N]}}; in inference too.
    """

    _always = True

    def __init__(self, max_number: int, fill_value: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_number = positive(self, "max_number", max_number)
        self.fill_value = int(fill_value)

    def transform_images(self, images: Any, transformation: Any = None, training: Any = True) -> Any:
        """The images themselves."""
        return images

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes [B, max_number, 4] and labels [B, max_number]."""
        count = bounding_boxes["boxes"].shape[1]
        if len(bounding_boxes["boxes"].shape) != 3 or bounding_boxes["boxes"].shape[2] != 4 or count is None:
            raise ShapeError(
                f"MaxNumBoundingBoxes {self.name!r} needs boxes of four numbers, as many for each image",
                got=f"boxes of shape {tuple(bounding_boxes['boxes'].shape)}",
                needed="[batch, boxes, 4]",
            )
        more = max(self.max_number - int(count), 0)

        def fitted(x: Any) -> Any:
            widths = [(0, 0), (0, more), *[(0, 0)] * (len(x.shape) - 2)]
            return ops.pad(x[:, : self.max_number], widths, constant_values=self.fill_value)

        return {key: fitted(value) for key, value in bounding_boxes.items()}

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "max_number": self.max_number, "fill_value": self.fill_value}
