"""Images: sizes, crops and random changes in training.  Everything runs natively; draws are Philox, one per image."""

from __future__ import annotations

import math
from typing import Any

from kgraph import ops, random
from kgraph.core import Layer
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.layers.common import normal_data_format, positive

__all__ = [
    "CenterCrop",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomFlip",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "Resizing",
]


class _Images(Layer):
    """Images [B, H, W, C], or one of them [H, W, C]."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = normal_data_format(self, data_format)

    def _first(self, rank: int) -> int:
        """The axis of the rows."""
        if rank not in (3, 4):
            raise ShapeError(f"{type(self).__name__} {self.name!r} needs images of rank 3 or 4", got=f"rank {rank}")
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

    def _cut(self, inputs: Any, top: int, left: int, height: int, width: int) -> Any:
        lead = (slice(None),) * self._first(len(inputs.shape))
        key = (*lead, slice(top, top + height), slice(left, left + width))
        return inputs[key]

    def _smart_resize(self, inputs: Any, height: int, width: int, interpolation: str = "bilinear") -> Any:
        """Cut the largest middle part of the target's form, then resize it."""
        have_height, have_width = self._sizes(inputs)
        crop_height = min(have_height, int(have_width * height / width))
        crop_width = min(have_width, int(have_height * width / height))
        x = self._cut(inputs, (have_height - crop_height) // 2, (have_width - crop_width) // 2, crop_height, crop_width)
        return ops.resize(x, (height, width), interpolation, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "data_format": self.data_format}


class Resizing(_Images):
    """Images in another size.

    Args:
        height, width: the new size.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: cut the middle part of the new form first.
        antialias: widen the kernel where images become smaller.
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
        super().__init__(data_format, **kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)
        interpolation = str(interpolation).lower()
        if interpolation not in ops.INTERPOLATIONS:
            raise InvalidArgumentError(
                f"Resizing: argument `interpolation` is {interpolation!r}", needed=" or ".join(ops.INTERPOLATIONS)
            )
        if pad_to_aspect_ratio:
            raise UnsupportedError(
                "Resizing: argument `pad_to_aspect_ratio` is not supported", fix="put a ZeroPadding2D before Resizing"
            )
        self.interpolation, self.crop_to_aspect_ratio, self.antialias = interpolation, crop_to_aspect_ratio, antialias
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def call(self, inputs: Any) -> Any:
        """Resize."""
        self._sizes(inputs)
        if self.crop_to_aspect_ratio:
            return self._smart_resize(inputs, self.height, self.width, self.interpolation)
        size = (self.height, self.width)
        return ops.resize(inputs, size, self.interpolation, self.antialias, data_format=self.data_format)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "interpolation": self.interpolation,
            "crop_to_aspect_ratio": self.crop_to_aspect_ratio,
            "pad_to_aspect_ratio": False,
            "fill_mode": self.fill_mode,
            "fill_value": self.fill_value,
            "antialias": self.antialias,
        }


class CenterCrop(_Images):
    """The middle of each image; images smaller than that are cut to its form and resized."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def call(self, inputs: Any) -> Any:
        """Crop."""
        height, width = self._sizes(inputs)
        if height >= self.height and width >= self.width:
            top, left = (height - self.height) // 2, (width - self.width) // 2
            return self._cut(inputs, top, left, self.height, self.width)
        return self._smart_resize(inputs, self.height, self.width)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}


class _Random(_Images):
    """Changes of images, in training only; `seed` makes the draws reproducible."""

    def __init__(self, seed: int | None = None, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, inputs: Any, training: Any = True) -> Any:
        """Change the images in training."""
        x = ops.cast(inputs, self.compute_dtype)
        if not training:
            return x
        self._first(len(x.shape))
        if len(x.shape) == 3:
            return ops.squeeze(self._change(ops.expand_dims(x, 0)), 0)
        return self._change(x)

    def _change(self, x: Any) -> Any:
        raise NotImplementedError

    def _draw(self, x: Any, low: float, high: float, *rest: int) -> Any:
        """One number per image, [B, *rest]."""
        return random.uniform((ops.shape(x)[0], *rest), low, high, dtype=self.compute_dtype, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "seed": self.seed}


class RandomFlip(_Random):
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
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise InvalidArgumentError(
                f"RandomFlip: argument `mode` is {mode!r}", needed="horizontal, vertical or horizontal_and_vertical"
            )
        self.mode = mode

    def _change(self, x: Any) -> Any:
        # As Keras 3.15: one draw per image decides on both directions.
        turned = ops.less_equal(self._draw(x, 0.0, 1.0, 1, 1, 1), 0.5)
        first = self._first(4)
        for word, axis in (("horizontal", first + 1), ("vertical", first)):
            if word in self.mode:
                x = ops.where(turned, ops.flip(x, axis), x)
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "mode": self.mode}


def _range(layer: Layer, argument: str, factor: Any, least: float = -1.0, most: float = 1.0) -> tuple[float, float]:
    """(low, high) from one number, which stands for (-number, number), or from two.

    Raises:
        InvalidArgumentError: out of bounds, or no numbers.
    """
    pair = (-abs(factor), abs(factor)) if isinstance(factor, (int, float)) else tuple(factor)
    if len(pair) != 2 or not all(isinstance(side, (int, float)) and least <= side <= most for side in pair):
        raise InvalidArgumentError(
            f"{type(layer).__name__}: argument `{argument}` is {factor!r}",
            needed=f"a number or two from {least} to {most}",
            where=layer.name,
        )
    return float(min(pair)), float(max(pair))


class _Affine(_Random):
    """A map of places, and what stands outside of the image.

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
        if fill_mode not in ("reflect", "constant", "wrap", "nearest") or interpolation not in ("bilinear", "nearest"):
            raise InvalidArgumentError(
                f"{type(self).__name__}: fill_mode={fill_mode!r}, interpolation={interpolation!r}",
                needed="reflect, constant, wrap or nearest; bilinear or nearest",
                where=self.name,
            )
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def _change(self, x: Any) -> Any:
        height, width = self._sizes(x)
        rows = [
            row if hasattr(row, "shape") else ops.full((ops.shape(x)[0], 1), row) for row in self._map(x, height, width)
        ]
        zeros = ops.zeros((ops.shape(x)[0], 2))
        return ops.affine_transform(
            x,
            ops.concatenate([*rows, zeros], axis=1),
            self.interpolation,
            self.fill_mode,
            self.fill_value,
            data_format=self.data_format,
        )

    def _map(self, x: Any, height: int, width: int) -> list[Any]:
        """(a0, a1, a2, b0, b1, b2), each a number or f32[B, 1]: where an output place (x, y) comes from."""
        raise NotImplementedError

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
        self.factor = _range(self, "factor", factor, -math.inf, math.inf)

    def _map(self, x: Any, height: int, width: int) -> list[Any]:
        angle = self._draw(x, self.factor[0] * 2.0 * math.pi, self.factor[1] * 2.0 * math.pi, 1)
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
        self.height_factor = _range(self, "height_factor", height_factor)
        self.width_factor = _range(self, "width_factor", width_factor)

    def _map(self, x: Any, height: int, width: int) -> list[Any]:
        down = self._draw(x, *self.height_factor, 1) * float(height)
        across = self._draw(x, *self.width_factor, 1) * float(width)
        return [1.0, 0.0, ops.negative(across), 0.0, 1.0, ops.negative(down)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomZoom(_Affine):
    """Enlarges or shrinks each image about its centre.

    Args:
        height_factor: one number for both directions or (low, high); positive shows more of the outside.
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
        self.height_factor = _range(self, "height_factor", height_factor)
        self.width_factor = None if width_factor is None else _range(self, "width_factor", width_factor)

    def _map(self, x: Any, height: int, width: int) -> list[Any]:
        down = self._draw(x, 1.0 + self.height_factor[0], 1.0 + self.height_factor[1], 1)
        across = down
        if self.width_factor is not None:
            across = self._draw(x, 1.0 + self.width_factor[0], 1.0 + self.width_factor[1], 1)
        return [across, 0.0, (1.0 - across) * ((width - 1) / 2.0), 0.0, down, (1.0 - down) * ((height - 1) / 2.0)]

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height_factor": self.height_factor, "width_factor": self.width_factor}


class RandomCrop(_Random):
    """A part of each batch of images at a random place; in inference the middle, resized where it must be."""

    def __init__(
        self, height: int, width: int, seed: int | None = None, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.height, self.width = positive(self, "height", height), positive(self, "width", width)

    def call(self, inputs: Any, training: Any = True) -> Any:
        """Crop."""
        x = ops.cast(inputs, self.compute_dtype)
        height, width = self._sizes(x)
        if not training or height <= self.height or width <= self.width:
            return self._smart_resize(x, self.height, self.width) if training else x
        first = self._first(len(x.shape))
        for axis, size, wanted in ((first, height, self.height), (first + 1, width, self.width)):
            start = random.uniform((), 0.0, float(size - wanted + 1), seed=self.seed_generator)
            start = ops.minimum(ops.cast(ops.floor(start), "int32"), size - wanted)
            x = ops.take(x, ops.add(ops.arange(wanted), start), axis=axis)
        return x

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}


class _Values(_Random):
    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, kwargs.pop("data_format", None), **kwargs)
        if not isinstance(value_range, (tuple, list)) or len(value_range) != 2:
            raise InvalidArgumentError(
                f"{type(self).__name__}: argument `value_range` is {value_range!r}", needed="(low, high)"
            )
        self.factor: tuple[float, float] = self._factor(factor)
        self.value_range = tuple(sorted(value_range))

    def _factor(self, factor: Any) -> tuple[float, float]:
        return _range(self, "factor", factor)

    def _kept(self, x: Any) -> Any:
        return ops.clip(x, float(self.value_range[0]), float(self.value_range[1]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = {**super().get_config(), "factor": self.factor, "value_range": self.value_range}
        del config["data_format"]
        return config


class RandomBrightness(_Values):
    """Adds a number to each image.

    Args:
        factor: share of `value_range`, one number for both directions or (low, high).
        value_range: lowest and highest value of the images; results are kept within.
    """

    def _change(self, x: Any) -> Any:
        span = float(self.value_range[1] - self.value_range[0])
        return self._kept(ops.add(x, self._draw(x, *self.factor, 1, 1, 1) * span))


class RandomContrast(_Values):
    """Moves the values of each image away from the mean of their channel, or towards it.

    Args:
        factor: (low, high) within 0 and 1, for multiples from 1 - low to 1 + high; one number is (0, number), as
            Keras 3.15 reads it.
        value_range: lowest and highest value of the images; results are kept within.
    """

    def _factor(self, factor: Any) -> tuple[float, float]:
        return _range(self, "factor", (0.0, factor) if isinstance(factor, (int, float)) else factor, 0.0)

    def _change(self, x: Any) -> Any:
        times = self._draw(x, 1.0 - self.factor[0], 1.0 + self.factor[1], 1, 1, 1)
        first = self._first(4)
        mean = ops.mean(x, axis=(first, first + 1), keepdims=True)
        return self._kept((x - mean) * times + mean)
