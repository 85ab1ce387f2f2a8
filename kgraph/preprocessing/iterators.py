"""Batches of images for `fit`, changed at random: what `ImageDataGenerator.flow` and its kin return.

Each is a `PyDataset`, and an iterator without end, as in Keras 2.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kgraph.core.session import floatx
from kgraph.errors import DataError, FileMissingError, IndexRangeError, InvalidArgumentError, ShapeError
from kgraph.keras_config import is_interactive_logging_enabled
from kgraph.utils.dataset import PyDataset
from kgraph.utils.image import array_to_img, check_layout, img_to_array, load_img

__all__ = ["DirectoryIterator", "Iterator", "NumpyArrayIterator"]

Array = np.ndarray[Any, np.dtype[Any]]
_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
_CLASS_MODES = ("categorical", "binary", "sparse", "input", None)
_CHANNELS = {"rgb": 3, "rgba": 4, "grayscale": 1}


class Changes(Protocol):
    """What an iterator asks of an `ImageDataGenerator`."""

    split: float

    def standardize(self, x: Array) -> Array:
        """A normalised image."""
        ...

    def randomly_changed(self, image: Array, random: Any) -> Array:
        """An image changed at random."""
        ...


class Iterator(PyDataset):
    """Batches of numbered samples, in a new order each epoch.

    Args:
        n: number of samples.
        batch_size: samples in a batch; the last one of an epoch may have fewer.
        shuffle: in random order.
        seed: batch number k after the start draws from a generator seeded with seed + k; None: from `numpy.random`.

    Raises:
        InvalidArgumentError: `batch_size` is no positive number.
    """

    def __init__(self, n: int, batch_size: int, shuffle: bool, seed: int | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise InvalidArgumentError(f"batch_size={batch_size!r}", needed="a whole number, 1 or more")
        self.n, self.batch_size, self.shuffle, self.seed = n, int(batch_size), shuffle, seed
        self.batch_index = 0
        self.total_batches_seen = 0
        self.index_array: Array | None = None
        self._random: Any = np.random

    def _begin_batch(self) -> None:
        if self.seed is not None:
            self._random = np.random.RandomState((self.seed + self.total_batches_seen) % 2**32)
        self.total_batches_seen += 1

    def _set_index_array(self) -> Array:
        self.index_array = self._random.permutation(self.n) if self.shuffle else np.arange(self.n)
        return self.index_array

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __getitem__(self, idx: int) -> Any:
        """Batch number `idx` of this epoch."""
        if not -len(self) <= idx < len(self):
            raise IndexRangeError(f"{type(self).__name__} has {len(self)} batches", got=f"index {idx}")
        self._begin_batch()
        order = self._set_index_array() if self.index_array is None else self.index_array
        begin = self.batch_size * (idx % len(self))
        return self._get_batches_of_transformed_samples(order[begin : begin + self.batch_size])

    def on_epoch_end(self) -> None:
        """Take a new order."""
        self._set_index_array()

    def reset(self) -> None:
        """Let `next` begin with the first batch."""
        self.batch_index = 0

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if not self.n:
            raise StopIteration
        self._begin_batch()
        if self.batch_index == 0 or self.index_array is None:
            self._set_index_array()
        order = self.index_array
        assert order is not None
        begin = self.batch_index * self.batch_size
        self.batch_index = (self.batch_index + 1) % len(self)
        return self._get_batches_of_transformed_samples(order[begin : begin + self.batch_size])

    next = __next__  # Python 2

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        raise InvalidArgumentError(
            f"{type(self).__name__} does not say how to make a batch",
            fix="define _get_batches_of_transformed_samples(self, index_array)",
        )


class _Images(Iterator):
    """What both kinds share: the changes of each image, and the pictures of them in a directory."""

    image_data_generator: Changes | None
    data_format: str
    save_to_dir: str | None
    save_prefix: str
    save_format: str

    def _changed(self, image: Array) -> Array:
        generator = self.image_data_generator
        if generator is None:
            return image
        return generator.standardize(generator.randomly_changed(image, self._random))

    def _save(self, images: Array, numbers: Array) -> None:
        if not self.save_to_dir:
            return
        for image, number in zip(images, numbers):
            name = f"{self.save_prefix}_{number}_{self._random.randint(10**7)}.{self.save_format}"
            array_to_img(image, self.data_format, scale=True).save(os.path.join(self.save_to_dir, name))


class NumpyArrayIterator(_Images):
    """Images of an array; see `ImageDataGenerator.flow` for the arguments and errors."""

    def __init__(
        self,
        x: Any,
        y: Any,
        image_data_generator: Changes,
        batch_size: int = 32,
        shuffle: bool = False,
        sample_weight: Any = None,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        subset: str | None = None,
        ignore_class_split: bool = False,
        dtype: Any = None,
    ) -> None:
        self.image_data_generator, self.data_format = image_data_generator, check_layout(data_format)
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        self.dtype = dtype or floatx()
        others: list[Any] = []
        if isinstance(x, (list, tuple)):
            others = list(x[1]) if isinstance(x[1], list) else [x[1]]
            x = x[0]
        arrays = {"y": y, "sample_weight": sample_weight} | {f"x[1][{i}]": one for i, one in enumerate(others)}
        for name, array in arrays.items():
            if array is not None and len(array) != len(x):
                raise DataError(f"flow: x has {len(x)} rows, {name} has {len(array)}", needed="as many rows in each")
        rows = _part(len(x), image_data_generator.split, subset)
        if subset is not None and y is not None and not ignore_class_split:
            _check_classes(np.asarray(y), int(len(x) * image_data_generator.split))
        self.x = np.asarray(x[rows], dtype=self.dtype)
        if self.x.ndim != 4:
            raise ShapeError(
                "flow takes images", got=f"x of shape {self.x.shape}", needed="(n, height, width, channels)"
            )
        self.x_misc = [np.asarray(one)[rows] for one in others]
        self.y = None if y is None else np.asarray(y)[rows]
        self.sample_weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        images = np.empty((len(index_array), *self.x.shape[1:]), self.dtype)
        for place, number in enumerate(index_array):
            images[place] = self._changed(self.x[number].copy())
        self._save(images, index_array)
        first: Any = [images, *(one[index_array] for one in self.x_misc)] if self.x_misc else images
        if self.y is None:
            return first
        rest = [self.y] if self.sample_weight is None else [self.y, self.sample_weight]
        return (first, *(one[index_array] for one in rest))


def _part(count: int, split: float, subset: str | None) -> slice:
    """The rows of a subset; the validation set comes first."""
    if subset is None:
        return slice(None)
    if subset not in ("training", "validation"):
        raise InvalidArgumentError(f"subset={subset!r}", needed="'training' or 'validation'")
    if not split:
        raise InvalidArgumentError(
            f"subset={subset!r} needs a share", fix="pass validation_split=0.2 to ImageDataGenerator"
        )
    middle = int(split * count)
    return slice(0, middle) if subset == "validation" else slice(middle, None)


def _check_classes(y: Array, middle: int) -> None:
    if not np.array_equal(np.unique(y[:middle]), np.unique(y[middle:])):
        raise DataError(
            "the training and the validation subset have different classes",
            fix="shuffle the rows first, or pass ignore_class_split=True",
        )


class DirectoryIterator(_Images):
    """Image files, a directory for each class; see `ImageDataGenerator.flow_from_directory`."""

    def __init__(
        self,
        directory: Any,
        image_data_generator: Changes | None,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        data_format: str | None = None,
        save_to_dir: str | None = None,
        save_prefix: str = "",
        save_format: str = "png",
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
        keep_aspect_ratio: bool = False,
        dtype: Any = None,
    ) -> None:
        if color_mode not in _CHANNELS:
            raise InvalidArgumentError(f"color_mode={color_mode!r}", needed="one of " + ", ".join(_CHANNELS))
        if class_mode not in _CLASS_MODES:
            raise InvalidArgumentError(
                f"class_mode={class_mode!r}", needed="one of " + ", ".join(map(str, _CLASS_MODES))
            )
        self.directory = os.fspath(directory)
        if not os.path.isdir(self.directory):
            raise FileMissingError(f"there is no directory {self.directory!r}")
        self.image_data_generator, self.data_format = image_data_generator, check_layout(data_format)
        self.save_to_dir, self.save_prefix, self.save_format = save_to_dir, save_prefix, save_format
        self.color_mode, self.class_mode = color_mode, class_mode
        height, width = target_size
        self.target_size = (int(height), int(width))
        self.interpolation, self.keep_aspect_ratio, self.dtype = interpolation, keep_aspect_ratio, dtype or floatx()
        channels = (_CHANNELS[color_mode],)
        last = self.data_format == "channels_last"
        self.image_shape = (*self.target_size, *channels) if last else (*channels, *self.target_size)
        split = image_data_generator.split if image_data_generator is not None else 0.0
        self._find(classes, split, subset, follow_links)
        super().__init__(self.samples, batch_size, shuffle, seed)

    def _find(self, classes: Sequence[str] | None, split: float, subset: str | None, follow_links: bool) -> None:
        """List the files of each class."""
        names = list(classes or sorted(entry.name for entry in os.scandir(self.directory) if entry.is_dir()))
        self.num_classes = len(names)
        self.class_indices = {name: number for number, name in enumerate(names)}
        found: list[tuple[int, str]] = []
        for name, number in self.class_indices.items():
            files = _image_files(os.path.join(self.directory, name), follow_links)
            kept = files[_part(len(files), split, subset)]
            found += [(number, os.path.join(name, file)) for file in kept]
        self.filenames = [file for _, file in found]
        self.classes = np.array([number for number, _ in found], dtype="int32")
        self.filepaths = [os.path.join(self.directory, file) for file in self.filenames]
        self.samples = len(found)
        if is_interactive_logging_enabled():
            print(f"Found {self.samples} images belonging to {self.num_classes} classes.")

    @property
    def labels(self) -> Array:
        """The number of each file's class."""
        return self.classes

    def _get_batches_of_transformed_samples(self, index_array: Array) -> Any:
        images = np.empty((len(index_array), *self.image_shape), self.dtype)
        for place, number in enumerate(index_array):
            picture = load_img(
                self.filepaths[number], self.color_mode, self.target_size, self.interpolation, self.keep_aspect_ratio
            )
            images[place] = self._changed(np.array(img_to_array(picture, self.data_format, self.dtype)))
        self._save(images, index_array)
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            return images, images.copy()
        numbers = self.classes[index_array]
        if self.class_mode == "categorical":
            return images, np.eye(self.num_classes, dtype=self.dtype)[numbers]
        return images, numbers.astype(self.dtype)


def _image_files(directory: str, follow_links: bool) -> list[str]:
    """Paths of the image files below a directory, relative to it, in order of directories and names."""
    found = []
    for root, _, names in sorted(os.walk(directory, followlinks=follow_links), key=lambda entry: entry[0]):
        below = Path(root).relative_to(directory)
        found += [str(below / name) for name in sorted(names) if name.lower().endswith(_ENDINGS)]
    return found
