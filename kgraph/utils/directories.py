"""Datasets of files: `image_dataset_from_directory`, `text_dataset_from_directory`, `audio_dataset_from_directory`.

A directory has one sub-directory for each class.  Files are read when their batch is asked for.  The order of files and
their shuffling are those of Keras.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.core.session import image_data_format
from kgraph.errors import DataError, FileMissingError, InvalidArgumentError, UnsupportedError
from kgraph.utils.batched_data import BatchedData, check_batch, fixed_seed
from kgraph.utils.media import IMAGE_FILES, read_image, read_text, read_wav

__all__ = ["audio_dataset_from_directory", "image_dataset_from_directory", "text_dataset_from_directory"]

Array = npt.NDArray[Any]
# From the paths of some files to the x of a batch.
Reader = Callable[[list[str]], Array]


class FileData(BatchedData):
    """Batches of files.

    Attributes:
        class_names: names of the classes in the order of their numbers; None without labels.
        file_paths: the files in the order of the first epoch.
    """

    class_names: list[str] | None
    file_paths: list[str]


@dataclass(frozen=True)
class _Options:
    """What the three functions have in common, as given."""

    name: str
    directory: Any
    labels: Any
    label_mode: str | None
    class_names: Sequence[str] | None
    batch_size: int | None
    shuffle: bool
    seed: int | None
    validation_split: float | None
    subset: str | None
    follow_links: bool
    verbose: bool
    formats: tuple[str, ...]

    def check(self) -> None:
        """Refuse arguments that mean nothing."""

        def need(fine: bool, argument: str, needed: str) -> None:
            if not fine:
                raise InvalidArgumentError(f"{self.name}: {argument}={getattr(self, argument)!r}", needed=needed)

        given = not (self.labels is None or (isinstance(self.labels, str) and self.labels == "inferred"))
        need(not given or isinstance(self.labels, (list, tuple)), "labels", "'inferred', a list of labels, or None")
        need(self.class_names is None or self.labels == "inferred", "class_names", "None, unless labels are 'inferred'")
        modes = ("int", "categorical", "binary", None)
        need(self.label_mode in modes, "label_mode", "'int', 'categorical', 'binary' or None")
        split = self.validation_split
        need(not split or 0 < split < 1, "validation_split", "a number between 0 and 1")
        need(self.subset in ("training", "validation", "both", None), "subset", "'training', 'validation' or 'both'")
        need(bool(split) == bool(self.subset), "subset", "both `subset` and `validation_split`, or neither")
        need(
            not (split and self.shuffle and self.seed is None),
            "seed",
            "a number, so that the two subsets of a shuffled directory share no files",
        )
        check_batch(self.name, self.batch_size)
        if not os.path.isdir(self.directory):
            raise FileMissingError(f"{self.name}: there is no directory {os.fspath(self.directory)}")


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches f32[batch, height, width, channels] of images from 0 to 255, with labels.

    Reads .png, .jpg, .jpeg, .bmp and .gif (the first image) by Pillow, and .ppm, .pgm and .npy without it.

    Args:
        directory: with a sub-directory for each class.
        labels: "inferred" from the sub-directories, a list with the label of each file (sorted by path), or None.
        label_mode: "int" (int32[n]), "categorical" (one-hot f32), "binary" (f32[n, 1]), or None for images alone.
        class_names: names of sub-directories in the order of their numbers; the sorted ones by default.
        color_mode: "rgb", "rgba" or "grayscale".
        batch_size: images a batch; None: single images.
        image_size: (height, width) of all images.
        shuffle: mix the files, anew each epoch; else they are sorted.
        seed: of the mixing.
        validation_split: share of the files for validation.
        subset: "training", "validation", or "both" for a list of the two.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos3" or "lanczos5".
        follow_links: enter sub-directories that are links.
        crop_to_aspect_ratio, pad_to_aspect_ratio: keep the proportions, by cutting or with a black border.
        data_format: "channels_last" or "channels_first".
        format: accepted as in Keras; the result is a `PyDataset` in any case.
        verbose: print how many files were found.

    Raises:
        InvalidArgumentError: an argument has a value that means nothing.
        DataError: there are no files, or their number does not fit the labels.
        FileMissingError: there is no such directory.
        MissingLibraryError: an image needs Pillow, which is not installed.
    """
    name = "image_dataset_from_directory"
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    channels = {"rgb": 3, "rgba": 4, "grayscale": 1}.get(color_mode)
    if channels is None or len(size) != 2 or (crop_to_aspect_ratio and pad_to_aspect_ratio):
        raise InvalidArgumentError(
            f"{name}: color_mode={color_mode!r}, image_size={image_size!r}, crop_to_aspect_ratio="
            f"{crop_to_aspect_ratio}, pad_to_aspect_ratio={pad_to_aspect_ratio}",
            needed="'rgb', 'rgba' or 'grayscale'; (height, width); one way to keep the proportions at most",
        )
    if interpolation in ("area", "gaussian", "mitchellcubic"):
        raise UnsupportedError(f"{name}: interpolation {interpolation!r} is not supported", fix="use 'bilinear'")
    keep = "crop" if crop_to_aspect_ratio else "pad" if pad_to_aspect_ratio else ""
    first = (data_format or image_data_format()) == "channels_first"

    def read(paths: list[str]) -> Array:
        images = np.stack([read_image(path, size, int(channels or 3), interpolation, keep) for path in paths])
        return images.transpose(0, 3, 1, 2) if first else images

    options = _Options(
        name,
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        IMAGE_FILES,
    )
    return _datasets(options, read)


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    format: str = "tf",
    verbose: bool = True,
) -> Any:
    """Batches of texts, str[batch], of `.txt` files in UTF-8, with labels.

    Args:
        max_length: characters of a text; what is over is cut.

    The other arguments and the errors are those of `image_dataset_from_directory`.
    """

    def read(paths: list[str]) -> Array:
        made = np.empty(len(paths), object)
        made[:] = [read_text(path)[:max_length] for path in paths]
        return made

    options = _Options(
        "text_dataset_from_directory",
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        (".txt",),
    )
    return _datasets(options, read)


def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Batches f32[batch, time, channels] of `.wav` files, from -1 to 1, with labels.

    Args:
        sampling_rate: samples a second that the files must have; None takes any.
        output_sequence_length: samples of each; shorter ones get zeros, by default up to the longest of a batch.
        ragged: not supported.

    The other arguments and the errors are those of `image_dataset_from_directory`.
    """
    name = "audio_dataset_from_directory"
    if ragged:
        raise UnsupportedError(f"{name}: `ragged` is not supported", fix="pass output_sequence_length")
    for argument, value in (("sampling_rate", sampling_rate), ("output_sequence_length", output_sequence_length)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InvalidArgumentError(f"{name}: {argument}={value!r}", needed="a whole number, 1 or more")

    def read(paths: list[str]) -> Array:
        sounds = [read_wav(path, sampling_rate)[:output_sequence_length] for path in paths]
        length = output_sequence_length or max(map(len, sounds))
        return np.stack([np.pad(sound, [(0, length - len(sound)), (0, 0)]) for sound in sounds])

    options = _Options(
        name,
        directory,
        labels,
        label_mode,
        class_names,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        (".wav",),
    )
    return _datasets(options, read)


# -- files ------------------------------------------------------------------------------------------------------------
def _datasets(options: _Options, read: Reader) -> Any:
    """The dataset, or the list of both, that the options ask for."""
    options.check()
    seed = fixed_seed(options.seed)
    paths, labels, names = _index(options)
    if options.label_mode is None:
        labels = None
    if options.label_mode == "binary" and labels is not None and len(names or ()) != 2:
        raise InvalidArgumentError(f"{options.name}: label_mode='binary' needs two classes", got=str(names))
    order = np.arange(len(paths))
    if options.shuffle:
        np.random.RandomState(seed).shuffle(order)
    paths = [paths[i] for i in order]
    labels = None if labels is None else labels[order]
    held = int((options.validation_split or 0) * len(paths))
    parts = {"training": slice(0, len(paths) - held), "validation": slice(len(paths) - held, None), None: slice(None)}
    wanted = ["training", "validation"] if options.subset == "both" else [options.subset]
    made = []
    for part in wanted:
        some, numbers = paths[parts[part]], None if labels is None else labels[parts[part]]
        if not some:
            raise DataError(
                f"{options.name}: no {part + ' ' if part else ''}files in {os.fspath(options.directory)}",
                needed="files that end in " + ", ".join(options.formats),
            )
        if options.verbose and part:
            print(f"Using {len(some)} files for {part}.")
        again = options.shuffle and not (options.subset == "both" and part == "validation")
        made.append(_dataset(options, read, some, numbers, names, again, seed))
    return made if options.subset == "both" else made[0]


def _dataset(
    options: _Options,
    read: Reader,
    paths: list[str],
    labels: Array | None,
    names: list[str] | None,
    shuffle: bool,
    seed: int,
) -> FileData:
    goals = None if labels is None else _encoded(labels, options.label_mode, len(names or ()))

    def batch(rows: Array) -> Any:
        x = read([paths[row] for row in rows])
        return x if goals is None else (x, goals[rows])

    data = FileData(np.arange(len(paths)), batch, options.batch_size, shuffle, seed)
    data.class_names, data.file_paths = names, paths
    return data


def _encoded(labels: Array, mode: str | None, classes: int) -> Array:
    if mode == "binary":
        return labels.astype(np.float32)[:, None]
    return np.eye(classes, dtype=np.float32)[labels] if mode == "categorical" else labels.astype(np.int32)


def _index(options: _Options) -> tuple[list[str], Array | None, list[str] | None]:
    """Sorted paths of all files, their labels, and the names of the classes."""
    root, inferred = os.fspath(options.directory), isinstance(options.labels, str)
    folders = [""]
    if inferred:
        folders = sorted(f for f in os.listdir(root) if os.path.isdir(os.path.join(root, f)) and f[0] != ".")
        if options.class_names is not None:
            missing = [name for name in options.class_names if name not in folders]
            if missing:
                raise InvalidArgumentError(
                    f"{options.name}: `class_names` names {missing[0]!r}", needed="one of " + ", ".join(folders)
                )
            folders = list(options.class_names)
    paths: list[str] = []
    numbers: list[int] = []
    for number, folder in enumerate(folders):
        walk = os.walk(os.path.join(root, folder) if folder else root, followlinks=options.follow_links)
        for place, _, files in sorted(walk, key=lambda entry: entry[0]):
            found = [os.path.join(place, f) for f in sorted(files) if f.lower().endswith(options.formats)]
            paths += found
            numbers += [number] * len(found)
    if options.labels is None:
        return _found(options, paths, None, None)
    if inferred:
        return _found(options, paths, np.asarray(numbers, np.int32), folders)
    if len(options.labels) != len(paths):
        raise DataError(
            f"{options.name}: `labels` does not fit the files", got=f"{len(options.labels)} labels, {len(paths)} files"
        )
    return _found(options, paths, np.asarray(options.labels), [str(label) for label in sorted(set(options.labels))])


def _found(
    options: _Options, paths: list[str], labels: Array | None, names: list[str] | None
) -> tuple[list[str], Array | None, list[str] | None]:
    if options.verbose:
        print(f"Found {len(paths)} files" + ("." if names is None else f" belonging to {len(names)} classes."))
    return paths, labels, names
