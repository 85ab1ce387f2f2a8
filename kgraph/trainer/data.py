"""Arrays from users, checked and put in the form that programs take: contiguous, of the input's dtype, named by input.

An array that already has that form is used where it lies; nothing is copied.  Every check names the input, the row and
the fix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from kgraph.errors import DataError, DtypeError, InvalidArgumentError, ShapeError

__all__ = [
    "Port",
    "as_array",
    "cast_array",
    "check_batch_size",
    "check_no_nan",
    "class_weights_to_rows",
    "fitted",
    "input_arrays",
    "pick",
    "rows_of",
    "split_validation",
    "target_array",
    "target_arrays",
    "unpack",
    "weight_arrays",
]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Port:
    """One input of the model.

    Attributes:
        name: as the user knows it, and as the graph does.
        shape: with None for sizes that the data fix; the batch comes first.
        dtype: e.g. `"float32"`.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def input_arrays(ports: Sequence[Port], x: Any, check_nan: bool = True) -> dict[str, Array]:
    """An array for each input by name.

    Args:
        ports: the inputs in order.
        x: an array, a list or tuple of them in the order of the inputs, or a dict by input name.
        check_nan: refuse NaN.

    Raises:
        DataError: a wrong number of arrays, a missing or unknown name, or a NaN.
        ShapeError: a rank or size does not fit.
        DtypeError: text, objects, complex numbers.
    """
    values = pick(x, [port.name for port in ports], "input", "x")
    arrays = {port.name: fitted(port, value) for port, value in zip(ports, values)}
    if check_nan:
        for name, array in arrays.items():
            check_no_nan(f"input {name!r}", array)
    return arrays


def pick(data: Any, names: Sequence[str], kind: str, argument: str) -> list[Any]:
    """One entry for each name, in order."""
    if data is None:
        raise DataError(f"{argument} is None", needed=f"an array for each {kind}: {', '.join(names)}")
    if isinstance(data, Mapping):
        missing = [name for name in names if name not in data]
        extra = [str(key) for key in data if key not in names]
        if missing or extra:
            near = get_close_matches(extra[0], missing or names, 1) if extra else []
            raise DataError(
                f"{argument} has no entry for {kind} {missing[0]!r}"
                if missing
                else f"{argument} has an entry for {extra[0]!r}, which is no {kind} of the model",
                got=", ".join(str(key) for key in data) or "an empty dict",
                needed=", ".join(names),
                fix=f"write {near[0]!r} for {extra[0]!r}" if near else "",
            )
        return [data[name] for name in names]
    if isinstance(data, (list, tuple)) and _is_list_of_arrays(data, len(names)):
        if len(data) != len(names):
            raise DataError(
                f"{argument} has {len(data)} arrays, the model has {len(names)} {kind}s",
                needed="one array for each of " + ", ".join(names),
            )
        return list(data)
    if len(names) != 1:
        raise DataError(
            f"{argument} is one array, the model has {len(names)} {kind}s",
            got=f"{type(data).__name__} of shape {np.shape(data)}",
            needed="a list in this order, or a dict with these names: " + ", ".join(names),
        )
    return [data]


def _is_list_of_arrays(data: Sequence[Any], count: int) -> bool:
    """A list for several inputs, or a list with the one array; a list of numbers or rows is the array itself."""
    if count > 1:
        return any(hasattr(item, "shape") for item in data) or len(data) == count
    return len(data) > 0 and all(hasattr(item, "shape") and len(item.shape) > 0 for item in data)


def as_array(data: Any, name: str) -> Array:
    """`data` as an array of numbers.

    Raises:
        ShapeError: its rows differ in length.
        DtypeError: it holds no numbers.
    """
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ShapeError(
            f"{name} is no array: its rows differ in length",
            got=str(error).split(".")[0],
            fix="bring the rows to one length, e.g. with kgraph.utils.pad_sequences",
        ) from None
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            array = np.asarray(data)
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{name} holds no numbers", got=f"dtype {array.dtype}", fix="convert it to numbers first, e.g. to class ids"
        )
    return array


def fitted(port: Port, data: Any) -> Array:
    """The array in the rank and type of an input; errors as `input_arrays`."""
    name = f"input {port.name!r}"
    array = as_array(data, name)
    rank = len(port.shape)
    if array.ndim == rank - 1 and port.shape[-1] == 1:
        array = array[..., None]
    elif array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    fits = array.ndim == rank and all(want in (None, have) for want, have in zip(port.shape[1:], array.shape[1:]))
    if not fits:
        needed = "(" + ", ".join("n" if i == 0 else str(size) for i, size in enumerate(port.shape)) + ")"
        fix = "give one row for each sample, also for a single one: x[None]" if array.ndim == rank - 1 else ""
        raise ShapeError(
            f"{name} does not take an array of shape {array.shape}",
            got=f"rank {array.ndim}, shape {array.shape}",
            needed=f"rank {rank}, shape {needed.replace('None', 'any')}",
            fix=fix,
        )
    return cast_array(array, port.dtype, name)


def cast_array(array: Array, dtype: str, name: str) -> Array:
    """`array` contiguous and of a dtype.

    Raises:
        DataError: a number does not fit the dtype, or is NaN.
    """
    wide = np.dtype(dtype)
    if array.dtype == wide:
        return np.ascontiguousarray(array)
    if wide.kind in "iu":
        if array.dtype.kind == "f":
            check_no_nan(name, array)
        if array.size and array.dtype.kind != "b":
            info = np.iinfo(wide)
            if array.min() < info.min or array.max() > info.max:
                row = int(np.argwhere((array < info.min) | (array > info.max))[0][0])
                raise DataError(
                    f"a number in {name} does not fit {dtype}",
                    where=f"row {row}",
                    got=f"values from {array.min()} to {array.max()}",
                    needed=f"values from {info.min} to {info.max}",
                )
    return np.ascontiguousarray(array, wide)


def check_no_nan(name: str, array: Array) -> None:
    """Refuse NaN (infinity passes).

    Raises:
        DataError: names the row and the place.
    """
    if array.dtype.kind != "f" or not array.size or isinstance(array, np.memmap):
        return
    # One pass that any NaN survives; only then the costly search.  An infinity of each sign gives NaN too.
    with np.errstate(all="ignore"):
        if not np.isnan(array.sum()):
            return
    places = np.isnan(array)
    count = int(places.sum())
    if not count:
        return
    place = np.unravel_index(int(np.argmax(places)), array.shape)
    rows = int(places.reshape(len(array), -1).any(axis=1).sum())
    raise DataError(
        f"{name} holds NaN",
        where=f"row {int(place[0])}, at {list(map(int, place))}",
        got=f"{count} NaN in {rows} of {len(array)} rows",
        fix="drop these rows, or fill them, e.g. numpy.nan_to_num(x)",
    )


def rows_of(groups: Mapping[str, Mapping[str, Array]]) -> int:
    """The number of rows that all arrays have.

    Args:
        groups: `"x"`, `"y"`, `"sample_weight"`: their arrays by name.

    Raises:
        DataError: the lengths differ, or there are no rows.
    """
    lengths = {f"{group} {name!r}": array.shape[0] for group, some in groups.items() for name, array in some.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            "the arrays differ in their number of rows",
            got=", ".join(f"{name}: {length}" for name, length in lengths.items()),
            needed="as many rows in each",
        )
    rows = next(iter(lengths.values()), 0)
    if rows == 0:
        raise DataError(
            "the data have no rows",
            got=", ".join(f"{name}: 0" for name in lengths) or "no arrays",
            needed="at least one row",
        )
    return rows


def target_array(name: str, data: Any, floatx: str = "float32") -> Array:
    """A target as programs take it: floats as floatx, whole numbers as int32, booleans as they are."""
    array = as_array(data, f"target {name!r}")
    if array.ndim == 0:
        raise ShapeError(f"target {name!r} is a single number", needed="one row for each sample")
    check_no_nan(f"target {name!r}", array)
    dtype = {"f": floatx, "b": "bool"}.get(array.dtype.kind, "int32")
    return cast_array(array, dtype, f"target {name!r}")


def target_arrays(names: Sequence[str], all_names: Sequence[str], y: Any, floatx: str = "float32") -> dict[str, Array]:
    """An array for each output that has a loss or metric, by output name.

    Args:
        names: outputs with a target.
        all_names: all outputs; `y` may have an entry (or None) for each of them too.
        y: an array, a list in the order of the outputs, or a dict by output name.

    Raises:
        DataError: a wrong number of arrays, a missing or unknown name, or a NaN.
    """
    if isinstance(y, Mapping):
        y = {key: value for key, value in y.items() if key in names or key not in all_names}
    elif isinstance(y, (list, tuple)) and len(all_names) > len(names) and len(y) == len(all_names):
        y = [value for name, value in zip(all_names, y) if name in names]
    if not names:
        return {}
    return {name: target_array(name, value, floatx) for name, value in zip(names, pick(y, names, "output", "y"))}


def weight_arrays(
    names: Sequence[str], targets: Mapping[str, Array], sample_weight: Any, class_weight: Any
) -> dict[str, Array]:
    """Weights by output name; empty when there are none.  Class weights multiply into sample weights.

    Args:
        names: outputs with a target.
        targets: their arrays.
        sample_weight: an array for all outputs, a list or a dict by output name (entries may be None).
        class_weight: class number -> weight; for several outputs a dict of such by output name.

    Raises:
        DataError: a wrong number of arrays, or a NaN.
    """
    weights: dict[str, Array] = {}
    if sample_weight is not None:
        if isinstance(sample_weight, Mapping):
            given = {name: sample_weight.get(name) for name in names}
            unknown = [key for key in sample_weight if key not in names]
            if unknown:
                raise DataError(f"sample_weight names {unknown[0]!r}", needed="one of " + ", ".join(names))
        elif isinstance(sample_weight, (list, tuple)) and not all(isinstance(w, (int, float)) for w in sample_weight):
            given = dict(zip(names, pick(sample_weight, names, "output", "sample_weight")))
        else:
            given = dict.fromkeys(names, sample_weight)
        for name, value in given.items():
            if value is not None:
                array = as_array(value, f"sample_weight of {name!r}")
                check_no_nan(f"sample_weight of {name!r}", array)
                weights[name] = np.ascontiguousarray(array, np.float32)
    if class_weight is not None:
        for name, table in _class_tables(names, class_weight).items():
            rows = class_weights_to_rows(targets[name], table)
            have = weights.get(name)
            weights[name] = rows if have is None else have * rows.reshape((-1, *([1] * (have.ndim - 1))))
    return weights


def _class_tables(names: Sequence[str], class_weight: Any) -> dict[str, Mapping[int, float]]:
    if not isinstance(class_weight, Mapping):
        raise InvalidArgumentError(
            "class_weight takes a dict {class: weight}",
            got=type(class_weight).__name__,
            fix="write class_weight=dict(enumerate(weights))",
        )
    if class_weight and all(isinstance(table, Mapping) for table in class_weight.values()):
        unknown = [key for key in class_weight if key not in names]
        if unknown:
            raise InvalidArgumentError(f"class_weight names {unknown[0]!r}", needed="one of " + ", ".join(names))
        return dict(class_weight)
    if len(names) != 1:
        raise InvalidArgumentError(
            "class_weight is one table, the model has several outputs",
            fix=f"pass a dict by output name: {{{names[0]!r}: {{0: 1.0, 1: 2.0}}}}",
        )
    return {names[0]: class_weight}


def class_weights_to_rows(y: Array, class_weight: Mapping[int, float]) -> Array:
    """f32[n]: the weight of each row's class, 1 when it has none; the class of a one-hot row is its largest entry."""
    classes = y
    if y.ndim > 1:
        classes = y[..., 0] if y.shape[-1] == 1 else y.argmax(axis=-1)
    numbers = np.round(classes).astype(np.int64)
    rows = np.ones(numbers.shape, np.float32)
    for number, weight in class_weight.items():
        if isinstance(number, str) or isinstance(weight, str):
            raise InvalidArgumentError(
                "class_weight takes numbers", got=f"{{{number!r}: {weight!r}}}", needed="a dict {class number: weight}"
            )
        rows[numbers == int(number)] = weight
    return rows


def check_batch_size(batch_size: Any, fixed: int | None = None) -> int:
    """The batch size: 32 by default, or the one that the model's inputs fix.

    Raises:
        InvalidArgumentError: not a whole number above 0, or another one than the inputs have.
    """
    if batch_size is None:
        return fixed or 32
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise InvalidArgumentError(f"batch_size={batch_size!r}", needed="a whole number, 1 or more")
    if fixed is not None and batch_size != fixed:
        raise InvalidArgumentError(
            f"batch_size={batch_size}, but the inputs of this model have a fixed batch of {fixed}",
            fix=f"pass batch_size={fixed}, or build the model without batch_shape",
        )
    return int(batch_size)


def split_validation(arrays: dict[str, Array], rows: int, fraction: float) -> tuple[dict[str, Array], dict[str, Array]]:
    """Cut off the last part, before any shuffle.

    Args:
        arrays: all of `rows` rows.
        rows: their number.
        fraction: of the rows that go to validation.

    Raises:
        InvalidArgumentError: the fraction is not between 0 and 1, or leaves one part empty.
    """
    if not isinstance(fraction, (int, float)) or not 0.0 < fraction < 1.0:
        raise InvalidArgumentError(f"validation_split={fraction!r}", needed="a number above 0 and below 1")
    cut = int(rows * (1.0 - fraction))
    if cut == 0 or cut == rows:
        raise InvalidArgumentError(
            f"validation_split={fraction} of {rows} rows leaves none for {'training' if cut == 0 else 'validation'}"
        )
    return {name: array[:cut] for name, array in arrays.items()}, {name: array[cut:] for name, array in arrays.items()}


def unpack(data: Any, argument: str) -> tuple[Any, Any, Any]:
    """`(x,)`, `(x, y)` or `(x, y, sample_weight)`, also as a list; anything else is `x`.

    Raises:
        DataError: a tuple of another length.
    """
    if isinstance(data, list) and argument == "validation_data":
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise DataError(f"{argument} is a tuple of {len(data)}", needed="(x, y) or (x, y, sample_weight)")
    padded = [*data, None, None]
    return padded[0], padded[1], padded[2]
