"""`keras.utils.bounding_boxes`: boxes from one form to another, clipped, compared, as steps from anchors.

Written in `kgraph.ops`, so for arrays and within models.  The forms: `xyxy` (left, top, right, bottom), `yxyx`, `xywh`
(left, top, width, height), `center_xywh`, `center_yxhw`, and `rel_...` in parts of the image's size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kgraph import ops
from kgraph.core.session import epsilon
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError

__all__ = [
    "affine_transform",
    "clip_to_image_size",
    "compute_ciou",
    "compute_iou",
    "convert_format",
    "crop",
    "decode_deltas_to_boxes",
    "encode_box_to_deltas",
    "pad",
]

_PLAIN = ("xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw")
_FORMS = (*_PLAIN, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def _sides(boxes: Any) -> list[Any]:
    """The four numbers of each box, `(..., 1)` each."""
    return [boxes[..., i : i + 1] for i in range(4)]


def _joined(*sides: Any) -> Any:
    return ops.concatenate(list(sides), axis=-1)


def _to_corners(boxes: Any, form: str) -> list[Any]:
    """Left, top, right, bottom."""
    a, b, c, d = _sides(boxes)
    if form == "yxyx":
        return [b, a, d, c]
    if form == "xywh":
        return [a, b, a + c, b + d]
    if form in ("center_xywh", "center_yxhw"):
        x, y, w, h = (a, b, c, d) if form == "center_xywh" else (b, a, d, c)
        return [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
    return [a, b, c, d]


def _from_corners(corners: Sequence[Any], form: str) -> Any:
    left, top, right, bottom = corners
    wide, tall = right - left, bottom - top
    if form == "yxyx":
        return _joined(top, left, bottom, right)
    if form == "xywh":
        return _joined(left, top, wide, tall)
    if form == "center_xywh":
        return _joined(left + wide / 2.0, top + tall / 2.0, wide, tall)
    if form == "center_yxhw":
        return _joined(top + tall / 2.0, left + wide / 2.0, tall, wide)
    return _joined(left, top, right, bottom)


def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None, dtype: str = "float32"
) -> Any:
    """Boxes in another form.

    Args:
        boxes: `(..., 4)`, or a dict with them as `"boxes"`.
        source: their form, see above.
        target: the form wanted.
        height: of the image, for the `rel_` forms.
        width: likewise.
        dtype: of the result.

    Raises:
        ShapeError: the last axis is not 4.
        InvalidArgumentError: an unknown form; or the image's size is needed.
    """
    if isinstance(boxes, dict):
        return {**boxes, "boxes": convert_format(boxes["boxes"], source, target, height, width, dtype)}
    source, target = source.lower(), target.lower()
    for form in (source, target):
        if form not in _FORMS:
            raise InvalidArgumentError(f"unknown form of boxes {form!r}", needed="one of " + ", ".join(_FORMS))
    boxes = ops.cast(ops.convert_to_tensor(boxes), dtype)
    if boxes.shape[-1] != 4:
        raise ShapeError("boxes have four numbers each", got=f"shape {tuple(boxes.shape)}")
    from_part, to_part = source.startswith("rel_"), target.startswith("rel_")
    if from_part != to_part and (height is None or width is None):
        raise InvalidArgumentError(
            f"boxes from {source} to {target} need the size of the image", fix="pass height, width"
        )
    if source == target:
        return boxes
    corners = _to_corners(boxes, source.removeprefix("rel_"))
    if from_part and not to_part:
        corners = [side * size for side, size in zip(corners, (width, height) * 2)]
    elif to_part and not from_part:
        corners = [side / size for side, size in zip(corners, (width, height) * 2)]
    return _from_corners(corners, target.removeprefix("rel_"))


def _corners_only(form: str, what: str) -> None:
    if form != "xyxy":
        raise UnsupportedError(f"{what} takes boxes as xyxy", got=form, fix="call convert_format first")


def _clipped(boxes: Any, height: Any, width: Any) -> Any:
    sizes = (width, height, width, height)
    return _joined(*(ops.clip(side, 0, size) for side, size in zip(_sides(boxes), sizes)))


def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> dict[str, Any]:
    """Boxes cut at the edges of the image; the labels of those that vanish become -1.

    Args:
        bounding_boxes: a dict with `"boxes"` and perhaps `"labels"`.
        height: of the image.
        width: of the image.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`.
    """
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    else:
        _corners_only(bounding_box_format, "clip_to_image_size")
    if height is None or width is None:
        raise InvalidArgumentError("clip_to_image_size needs the size of the image", fix="pass height and width")
    boxes = _clipped(ops.convert_to_tensor(bounding_boxes["boxes"]), height, width)
    result = {**bounding_boxes, "boxes": boxes}
    if bounding_boxes.get("labels") is not None:
        seen = ops.greater(_area(boxes), 0)
        result["labels"] = ops.where(seen, bounding_boxes["labels"], -1)
    return result


def crop(boxes: Any, top: Any, left: Any, height: Any, width: Any, bounding_box_format: str = "xyxy") -> Any:
    """Boxes of the part of an image that begins at (top, left), cut at its edges."""
    _corners_only(bounding_box_format, "crop")
    return _clipped(_moved(boxes, -left, -top), height, width)


def pad(
    boxes: Any, top: Any, left: Any, height: Any = None, width: Any = None, bounding_box_format: str = "xyxy"
) -> Any:
    """Boxes of an image that got `top` rows and `left` columns before it."""
    _corners_only(bounding_box_format, "pad")
    return _moved(boxes, left, top)


def _moved(boxes: Any, right: Any, down: Any) -> Any:
    return _joined(*(side + step for side, step in zip(_sides(ops.convert_to_tensor(boxes)), (right, down) * 2)))


def affine_transform(*args: Any, **kwargs: Any) -> None:
    """Not there.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        "bounding_boxes.affine_transform is not there", fix="map the corners of the boxes with kgraph.ops.matmul"
    )


# -- comparing ------------------------------------------------------------------------------------------------------
def _area(boxes: Any) -> Any:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _size(image_shape: Any) -> tuple[Any, Any]:
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


def compute_iou(
    boxes1: Any,
    boxes2: Any,
    bounding_box_format: str,
    use_masking: bool = False,
    mask_val: float = -1,
    image_shape: Any = None,
) -> Any:
    """How much each pair of boxes has in common: the area of both, divided by the area of either.

    Args:
        boxes1: `(n, 4)` or `(batch, n, 4)`.
        boxes2: `(m, 4)` or `(batch, m, 4)`.
        bounding_box_format: the form of both.
        use_masking: give `mask_val` where a box is padding, that is all negative.
        mask_val: see above.
        image_shape: (height, width, channels), for the `rel_` forms.

    Returns:
        `(n, m)` or `(batch, n, m)`, from 0 to 1.

    Raises:
        ShapeError: a rank other than 2 and 3.
    """
    height, width = _size(image_shape)
    first, second = (convert_format(boxes, bounding_box_format, "xyxy", height, width) for boxes in (boxes1, boxes2))
    for boxes in (first, second):
        if len(boxes.shape) not in (2, 3):
            raise ShapeError("compute_iou takes boxes (n, 4) or (batch, n, 4)", got=f"shape {tuple(boxes.shape)}")
    a, b = ops.expand_dims(first, -2), ops.expand_dims(second, -3)
    wide = ops.maximum(ops.minimum(a[..., 2], b[..., 2]) - ops.maximum(a[..., 0], b[..., 0]), 0.0)
    tall = ops.maximum(ops.minimum(a[..., 3], b[..., 3]) - ops.maximum(a[..., 1], b[..., 1]), 0.0)
    common = wide * tall
    result = common / (_area(a) + _area(b) - common + epsilon())
    if not use_masking:
        return result
    padding = ops.logical_or(ops.less(ops.max(a, axis=-1), 0.0), ops.less(ops.max(b, axis=-1), 0.0))
    return ops.where(padding, float(mask_val), result)


def compute_ciou(boxes1: Any, boxes2: Any, bounding_box_format: str, image_shape: Any = None) -> Any:
    """Complete IoU of boxes one by one: less for distant middles and other proportions.

    From Zheng et al., "Distance-IoU Loss", 2020, equations 7 to 11.

    Args:
        boxes1: `(..., 4)`.
        boxes2: `(..., 4)`.
        bounding_box_format: the form of both.
        image_shape: (height, width, channels), for the `rel_` forms.

    Returns:
        `(...)`, 1 for equal boxes.
    """
    size = _size(image_shape)
    x1, y1, x2, y2 = (side[..., 0] for side in _sides(convert_format(boxes1, bounding_box_format, "xyxy", *size)))
    u1, v1, u2, v2 = (side[..., 0] for side in _sides(convert_format(boxes2, bounding_box_format, "xyxy", *size)))
    small = epsilon()
    wide1, tall1, wide2, tall2 = x2 - x1, y2 - y1 + small, u2 - u1, v2 - v1 + small
    common = ops.maximum(ops.minimum(x2, u2) - ops.maximum(x1, u1), 0.0)
    common = common * ops.maximum(ops.minimum(y2, v2) - ops.maximum(y1, v1), 0.0)
    iou = common / (wide1 * tall1 + wide2 * tall2 - common + 2 * small)
    across = ops.maximum(x2, u2) - ops.minimum(x1, u1)
    down = ops.maximum(y2, v2) - ops.minimum(y1, v1)
    distance = ops.square((x1 + x2 - u1 - u2) / 2) + ops.square((y1 + y2 - v1 - v2) / 2)
    form = (4 / math.pi**2) * ops.square(ops.arctan(wide2 / tall2) - ops.arctan(wide1 / tall1))
    share = form / (form - iou + (1 + small))
    return iou - (distance / (ops.square(across) + ops.square(down) + small) + form * share)


# -- anchors --------------------------------------------------------------------------------------------------------
def _check_encoding(form: str, variance: Any) -> None:
    if form not in ("center_xywh", "center_yxhw"):
        raise InvalidArgumentError(f"encoding_format={form!r}", needed="'center_xywh' or 'center_yxhw'")
    if variance is not None and len(variance) != 4:
        raise InvalidArgumentError(f"variance={variance!r}", needed="four numbers")


def encode_box_to_deltas(
    anchors: Any,
    boxes: Any,
    anchor_format: str,
    box_format: str,
    encoding_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """Boxes as steps from anchors: of the middle in parts of the anchor's size, and the logarithm of the sizes' ratio.

    Raises:
        InvalidArgumentError: another encoding; `variance` has not four numbers.
    """
    _check_encoding(encoding_format, variance)
    size = _size(image_shape)
    anchor = convert_format(anchors, anchor_format, encoding_format, *size)
    box = convert_format(boxes, box_format, encoding_format, *size)
    anchor_size, box_size = ops.maximum(anchor[..., 2:], epsilon()), ops.maximum(box[..., 2:], epsilon())
    delta = _joined((box[..., :2] - anchor[..., :2]) / anchor_size, ops.log(box_size / anchor_size))
    return delta if variance is None else delta / ops.convert_to_tensor(variance, "float32")


def decode_deltas_to_boxes(
    anchors: Any,
    boxes_delta: Any,
    anchor_format: str,
    box_format: str,
    encoded_format: str = "center_yxhw",
    variance: Any = None,
    image_shape: Any = None,
) -> Any:
    """The boxes that `encode_box_to_deltas` made steps of; dicts are taken level by level.

    Raises:
        InvalidArgumentError: another encoding; `variance` has not four numbers.
    """
    _check_encoding(encoded_format, variance)
    rest = (anchor_format, box_format, encoded_format, variance, image_shape)
    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        return {level: decode_deltas_to_boxes(anchors[level], boxes_delta[level], *rest) for level in anchors}
    size = _size(image_shape)
    anchor = convert_format(anchors, anchor_format, encoded_format, *size)
    delta = ops.convert_to_tensor(boxes_delta)
    if variance is not None:
        delta = delta * ops.convert_to_tensor(variance, "float32")
    middle = delta[..., :2] * anchor[..., 2:] + anchor[..., :2]
    return convert_format(_joined(middle, ops.exp(delta[..., 2:]) * anchor[..., 2:]), encoded_format, box_format, *size)
