"""`IntegerLookup` and `StringLookup`: values to their places in a vocabulary.

A vocabulary of integers is looked up natively (through a table, or as a sum of comparisons), so `IntegerLookup` may
stand anywhere in a model.  Strings are looked up in Python, on arrays, and so are integers whose unknown values are
hashed: such a layer stands right behind the `Input`, see `kgraph.layers.host`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import SymbolicTensor, TracedTensor
from kgraph.core.session import floatx
from kgraph.core.trace import current_trace
from kgraph.errors import DtypeError, InvalidArgumentError, UnsupportedError
from kgraph.layers.host import text_array
from kgraph.layers.numeric_preprocessing import encode
from kgraph.layers.vocabulary import VocabularyLayer

__all__ = ["IntegerLookup", "StringLookup", "check_encoding"]

# Largest table of a native lookup, beside four entries for each value of the vocabulary.
_TABLE = 1024


class StringLookup(VocabularyLayer):
    """Strings to their places in a vocabulary, in Python: on arrays, or behind an `Input` of strings.

    See `VocabularyLayer` for the arguments.  Unknown strings share `num_oov_indices` places by FarmHash64, or by
    SipHash with a `salt`, as in Keras.
    """

    kind = str

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        check_encoding("StringLookup", encoding)
        kwargs.pop("oov_method", None)
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            salt,
            **kwargs,
        )

    def _values(self, data: Any) -> np.ndarray[Any, Any]:
        return text_array(self, data)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with its vocabulary."""
        return {**super().get_config(), "encoding": "utf-8"}


def check_encoding(layer: str, encoding: str) -> None:
    """Refuse an encoding other than UTF-8.

    Raises:
        UnsupportedError: it is another one.
    """
    if str(encoding).lower().replace("-", "") != "utf8":
        raise UnsupportedError(f"{layer}: encoding {encoding!r} is not supported", fix="decode the data first")


class IntegerLookup(VocabularyLayer):
    """Integers to their places in a vocabulary; also inside a model.  See `VocabularyLayer` for the arguments.

    Args:
        oov_method: how unknown integers share several places: "floormod", or "farmhash" (hashed in Python, so the layer
            then stands right behind the `Input`).
        salt: with "farmhash", hash by SipHash with this key.
    """

    host_input_dtype = "int32"

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        if oov_method not in ("floormod", "farmhash"):
            raise InvalidArgumentError(
                f"IntegerLookup: argument `oov_method` is {oov_method!r}", needed="floormod or farmhash"
            )
        if salt is not None and oov_method != "farmhash":
            raise InvalidArgumentError("IntegerLookup: `salt` goes with oov_method='farmhash' alone")
        if vocabulary_dtype != "int64":
            raise InvalidArgumentError(f"IntegerLookup: vocabulary_dtype={vocabulary_dtype!r}", needed="'int64'")
        self.oov_method = oov_method
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            idf_weights,
            invert,
            output_mode,
            sparse,
            pad_to_max_tokens,
            salt,
            **kwargs,
        )

    def _values(self, data: Any) -> np.ndarray[Any, Any]:
        values = np.asarray(data)
        if values.dtype.kind not in "biu" and not (values.dtype.kind == "f" and np.all(values == np.floor(values))):
            raise DtypeError(
                f"IntegerLookup {self.name!r} takes integers", got=str(values.dtype), fix="use StringLookup for strings"
            )
        return values.astype(np.int64)

    def _bucket(self, value: Any) -> int:
        return int(value) % self.num_oov_indices if self.oov_method == "floormod" else super()._bucket(value)

    def runs_on_host(self) -> bool:
        """Whether unknown values are hashed, which only Python does."""
        return self.oov_method == "farmhash" and self.num_oov_indices > 1 and not self.invert

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Look up an array, or a tensor of a model."""
        if isinstance(inputs, (SymbolicTensor, TracedTensor)):
            return super().__call__(inputs, *args, **kwargs)
        return self.host_call(inputs)

    def call(self, inputs: Any) -> Any:
        """Look up natively."""
        wide = any(not -(2**31) <= token < 2**31 for token in [*self._tokens, self.mask_token or 0])
        dtype = "int64" if wide else "int32"
        ids = ops.cast(inputs, dtype)
        if not self._tokens:
            return self._shape_alone(ids)
        if self.invert:
            return self._native_back(ids, dtype)
        known, place = self._native_place(ids, dtype)
        # Nobody can be told of an unknown value from inside a loop of native code: it becomes -1.
        other: Any = -1
        if self.num_oov_indices > 1:
            # By hand: the remainder has the sign of the divisor.
            rest = ops.mod(ids, np.asarray(self.num_oov_indices, dtype))
            other = ops.add(ops.cast(rest, "int32"), self._first_unknown)
        elif self.num_oov_indices:
            other = self._first_unknown
        result = ops.where(known, place, other)
        if self.mask_token is not None:
            absent = 0 if self.output_mode == "int" else -1
            result = ops.where(ops.equal(ids, np.asarray(self.mask_token, dtype)), absent, result)
        if self.output_mode == "int":
            return result
        weights = self._weights()
        found = encode(result, "count" if weights is not None else self.output_mode, self._depth(), floatx())
        return found if weights is None else ops.multiply(found, weights)

    def _shape_alone(self, ids: Any) -> Any:
        """What shapes are found with while there is no vocabulary yet; nothing may run on it."""
        trace = current_trace()
        self._need_depth()
        if trace is None or not trace.scratch:
            self._need_vocabulary()
        nothing = ops.zeros_like(ids, dtype="int32")
        return (
            nothing
            if self.output_mode == "int"
            else encode(nothing, "one_hot" if self.output_mode == "one_hot" else "count", self._depth(), floatx())
        )

    def _native_place(self, ids: Any, dtype: str) -> tuple[Any, Any]:
        """Whether each value is known, and its place."""
        tokens = np.asarray(self._tokens, dtype)
        low, high = min(self._tokens), max(self._tokens)
        if high - low < 4 * len(tokens) + _TABLE:
            table = np.full(high - low + 1, -1, "int32")
            table[tokens - low] = np.arange(len(tokens)) + self._start
            inside = ops.logical_and(
                ops.greater_equal(ids, np.asarray(low, dtype)), ops.less_equal(ids, np.asarray(high, dtype))
            )
            row = ops.cast(ops.where(inside, ops.subtract(ids, np.asarray(low, dtype)), np.asarray(0, dtype)), "int32")
            place = ops.take(table, ops.clip(row, 0, len(table) - 1), axis=0)
            return ops.logical_and(inside, ops.greater_equal(place, 0)), place
        equal = ops.equal(ops.expand_dims(ids, -1), tokens)
        places = np.arange(len(tokens), dtype="int32") + self._start
        return ops.any(equal, axis=-1), ops.sum(ops.where(equal, places, 0), axis=-1)

    def _native_back(self, ids: Any, dtype: str) -> Any:
        table = np.asarray(self.get_vocabulary(), dtype)
        known = ops.logical_and(ops.greater_equal(ids, 0), ops.less(ids, len(table)))
        rows = ops.take(table, ops.clip(ops.cast(ids, "int32"), 0, len(table) - 1), axis=0)
        return ops.where(known, rows, np.asarray(self.oov_token, dtype))

    def _input_dtype(self) -> str:
        return "int32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with its vocabulary."""
        return {**super().get_config(), "oov_method": self.oov_method, "vocabulary_dtype": "int64"}
