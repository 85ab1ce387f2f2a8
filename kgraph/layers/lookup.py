"""`IntegerLookup` and `StringLookup`: values to their places in a vocabulary.

A vocabulary of integers is looked up natively (an index is the sum of comparisons), so `IntegerLookup` may be part of
a model; strings are looked up in Python, on arrays.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kgraph import ops
from kgraph.core import Layer, SymbolicTensor, TracedTensor
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.layers.numeric_preprocessing import batches, check_mode, encode, hash_text, host_values

__all__ = ["IntegerLookup", "StringLookup"]


class _Lookup(Layer):
    """What the two share.

    Indices: the mask token is 0 (with output_mode "int"), then come `num_oov_indices` places for unknown values, then
    the vocabulary.

    Args:
        max_tokens: largest size, with the special places.
        num_oov_indices: places for values that are not in the vocabulary; 0 makes such a value an error.
        mask_token: value that stands for "nothing".
        oov_token: what an unknown index gives back with `invert`.
        vocabulary: list of values, perhaps with the special ones in front; or learn it with `adapt`.
        idf_weights: weight of each value, for output_mode "tf_idf".
        invert: indices to values.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        pad_to_max_tokens: vectors of size `max_tokens`, however large the vocabulary is.
    """

    kind: type = int

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        salt: Any,
        **kwargs: Any,
    ) -> None:
        for name in ("dtype", "vocabulary_size", "has_input_vocabulary"):
            kwargs.pop(name, None)
        super().__init__(**kwargs)
        if pad_to_max_tokens and max_tokens is None:
            raise InvalidArgumentError(f"{type(self).__name__}: `pad_to_max_tokens` needs `max_tokens`")
        if num_oov_indices < 0 or (max_tokens is not None and max_tokens <= 1):
            raise InvalidArgumentError(
                f"{type(self).__name__}: num_oov_indices={num_oov_indices}, max_tokens={max_tokens}",
                needed="0 or more, and more than 1",
            )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token, self.invert = mask_token, oov_token, invert
        self.output_mode = check_mode(self, output_mode, sparse, ("int", "one_hot", "multi_hot", "count", "tf_idf"))
        if invert and self.output_mode != "int":
            raise InvalidArgumentError(f"{type(self).__name__}: `invert` goes with output_mode='int' alone")
        self.pad_to_max_tokens = pad_to_max_tokens
        self.salt = None if salt is None else [salt, salt] if isinstance(salt, int) else list(salt)
        self._given = vocabulary is not None
        self._tokens: list[Any] = []
        self._idf: np.ndarray[Any, Any] | None = None
        self.autocast = False
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    @property
    def _start(self) -> int:
        """The index of the first value of the vocabulary."""
        return self.num_oov_indices + (1 if self.mask_token is not None and self.output_mode == "int" else 0)

    def _special(self) -> list[Any]:
        masks = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return masks + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a list of values, or the name of a file with one per line.

        Raises:
            InvalidArgumentError: a value comes twice, or there are more than `max_tokens`.
        """
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as lines:
                vocabulary = [line.rstrip("\n") for line in lines]
        given = np.asarray(vocabulary).tolist()
        special = self._special()
        found = bool(special) and given[: len(special)] == special
        tokens = [self.kind(token) for token in (given[len(special) :] if found else given)]
        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice or not tokens:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: the vocabulary "
                + (f"has values twice: {twice[:5]}" if twice else "is empty")
            )
        if self.mask_token is not None and self.mask_token in tokens:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: the mask token {self.mask_token!r} stands inside the vocabulary",
                needed=f"special values only in front: {special}",
            )
        if self.max_tokens is not None and self._start + len(tokens) > self.max_tokens:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: the vocabulary is larger than `max_tokens`",
                got=f"{self._start + len(tokens)}",
                needed=f"at most {self.max_tokens}",
            )
        self._tokens = tokens
        if self.output_mode == "tf_idf":
            if idf_weights is None:
                raise InvalidArgumentError(f"{type(self).__name__}: output_mode 'tf_idf' needs `idf_weights`")
            weights = np.asarray(idf_weights, np.float32)
            front = np.zeros(0) if found else np.full(self._start, weights.mean())
            self._idf = np.concatenate([front, weights]).astype(np.float32)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The values by index."""
        return (self._special() if include_special_tokens else []) + self._tokens

    def vocabulary_size(self) -> int:
        """Number of indices."""
        return self._start + len(self._tokens)

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: values by falling count, then by falling value."""
        if self._given:
            raise InvalidArgumentError(f"{type(self).__name__} {self.name!r} has its vocabulary already")
        counts: Counter[Any] = Counter()
        documents: Counter[Any] = Counter()
        number = 0
        for batch in batches(data)[:steps]:
            rows = batch.reshape(len(batch), -1) if batch.ndim else batch.reshape(1, 1)
            for row in rows.tolist():
                counts.update(map(self.kind, row))
                documents.update(set(map(self.kind, row)))
                number += 1
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        order = sorted(counts, key=lambda token: (counts[token], self._rank(token)), reverse=True)
        self._tokens = order if self.max_tokens is None else order[: self.max_tokens - self._start]
        if self.output_mode == "tf_idf":
            weights = np.asarray([np.log(1 + number / (1 + documents[token])) for token in self._tokens], np.float32)
            self._idf = np.concatenate([np.full(self._start, weights.mean(), np.float32), weights])

    def _rank(self, token: Any) -> Any:
        return token.encode("utf-8") if isinstance(token, str) else token

    def _depth(self) -> int:
        return int(self.max_tokens or 0) if self.pad_to_max_tokens else self.vocabulary_size()

    def _encoded(self, ids: Any) -> Any:
        if self.output_mode == "int":
            return ids
        mode = "count" if self.output_mode == "tf_idf" else self.output_mode
        found = encode(ids, mode, self._depth(), "float32" if self.output_mode == "tf_idf" else "int32")
        if self._idf is None:
            return found
        return ops.multiply(found, np.pad(self._idf, (0, self._depth() - len(self._idf))))

    def _need_vocabulary(self) -> None:
        if not self._tokens:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r} has no vocabulary yet", fix="call adapt(data) or set_vocabulary"
            )

    def _unknown(self, value: Any) -> int:
        """The place of a value outside the vocabulary."""
        first = self._start - self.num_oov_indices
        if self.num_oov_indices == 0:
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r}: {value!r} is not in the vocabulary",
                fix="give num_oov_indices=1 or more to allow unknown values",
            )
        return first + self._bucket(value)

    def _bucket(self, value: Any) -> int:
        return hash_text(value, self.salt) % self.num_oov_indices

    def _look_up(self, values: Any) -> Any:
        table = {token: index for index, token in enumerate(self._tokens, start=self._start)}
        flat = []
        for value in np.ravel(values).tolist():
            token = value.decode("utf-8") if isinstance(value, bytes) else self.kind(value)
            if self.mask_token is not None and token == self.mask_token:
                # Outside of mode "int" masks are counted nowhere.
                flat.append(0 if self.output_mode == "int" else -1)
            else:
                flat.append(table[token] if token in table else self._unknown(token))
        return np.asarray(flat, "int64").reshape(np.shape(values))

    def _back(self, ids: Any) -> Any:
        names = self.get_vocabulary()
        flat = [names[i] if 0 <= i < len(names) else self.oov_token for i in np.ravel(ids).tolist()]
        return np.asarray(flat).reshape(np.shape(ids))

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Look up an array or list."""
        self._need_vocabulary()
        values = host_values(self, inputs)
        return self._back(values) if self.invert else np.asarray(self._encoded(self._look_up(values)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with its vocabulary."""
        return {
            **super().get_config(),
            "max_tokens": self.max_tokens,
            "num_oov_indices": self.num_oov_indices,
            "mask_token": self.mask_token,
            "oov_token": self.oov_token,
            "vocabulary": self._special() + self._tokens if self._tokens else None,
            "idf_weights": None if self._idf is None else self._idf.tolist(),
            "invert": self.invert,
            "output_mode": self.output_mode,
            "sparse": False,
            "pad_to_max_tokens": self.pad_to_max_tokens,
            "salt": self.salt,
        }


class StringLookup(_Lookup):
    """Strings to their places in a vocabulary, in Python, on arrays; see `_Lookup` for the arguments."""

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
        if encoding != "utf-8":
            raise UnsupportedError(f"StringLookup: encoding {encoding!r} is not supported", fix="decode the data first")
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


class IntegerLookup(_Lookup):
    """Integers to their places in a vocabulary; also inside a model.  See `_Lookup` for the arguments."""

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
        self._method = oov_method
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

    def _bucket(self, value: Any) -> int:
        if self._method == "floormod":
            return int(value) % self.num_oov_indices
        return super()._bucket(value)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Look up an array, or a tensor of a model."""
        if isinstance(inputs, (SymbolicTensor, TracedTensor)):
            self._need_vocabulary()
            return Layer.__call__(self, inputs, *args, **kwargs)
        return super().__call__(inputs, *args, **kwargs)

    def call(self, inputs: Any) -> Any:
        """Look up natively: compare with every value of the vocabulary."""
        ids = ops.cast(inputs, "int32")
        if self.invert:
            table = np.asarray(self.get_vocabulary(), "int32")
            known = ops.logical_and(ops.greater_equal(ids, 0), ops.less(ids, len(table)))
            rows = ops.take(table, ops.clip(ids, 0, len(table) - 1), axis=0)
            return ops.where(known, rows, int(self.oov_token))
        equal = ops.equal(ops.expand_dims(ids, -1), np.asarray(self._tokens, "int32"))
        places = np.arange(len(self._tokens), dtype="int32") + self._start
        found = ops.sum(ops.where(equal, places, 0), axis=-1)
        # Nobody can be told of an unknown value from inside a loop of native code: it becomes -1, as in Keras.
        other: Any = -1
        if self.num_oov_indices:
            first = self._start - self.num_oov_indices
            other = ops.add(ops.mod(ids, self.num_oov_indices), first)
        result = ops.where(ops.any(equal, axis=-1), found, other)
        if self.mask_token is not None:
            absent = 0 if self.output_mode == "int" else -1
            result = ops.where(ops.equal(ids, int(self.mask_token)), absent, result)
        return self._encoded(result)

    def _input_dtype(self) -> str:
        return "int32"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with its vocabulary."""
        return {**super().get_config(), "oov_method": self._method}
