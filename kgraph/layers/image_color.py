"""Random changes of brightness and colour: each pixel from itself, or from itself and its image's mean.

Formulas are those of Keras 3, in the range that `value_range` names.
"""

from __future__ import annotations

from typing import Any

from kgraph import ops, random
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import normal_data_format
from kgraph.layers.image_base import (
    BYTES,
    Images,
    RandomImages,
    factor_range,
    is_number,
    per_image,
    rescaled,
    value_pair,
)

__all__ = [
    "AutoContrast",
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPosterization",
    "RandomSaturation",
    "Solarization",
]

RGB = (3,)


class _Values(RandomImages):
    """A change by a factor that is drawn for each image.

    Args:
        factor: one number or (low, high).
        value_range: lowest and highest value of the images.
    """

    _bounds = (-1.0, 1.0)
    # Whether get_config names the layout (Keras leaves it out where the layer does not ask for it).
    _has_layout = True

    def __init__(
        self,
        factor: Any,
        value_range: Any = BYTES,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.factor: tuple[float, float] = factor_range(self, "factor", factor, *self._bounds)
        self.value_range = value_pair(self, value_range)

    def _kept(self, x: Any) -> Any:
        return ops.clip(x, float(self.value_range[0]), float(self.value_range[1]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        config = {**super().get_config(), "factor": self.factor, "value_range": self.value_range}
        if not self._has_layout and self.data_format == normal_data_format(self, None):
            del config["data_format"]
        return config


class RandomBrightness(_Values):
    """Adds a number to each image.

    Args:
        factor: share of `value_range`, one number for both directions or (low, high).
        value_range: lowest and highest value of the images; results are kept within.
    """

    _has_layout = False

    def _drawn(self, images: Any, seed: Any) -> Any:
        span = float(self.value_range[1] - self.value_range[0])
        return {"rgb_delta": self._draw(images, *self.factor, 1, 1, 1, seed=seed) * span}

    def _transform(self, images: Any, transformation: Any) -> Any:
        return self._kept(ops.add(images, transformation["rgb_delta"]))


class RandomContrast(_Values):
    """Moves the values of each image away from the mean of their channel, or towards it.

    Args:
        factor: (low, high) within 0 and 1, for multiples from 1 - low to 1 + high; one number is (0, number), as
            Keras 3.15 reads it.
        value_range: lowest and highest value of the images; results are kept within.
    """

    _bounds = (0.0, 1.0)
    _has_layout = False

    def _drawn(self, images: Any, seed: Any) -> Any:
        low, high = 1.0 - self.factor[0], 1.0 + self.factor[1]
        return {"contrast_factor": self._draw(images, low, high, 1, 1, 1, seed=seed)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        first = self._first(4)
        mean = ops.mean(images, axis=(first, first + 1), keepdims=True)
        return self._kept((images - mean) * transformation["contrast_factor"] + mean)


class RandomColorDegeneration(_Values):
    """Moves the colours of each image towards grey, or away from it.

    Args:
        factor: 0 keeps the image, 1 makes it grey; one number for both directions or (low, high).
        value_range: lowest and highest value of the images; results are kept within.
    """

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {"factor": self._draw(images, *self.factor, 1, 1, 1, seed=seed)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        self._channels(images, (1, *RGB))
        grey = ops.rgb_to_grayscale(images, data_format=self.data_format)
        return self._kept(images + transformation["factor"] * (grey - images))


class RandomInvert(_Values):
    """Takes some images from the highest value: black becomes white.

    Args:
        factor: probability, one number for (0, number) or (low, high), from which each image draws its own.
        value_range: lowest and highest value of the images.
    """

    _bounds = (0.0, 1.0)

    def __init__(self, factor: Any = 1.0, value_range: Any = BYTES, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, seed, **kwargs)

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {"apply_inversion": self._chance(images, self.factor, seed)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        turned = per_image(transformation["apply_inversion"])
        return ops.where(turned, float(self.value_range[1]) - images, images)


class RandomPosterization(_Values):
    """Keeps the upper bits of each value, so that fewer colours are left.

    Args:
        factor: number of bits out of 8, (low, high) for low to high - 1; one number is (1, number).
        value_range: lowest and highest value of the images.
    """

    _bounds = (1.0, 8.0)

    def __init__(self, factor: Any, value_range: Any = BYTES, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(factor, value_range, data_format=data_format, **kwargs)
        if any(side != int(side) for side in self.factor):
            raise InvalidArgumentError(
                f"RandomPosterization: argument `factor` is {factor!r}",
                needed="whole numbers of bits, 1 to 8",
                where=self.name,
            )
        self.factor = (int(self.factor[0]), int(self.factor[1]))

    def _drawn(self, images: Any, seed: Any) -> Any:
        low, high = int(self.factor[0]), int(self.factor[1])
        shape = (ops.shape(images)[0],)
        if low == high:
            return {"shift_factor": ops.full(shape, 8 - low, dtype="int32")}
        return {"shift_factor": 8 - random.randint(shape, low, high, seed=self._seed(seed))}

    def _transform(self, images: Any, transformation: Any) -> Any:
        # Shifting right and left again is flooring to a multiple of a power of two.
        shift = ops.cast(transformation["shift_factor"], "float32")
        step = per_image(ops.cast(ops.round(ops.exp(shift * 0.6931471805599453)), self.compute_dtype))
        values = ops.clip(ops.floor(rescaled(images, self.value_range, BYTES)), 0.0, 255.0)
        return rescaled(ops.floor(values / step) * step, BYTES, self.value_range)


class RandomSaturation(_Values):
    """Makes the colours of each image purer or paler, in the HSV colour space.

    Args:
        factor: 0.5 keeps the image, 0 makes it grey, 1 makes its colours pure; one number f stands for (-f, f), as
            Keras 3.15 reads it.
        value_range: bounds of the saturation that is computed.
    """

    def _drawn(self, images: Any, seed: Any) -> Any:
        factor = self._draw(images, *self.factor, seed=seed)
        return {"factor": factor / (1.0 - factor + 1e-7)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        self._channels(images, RGB)
        axis = -1 if self.data_format == "channels_last" else -3
        colours = ops.rgb_to_hsv(images, data_format=self.data_format)
        hue, saturation, value = ops.split(colours, 3, axis=axis)
        saturation = self._kept(saturation * per_image(transformation["factor"]))
        return ops.hsv_to_rgb(ops.concatenate([hue, saturation, value], axis=axis), data_format=self.data_format)


class RandomHue(_Values):
    """Turns the colours of each image round the colour wheel.

    Args:
        factor: share of half a turn, in both directions; one number is (0, number).
        value_range: lowest and highest value of the images; results are kept within.
    """

    _bounds = (0.0, 1.0)

    def _drawn(self, images: Any, seed: Any) -> Any:
        backwards = ops.greater(self._draw(images, 0.0, 1.0, seed=seed), 0.5)
        turn = self._draw(images, *self.factor, seed=seed) * 0.5
        return {"factor": ops.where(backwards, -turn, turn)}

    def _transform(self, images: Any, transformation: Any) -> Any:
        self._channels(images, RGB)
        axis = -1 if self.data_format == "channels_last" else -3
        unit = rescaled(images, self.value_range, (0, 1))
        hue, saturation, value = ops.split(ops.rgb_to_hsv(unit, data_format=self.data_format), 3, axis=axis)
        hue = hue + per_image(transformation["factor"])
        hue = ops.where(hue > 1.0, hue - 1.0, hue)
        hue = ops.where(hue < 0.0, hue + 1.0, hue)
        colours = ops.concatenate([hue, saturation, value], axis=axis)
        turned = ops.clip(ops.hsv_to_rgb(colours, data_format=self.data_format), 0.0, 1.0)
        return rescaled(turned, (0, 1), self.value_range)


class RandomGrayscale(RandomImages):
    """Makes some images grey; the number of channels stays.

    Args:
        factor: probability, from 0 to 1.
    """

    def __init__(
        self, factor: float = 0.5, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        if not is_number(factor) or not 0 <= factor <= 1:
            raise InvalidArgumentError(
                f"RandomGrayscale: argument `factor` is {factor!r}",
                needed="a probability, from 0 to 1",
                where=self.name,
            )
        self.factor = factor

    def _drawn(self, images: Any, seed: Any) -> Any:
        return ops.less(self._draw(images, 0.0, 1.0, 1, 1, 1, seed=seed), float(self.factor))

    def _transform(self, images: Any, transformation: Any) -> Any:
        self._channels(images, (1, *RGB))
        return ops.where(transformation, ops.rgb_to_grayscale(images, data_format=self.data_format), images)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "factor": self.factor}


class Solarization(RandomImages):
    """Adds a number to each image, then inverts what is not below a threshold.

    Args:
        addition_factor: share of the range that is added at most, one number for (0, number) or (low, high).
        threshold_factor: share of the range of the threshold, likewise; 0 inverts all.
        value_range: lowest and highest value of the images.
    """

    def __init__(
        self,
        addition_factor: Any = 0.0,
        threshold_factor: Any = 0.0,
        value_range: Any = BYTES,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        self.addition_factor = factor_range(self, "addition_factor", addition_factor, 0.0)
        self.threshold_factor = factor_range(self, "threshold_factor", threshold_factor, 0.0)
        self.value_range = value_pair(self, value_range)

    def _drawn(self, images: Any, seed: Any) -> Any:
        # As Keras 3.15: only the upper bound is a share of 255.
        return {
            name: self._draw(images, low, high * 255.0, 1, 1, 1, seed=seed)
            for name, (low, high) in (("additions", self.addition_factor), ("thresholds", self.threshold_factor))
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        if transformation is None:
            return images
        added = ops.clip(rescaled(images, self.value_range, BYTES) + transformation["additions"], 0.0, 255.0)
        turned = ops.where(added < transformation["thresholds"], added, 255.0 - added)
        return rescaled(turned, BYTES, self.value_range)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "addition_factor": self.addition_factor,
            "threshold_factor": self.threshold_factor,
            "value_range": self.value_range,
        }


class AutoContrast(Images):
    """Stretches each channel of each image to the whole range, in training and in inference.

    Args:
        value_range: lowest and highest value of the images.
    """

    _always = True

    def __init__(self, value_range: Any = BYTES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = value_pair(self, value_range)

    def _transform(self, images: Any, transformation: Any) -> Any:
        first = self._first(4)
        axes = (first, first + 1)
        values = rescaled(images, self.value_range, BYTES)
        low = ops.min(values, axis=axes, keepdims=True)
        span = ops.max(values, axis=axes, keepdims=True) - low
        some = span > 0.0
        scale = 255.0 / ops.where(some, span, 1.0)
        stretched = ops.clip(values * scale - low * scale, 0.0, 255.0)
        # A channel of one value has nothing to stretch.
        return ops.where(some, rescaled(stretched, BYTES, self.value_range), images)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "value_range": self.value_range}


class RandomColorJitter(RandomImages):
    """Brightness, contrast, saturation and hue of each image changed, in this order.

    Args:
        value_range: lowest and highest value of the images.
        brightness_factor, contrast_factor, saturation_factor, hue_factor: `factor` of RandomBrightness,
            RandomContrast, RandomSaturation and RandomHue; None leaves one out.
    """

    def __init__(
        self,
        value_range: Any = BYTES,
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        hue_factor: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, data_format, **kwargs)
        self.value_range = value_pair(self, value_range)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor, self.hue_factor = saturation_factor, hue_factor

        def part(kind: type[_Values], factor: Any) -> _Values | None:
            if factor is None:
                return None
            return kind(factor, self.value_range, seed=seed, data_format=self.data_format, dtype=self.dtype_policy)

        self.random_brightness = part(RandomBrightness, brightness_factor)
        self.random_contrast = part(RandomContrast, contrast_factor)
        self.random_saturation = part(RandomSaturation, saturation_factor)
        self.random_hue = part(RandomHue, hue_factor)

    def _parts(self) -> dict[str, _Values]:
        parts = {
            "brightness": self.random_brightness,
            "contrast": self.random_contrast,
            "saturation": self.random_saturation,
            "hue": self.random_hue,
        }
        return {name: layer for name, layer in parts.items() if layer is not None}

    def _drawn(self, images: Any, seed: Any) -> Any:
        return {
            name: layer.get_random_transformation(images, seed=self._seed(seed))
            for name, layer in self._parts().items()
        }

    def _transform(self, images: Any, transformation: Any) -> Any:
        for name, layer in self._parts().items():
            images = layer.transform_images(images, transformation[name])
        return images

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        factors = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
        return {
            **super().get_config(),
            "value_range": self.value_range,
            **{name: getattr(self, name) for name in factors},
        }
