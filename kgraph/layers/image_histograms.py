"""Contrast by histograms: equalisation of whole images, and of tiles with a limit.

A histogram is a table of ones added up by index, a look-up is a gather from it; both run natively.  The table counts as
a constant in gradients, and the look-up is piecewise constant, so no gradient flows through these layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core.dispatch import operation
from kgraph.errors import InvalidArgumentError
from kgraph.layers.common import normal_tuple, positive
from kgraph.layers.image_base import BYTES, Images, is_number, rescaled, value_pair
from kgraph.ops.convert import emit

__all__ = ["ContrastLimitedAdaptiveHistogramEqualization", "Equalization"]


@operation
def _counts(ids: Any, rows: Any) -> Any:
    """f32[rows]: how often each number occurs in `ids`."""
    return emit("scatter_add", ids, ops.ones(ops.shape(ids), dtype="float32"), rows=rows)


class Equalization(Images):
    """Makes all values of a channel about equally frequent, in training.

    Args:
        value_range: lowest and highest value of the images.
        bins: number of values that are told apart.

    As in Keras 3 there is one histogram for each channel of a batch, not of an image.
    """

    def __init__(
        self, value_range: Any = BYTES, bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.bins = positive(self, "bins", bins)
        self.value_range = value_pair(self, value_range)

    def _transform(self, images: Any, transformation: Any) -> Any:
        """`transformation` may be a number of parts of the batch, each with histograms of its own."""
        self._channels(images)
        x = self._last(images)
        batch, height, width, channels = ops.shape(x)
        parts = transformation or 1
        values = ops.reshape(rescaled(x, self.value_range, BYTES), (parts, -1, channels))
        top = float(self.bins - 1)
        # Which table: one for each part and channel.
        table = np.arange(parts * channels, dtype=np.int32).reshape(parts, 1, channels) * self.bins
        counted = ops.cast(ops.clip(values * top / 255.0, 0.0, top), "int32") + table
        counts = ops.reshape(_counts(counted, parts * channels * self.bins), (parts * channels, self.bins))
        level, several = _equal_levels(ops.stop_gradient(counts))
        found = ops.take(ops.reshape(level, (-1,)), ops.cast(ops.clip(values / 255.0 * top, 0.0, top), "int32") + table)
        spread = ops.reshape(several, (parts, 1, channels))
        result = rescaled(ops.where(spread, ops.cast(found, values.dtype), values), BYTES, self.value_range)
        return self._restored(ops.reshape(result, (batch, height, width, channels)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {**super().get_config(), "value_range": self.value_range, "bins": self.bins}


def _equal_levels(counts: Any) -> tuple[Any, Any]:
    """New values f32[N, bins] in 0 to 255, and bool[N, 1] whether more than one bin holds anything."""
    total = ops.cumsum(counts, axis=-1)
    everything = ops.sum(counts, axis=-1, keepdims=True)
    # The count of the lowest bin that holds anything: the smallest positive partial sum.
    lowest = ops.min(ops.where(total > 0.0, total, everything), axis=-1, keepdims=True)
    rest = everything - lowest
    level = ops.clip(ops.round((total - lowest) * 255.0 / ops.maximum(rest, 1.0)), 0.0, 255.0)
    return level, rest > 0.0


class ContrastLimitedAdaptiveHistogramEqualization(Images):
    """Equalises each tile of each image, limits the contrast, and blends neighbouring tiles (Zuiderveld 1994, CLAHE).

    Args:
        value_range: lowest and highest value of the images.
        clip_limit: most pixels of one value, as multiples of an even histogram; the rest is spread over all values.
            0 or less sets no limit.
        tile_grid_size: (rows, columns) of tiles; images are mirrored at the end to whole tiles.

    Works in inference too.
    """

    _always = True

    def __init__(
        self,
        value_range: Any = BYTES,
        clip_limit: float = 4.0,
        tile_grid_size: Any = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format, **kwargs)
        self.value_range = value_pair(self, value_range)
        if not is_number(clip_limit):
            raise InvalidArgumentError(
                f"ContrastLimitedAdaptiveHistogramEqualization: argument `clip_limit` is {clip_limit!r}",
                needed="a number, such as 4.0",
                where=self.name,
            )
        self.clip_limit = clip_limit
        rows, columns = normal_tuple(self, "tile_grid_size", tile_grid_size, 2)
        self.tile_grid_size = (rows, columns)

    def _transform(self, images: Any, transformation: Any) -> Any:
        height, width = self._sizes(images)
        channels = self._channels(images)
        values = rescaled(self._last(images), self.value_range, BYTES)
        for axis, size, count in ((1, height, self.tile_grid_size[0]), (2, width, self.tile_grid_size[1])):
            more = -size % count
            if more:
                values = ops.take(values, np.pad(np.arange(size), (0, more), "symmetric"), axis=axis)
        pixels = ops.cast(ops.clip(values, 0.0, 255.0), "int32")
        # The number of the channel's first entry within the tables of a tile.
        pixels = pixels + np.arange(channels, dtype=np.int32) * 256
        result = self._blended(pixels, self._levels(pixels, channels), channels)
        result = rescaled(result[:, :height, :width, :], BYTES, self.value_range)
        return self._restored(ops.cast(result, self.compute_dtype))

    def _levels(self, pixels: Any, channels: int) -> Any:
        """New values of each tile: f32[batch * rows * columns * channels, 256]."""
        batch, height, width, _ = ops.shape(pixels)
        rows, columns = self.tile_grid_size
        area = (height // rows) * (width // columns)
        tile = np.arange(height)[:, None] // (height // rows) * columns + np.arange(width) // (width // columns)
        table = ops.reshape(ops.arange(batch), (batch, 1, 1, 1)) * (rows * columns) + tile[:, :, None].astype("int32")
        ids = table * (channels * 256) + pixels
        count = batch * rows * columns * channels
        counts = ops.stop_gradient(ops.reshape(_counts(ids, count * 256), (count, 256)))
        if self.clip_limit > 0:
            kept = ops.minimum(counts, self.clip_limit * area / 256.0)
            counts = kept + ops.sum(counts - kept, axis=-1, keepdims=True) / 256.0
        total = ops.cumsum(counts, axis=-1)
        lowest = total[:, :1]
        rest = area - lowest
        return ops.clip((total - lowest) * 255.0 / ops.where(rest == 0.0, 1.0, rest), 0.0, 255.0)

    def _blended(self, pixels: Any, levels: Any, channels: int) -> Any:
        """Each pixel looked up in the four tiles around it, weighted by how near their centres are."""
        batch, height, width, _ = ops.shape(pixels)
        rows, columns = self.tile_grid_size
        flat = ops.reshape(levels, (-1,))
        size = channels * 256
        start = ops.reshape(ops.arange(batch), (batch, 1, 1, 1)) * (rows * columns * size) + pixels
        result: Any = None
        for row, share_row in _neighbours(height, rows):
            for column, share_column in _neighbours(width, columns):
                offset = (row[:, None] * columns + column[None, :]) * size
                weight = share_row[:, None] * share_column[None, :]
                found = ops.take(flat, start + offset[:, :, None].astype("int32")) * weight[:, :, None]
                result = found if result is None else result + found
        return result

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "value_range": self.value_range,
            "clip_limit": self.clip_limit,
            "tile_grid_size": self.tile_grid_size,
        }


def _neighbours(size: int, count: int) -> list[tuple[Any, Any]]:
    """For each place on an axis the tile before and the tile behind, each with its weight f32[size]."""
    length = size // count
    position = (np.arange(size, dtype=np.float32) - length / 2.0) / length
    before = np.floor(position)
    share = (position - before).astype(np.float32)

    def tile(number: Any) -> Any:
        return np.clip(number, 0, count - 1).astype(np.int64)

    return [(tile(before), 1.0 - share), (tile(before + 1), share)]
