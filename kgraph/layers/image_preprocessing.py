"""Images: sizes, crops and mirror images.  A size depends on no draw, so it is that of the trace."""

from __future__ import annotations

from typing import Any

from kgraph import ops, random
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import positive
from kgraph.layers.image_base import Images, RandomImages, check_choice

__all__ = ["CenterCrop", "RandomCrop", "RandomFlip", "Resizing"]


def _middle(size: tuple[int, int], height: int, width: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the largest middle part of an image with the form height : width."""
    crop_height = max(min(size[0], int(size[1] * height / width)), 1)
    crop_width = max(min(size[1], int(size[0] * width / height)), 1)
    return (size[0] - crop_height) // 2, (size[1] - crop_width) // 2, crop_height, crop_width


def smart_resize(layer: Images, inputs: Any, height: int, width: int, interpolation: str, antialias: bool) -> Any:
    """The largest middle part of the images with the form height : width, resized to it."""
    x = layer._cut(inputs, *_middle(layer._sizes(inputs), height, width))
    return ops.resize(x, (height, width), interpolation, antialias, data_format=layer.data_format)


class _Sized(Images):
    """Images of another size, in training and in inference; masks too."""

    _always = True

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def _sized(self, images: Any, interpolation: str) -> Any:
        raise NotImplementedError

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks in the new size; each cell takes its value from one cell."""
        return self._sized(segmentation_masks, "nearest")

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {"size": self._sizes(images)}

    def _part(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """(top, left, height, width) of the part of an image that the output shows."""
        return _middle(size, self.height, self.width)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """The boxes in the new size."""
        top, left, height, width = self._part(transformation["size"])
        across, down = self.width / width, self.height / height
        forward = (across, 0.0, -left * across, 0.0, down, -top * down)
        return self._moved_boxes(bounding_boxes, transformation["size"], (self.height, self.width), forward)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}


class Resizing(_Sized):
    """Images in another size.

    Args:
        height, width: the new size.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: cut the middle part of the new form first.
        pad_to_aspect_ratio: add `fill_value` on two sides to the new form first.
        fill_mode: "constant".
        fill_value: for `pad_to_aspect_ratio`.
        antialias: widen the kernel where images become smaller.

    Whole numbers stay whole numbers, rounded.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(height, width, data_format, **kwargs)
        self.interpolation = check_choice(self, "interpolation", str(interpolation).lower(), ops.INTERPOLATIONS)
        self.fill_mode = check_choice(self, "fill_mode", fill_mode, ("constant",))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise InvalidArgumentError(
                "Resizing: `crop_to_aspect_ratio` and `pad_to_aspect_ratio` exclude each other",
                where=self.name,
                fix="leave one of them False",
            )
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio
        self.fill_value, self.antialias = fill_value, bool(antialias)

    def transform_images(self, images: Any, transformation: Any = None, training: Any = True) -> Any:
        """Images in the new size."""
        return self._sized(images, self.interpolation)

    def _sized(self, images: Any, interpolation: str) -> Any:
        if self.crop_to_aspect_ratio:
            return smart_resize(self, images, self.height, self.width, interpolation, self.antialias)
        if self.pad_to_aspect_ratio:
            images = self._padded(images)
        self._sizes(images)
        size = (self.height, self.width)
        return ops.resize(images, size, interpolation, self.antialias, data_format=self.data_format)

    def _margins(self, size: tuple[int, int]) -> tuple[int, int]:
        """Cells to add (above and below, on either side)."""
        height, width = size
        down = (max(height, int(width * self.height / self.width)) - height) // 2
        across = (max(width, int(height * self.width / self.height)) - width) // 2
        return down, across

    def _part(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        if self.crop_to_aspect_ratio:
            return super()._part(size)
        down, across = self._margins(size) if self.pad_to_aspect_ratio else (0, 0)
        return -down, -across, size[0] + 2 * down, size[1] + 2 * across

    def _padded(self, images: Any) -> Any:
        down, across = self._margins(self._sizes(images))
        first = self._first(len(images.shape))
        widths = [(0, 0)] * len(images.shape)
        widths[first : first + 2] = [(down, down), (across, across)]
        return ops.pad(images, widths, constant_values=self.fill_value)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": self.pad_to_aspect_ratio,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


class CenterCrop(_Sized):
    """The middle of each image; images smaller than that are cut to its form and resized."""

    def transform_images(self, images: Any, transformation: Any = None, training: Any = True) -> Any:
        """The middle of the images."""
        return self._sized(ops.cast(images, self.compute_dtype), "bilinear")

    def _part(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        if size[0] >= self.height and size[1] >= self.width:
            return (size[0] - self.height) // 2, (size[1] - self.width) // 2, self.height, self.width
        return super()._part(size)

    def _sized(self, images: Any, interpolation: str) -> Any:
        height, width = self._sizes(images)
        if height >= self.height and width >= self.width:
            top, left = (height - self.height) // 2, (width - self.width) // 2
            return self._cut(images, top, left, self.height, self.width)
        return smart_resize(self, images, self.height, self.width, interpolation, antialias=False)


class RandomFlip(RandomImages):
    """Mirrors about half of the images.

    Args:
        mode: "horizontal", "vertical" or "horizontal_and_vertical".
    """

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.mode = check_choice(self, "mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))

    def _drawn(self, images: Any, seed: Any) -> Any:
        # As Keras 3.15: one draw per image decides on both directions.
        return {
            "flips": ops.less_equal(self._draw(images, 0.0, 1.0, 1, 1, 1, seed=seed), 0.5),
            "size": self._sizes(images),
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        first = self._first(4)
        for word, axis in (("horizontal", first + 1), ("vertical", first)):
            if transformation is not None and word in self.mode:
                images = ops.where(transformation["flips"], ops.flip(images, axis), images)
        return images

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """Masks mirrored as their images are."""
        return self._transform(segmentation_masks, transformation if training else None)

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """Boxes mirrored as their images are."""
        if not training or transformation is None:
            return bounding_boxes
        height, width = transformation["size"]
        turned = ops.reshape(ops.cast(transformation["flips"], "float32"), (-1, 1, 1))
        across, down = (turned if word in self.mode else 0.0 * turned for word in ("horizontal", "vertical"))
        forward = (1.0 - 2.0 * across, 0.0, across * float(width), 0.0, 1.0 - 2.0 * down, down * float(height))
        return self._moved_boxes(bounding_boxes, (height, width), (height, width), forward)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "mode": self.mode}


class RandomCrop(RandomImages):
    """A part of each batch of images at a random place, in training; images smaller than that are resized.

    Images keep their size in inference.
    """

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def _drawn(self, images: Any, seed: Any) -> Any:
        height, width = self._sizes(images)
        if height > self.height and width > self.width:
            start = [
                random.randint((), 0, size - wanted + 1, seed=self._seed(seed))
                for size, wanted in ((height, self.height), (width, self.width))
            ]
        else:
            start = list(_middle((height, width), self.height, self.width)[:2])
        return {"start": tuple(start), "size": (height, width)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        return self._cropped(images, transformation["start"], "bilinear")

    def _cropped(self, images: Any, start: tuple[Any, Any], interpolation: str) -> Any:
        height, width = self._sizes(images)
        if isinstance(start[0], int):
            # As Keras 3.15: no more than there is from the start on, then resized.
            part = self._cut(images, start[0], start[1], self.height, self.width)
            return ops.resize(part, (self.height, self.width), interpolation, data_format=self.data_format)
        first = self._first(len(images.shape))
        for axis, size, wanted, begin in (
            (first, height, self.height, start[0]),
            (first + 1, width, self.width, start[1]),
        ):
            places = ops.arange(wanted) + ops.clip(ops.cast(begin, "int32"), 0, size - wanted)
            images = ops.take(images, places, axis=axis)
        return images

    def transform_segmentation_masks(
        self, segmentation_masks: Any, transformation: Any = None, training: Any = True
    ) -> Any:
        """The same part of the masks."""
        if not training:
            return segmentation_masks
        return self._cropped(segmentation_masks, transformation["start"], "nearest")

    def transform_bounding_boxes(self, bounding_boxes: Any, transformation: Any = None, training: Any = True) -> Any:
        """The boxes within the same part."""
        if not training:
            return bounding_boxes
        height, width = transformation["size"]
        top, left = (ops.cast(side, "float32") for side in transformation["start"])
        # Images smaller than the part are stretched over it.
        down = self.height / min(self.height, height) if height <= self.height or width <= self.width else 1.0
        across = self.width / min(self.width, width) if height <= self.height or width <= self.width else 1.0
        forward = (across, 0.0, -left * across, 0.0, down, -top * down)
        return self._moved_boxes(bounding_boxes, (height, width), (self.height, self.width), forward)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}
