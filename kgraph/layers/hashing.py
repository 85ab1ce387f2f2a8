"""`Hashing` and `HashedCrossing`: strings and whole numbers as one of so many bins, in Python.

The bins are those of Keras: FarmHash64 of the text, or SipHash with a salt.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.session import floatx
from kgraph.errors import DtypeError, InvalidArgumentError, ShapeError
from kgraph.layers.common import positive
from kgraph.layers.hashes import CROSS_KEY, bucket, cross, farm_hash
from kgraph.layers.host import HostLayer, Spec, encode_on_host, encoded_shape, normal_salt
from kgraph.layers.numeric_preprocessing import check_mode

__all__ = ["HashedCrossing", "Hashing"]

Array = np.ndarray[Any, Any]


class _Bins(HostLayer):
    """What the two share: bins, and how they are put out.

    With output_mode "int" the result is int32, else floatx.
    """

    def __init__(self, num_bins: Any, output_mode: str, sparse: bool, modes: tuple[str, ...], **kwargs: Any) -> None:
        dtype = getattr(kwargs.get("dtype"), "name", kwargs.pop("dtype", None))
        kwargs.pop("dtype", None)
        super().__init__(**kwargs)
        self.num_bins = positive(self, "num_bins", num_bins)
        self.output_mode = check_mode(self, output_mode, sparse, modes)
        if isinstance(dtype, dict):
            dtype = dtype.get("config", {}).get("name")
        if self.output_mode == "int" and dtype not in (None, "int32", "int64"):
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: dtype {dtype!r} with output_mode='int'",
                needed="int32 or int64",
            )

    def _put_out(self, ids: Array) -> Array:
        if self.output_mode == "int":
            return ids.astype("int32")
        return encode_on_host(ids, self.output_mode, self.num_bins, floatx())

    def host_spec(self, shapes: list[tuple[int | None, ...]]) -> Spec:
        """Shape and type of the result."""
        shape = encoded_shape(shapes[0], self.output_mode, self.num_bins)
        return shape, "int32" if self.output_mode == "int" else floatx()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        config = super().get_config()
        config["dtype"] = "int64" if self.output_mode == "int" else floatx()
        return {**config, "num_bins": self.num_bins, "output_mode": self.output_mode, "sparse": False}


class Hashing(_Bins):
    """Whole numbers or strings as one of `num_bins` numbers, by a hash of their text.

    The bins are those of Keras.  The layer works in Python, on arrays or behind an `Input`.

    Args:
        num_bins: number of bins, with the one for `mask_value`.
        mask_value: value that always goes to bin 0.
        salt: a number or a pair of numbers, the key of another hash (SipHash).
        output_mode: "int", "one_hot", "multi_hot" or "count".
    """

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_bins, output_mode, sparse, ("int", "one_hot", "multi_hot", "count"), **kwargs)
        self.mask_value, self.salt = mask_value, normal_salt(self, salt)

    def host_call(self, inputs: Any) -> Array:
        """Hash an array, a list or a string."""
        values = np.asarray(inputs)
        spare = 1 if self.mask_value is not None and self.num_bins > 1 else 0
        flat = [
            0
            if spare and _same(item, self.mask_value)
            else bucket(_text(self, item), self.num_bins - spare, self.salt) + spare
            for item in values.ravel().tolist()
        ]
        return self._put_out(np.asarray(flat, "int64").reshape(values.shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer."""
        return {**super().get_config(), "mask_value": self.mask_value, "salt": self.salt}


class HashedCrossing(_Bins):
    """Two or more features as one of `num_bins` numbers, by a hash of all of them.

    Features are strings or integers of shape (), (n,) or (n, 1), all of one shape.  The bins are those of Keras.  The
    layer works in Python, on a list of arrays or behind `Input`s.

    Args:
        num_bins: number of bins.
        output_mode: "int" or "one_hot".
    """

    def __init__(self, num_bins: int, output_mode: str = "int", sparse: bool = False, **kwargs: Any) -> None:
        super().__init__(num_bins, output_mode, sparse, ("int", "one_hot"), **kwargs)

    def host_call(self, inputs: Any) -> Array:
        """Cross a list of arrays."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise InvalidArgumentError(
                f"HashedCrossing {self.name!r} takes two features or more",
                got=f"{type(inputs).__name__}" + (f" of {len(inputs)}" if isinstance(inputs, (list, tuple)) else ""),
                fix="pass them as a list: layer([first, second])",
            )
        features = [np.asarray(feature) for feature in inputs]
        self._check([feature.shape for feature in features])
        columns = [[_code(self, item) for item in feature.ravel().tolist()] for feature in features]
        flat = []
        for row in zip(*columns):
            value = CROSS_KEY
            for code in row:
                value = cross(value, code)
            flat.append(value % self.num_bins)
        return self._put_out(np.asarray(flat, "int64").reshape(features[0].shape))

    def host_spec(self, shapes: list[tuple[int | None, ...]]) -> Spec:
        """Shape and type of the result."""
        self._check(shapes)
        return super().host_spec(shapes)

    def _check(self, shapes: list[tuple[int | None, ...]]) -> None:
        first = shapes[0]
        if len(shapes) < 2 or len(first) > 2 or (len(first) == 2 and first[1] != 1) or any(s != first for s in shapes):
            raise ShapeError(
                f"HashedCrossing {self.name!r} cannot cross these features",
                got=f"shapes {', '.join(map(str, shapes))}",
                needed="two or more of one shape: (), (n,) or (n, 1)",
            )


def _same(item: Any, mask: Any) -> bool:
    return bool((item.decode("utf-8") if isinstance(item, bytes) else item) == mask)


def _text(layer: HostLayer, item: Any) -> bytes:
    """The bytes that stand for a value; floats lose their fraction, as in Keras."""
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode("utf-8")
    if isinstance(item, (int, float)) and not isinstance(item, bool):
        return str(int(item)).encode()
    raise DtypeError(
        f"{type(layer).__name__} {layer.name!r} takes strings and whole numbers",
        got=f"{item!r} ({type(item).__name__})",
    )


def _code(layer: HostLayer, item: Any) -> int:
    """What a value gives to a crossing: integers themselves, strings their hash."""
    if isinstance(item, float):
        raise DtypeError(f"{type(layer).__name__} {layer.name!r} takes strings and integers", got=repr(item))
    return item & 0xFFFFFFFFFFFFFFFF if type(item) is int else farm_hash(_text(layer, item))
