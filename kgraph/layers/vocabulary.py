"""`VocabularyLayer`: a vocabulary, given or learned, and the places of values in it; the base of the lookups."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgraph.core.session import floatx
from kgraph.errors import DtypeError, FileMissingError, InvalidArgumentError, UnsupportedError
from kgraph.layers.hashes import bucket
from kgraph.layers.host import HostLayer, adapt_batches, encode_on_host, encoded_shape, normal_salt
from kgraph.layers.numeric_preprocessing import check_mode

__all__ = ["VocabularyLayer", "refuse_file"]

MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


class VocabularyLayer(HostLayer):
    """Values to indices, and back.

    Indices: the mask token is 0 (with output_mode "int"), then come `num_oov_indices` places for unknown values, then
    the vocabulary.

    Args:
        max_tokens: largest size, with the special places.
        num_oov_indices: places for values that are not in the vocabulary; 0 makes such a value an error.
        mask_token: value that stands for "nothing".
        oov_token: what an unknown index gives back with `invert`.
        vocabulary: list of values, perhaps with the special ones in front; or the name of a file with one per line; or
            learn it with `adapt`.
        idf_weights: weight of each value, for output_mode "tf_idf".
        invert: indices to values.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        pad_to_max_tokens: vectors of size `max_tokens`, however large the vocabulary is.
    """

    kind: type = int
    # The layer that messages speak of, when this one is a part of it.
    part_of = ""

    @property
    def _title(self) -> str:
        return self.part_of or type(self).__name__

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
        kwargs.pop("dtype", None)
        # Of a vocabulary that is still to come, from a file of Keras: its shapes are asked for before it is read.
        self._expected_size: int | None = kwargs.pop("vocabulary_size", None)
        self._given = bool(kwargs.pop("has_input_vocabulary", vocabulary is not None))
        super().__init__(**kwargs)
        if pad_to_max_tokens and max_tokens is None:
            raise InvalidArgumentError(f"{self._title}: `pad_to_max_tokens` needs `max_tokens`")
        if num_oov_indices < 0 or (max_tokens is not None and max_tokens <= 1):
            raise InvalidArgumentError(
                f"{self._title}: num_oov_indices={num_oov_indices}, max_tokens={max_tokens}",
                needed="0 or more, and more than 1",
            )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token, self.invert = mask_token, oov_token, invert
        self.output_mode = check_mode(self, output_mode, sparse, MODES)
        if invert and self.output_mode != "int":
            raise InvalidArgumentError(f"{self._title}: `invert` goes with output_mode='int' alone")
        if idf_weights is not None and (vocabulary is None or self.output_mode != "tf_idf"):
            raise InvalidArgumentError(
                f"{self._title}: `idf_weights` goes with `vocabulary` and output_mode='tf_idf'",
                got=f"output_mode={self.output_mode!r}, vocabulary {'missing' if vocabulary is None else 'given'}",
            )
        self.pad_to_max_tokens, self.salt = pad_to_max_tokens, normal_salt(self, salt)
        self._tokens: list[Any] = []
        self._table: dict[Any, int] = {}
        self._idf: np.ndarray[Any, Any] | None = None
        self.autocast = False
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # -- vocabulary ---------------------------------------------------------------------------------------------------
    @property
    def _first_unknown(self) -> int:
        """The index of the first place for unknown values."""
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _start(self) -> int:
        """The index of the first value of the vocabulary."""
        return self._first_unknown + self.num_oov_indices

    def _special(self) -> list[Any]:
        return [self.mask_token] * self._first_unknown + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a list of values, or the name of a file with one per line.

        Raises:
            InvalidArgumentError: a value comes twice, there are more than `max_tokens`, or weights are missing or do
                not fit.
            DtypeError: a value has the wrong type.
            FileMissingError: there is no such file.
        """
        special = self._special()
        found = False
        if isinstance(vocabulary, (str, os.PathLike)):
            given = self._file(vocabulary)
        else:
            given = [self._value(token) for token in np.asarray(vocabulary).ravel().tolist()]
            found = bool(special) and given[: len(special)] == special
        tokens = given[len(special) :] if found else given
        self._check_tokens(tokens, special)
        weights = self._checked_weights(idf_weights, len(given))
        self._take(tokens)
        if weights is not None:
            front = np.zeros(0) if found else np.full(self._start, weights.mean())
            self._idf = np.concatenate([front, weights]).astype(np.float32)

    def _take(self, tokens: list[Any]) -> None:
        self._tokens = tokens
        self._table = {token: index for index, token in enumerate(tokens, start=self._start)}

    def _file(self, path: Any) -> list[Any]:
        """The values in a file; no special one among them, as in Keras."""
        if not os.path.exists(path):
            raise FileMissingError(f"{self._title} {self.name!r}: vocabulary file {os.fspath(path)} does not exist")
        if self.output_mode == "tf_idf":
            raise InvalidArgumentError(
                f"{self._title} {self.name!r}: a vocabulary file has no weights for output_mode 'tf_idf'",
                fix="read the file, and pass a list as `vocabulary` and its `idf_weights`",
            )
        with open(path, encoding="utf-8", newline="\n") as lines:
            return [self._value(line.rstrip("\r\n")) for line in lines]

    def _value(self, token: Any) -> Any:
        """A value in the type of the vocabulary."""
        if isinstance(token, bytes):
            token = token.decode("utf-8")
        try:
            if self.kind is str and not isinstance(token, str):
                raise ValueError
            if self.kind is int and isinstance(token, float) and int(token) != token:
                raise ValueError
            return self.kind(token)
        except (TypeError, ValueError):
            raise DtypeError(
                f"{self._title} {self.name!r}: {token!r} is no {'string' if self.kind is str else 'integer'}",
                fix="use IntegerLookup for integers" if self.kind is str else "use StringLookup for strings",
            ) from None

    def _check_tokens(self, tokens: list[Any], special: list[Any]) -> None:
        def refuse(what: str, **more: str) -> InvalidArgumentError:
            return InvalidArgumentError(f"{self._title} {self.name!r}: the {what}", **more)

        twice = [token for token, count in Counter(tokens).items() if count > 1]
        if twice:
            raise refuse("vocabulary has values twice", got=str(twice[:5]), needed="each value once")
        if not tokens:
            raise refuse("vocabulary is empty")
        reserved = {"mask": self.mask_token, "out-of-vocabulary": self.oov_token if self.invert else None}
        for name, token in reserved.items():
            if token is not None and token in tokens:
                raise refuse(
                    f"{name} token {token!r} stands inside the vocabulary",
                    got=f"index {tokens.index(token)}",
                    needed=f"special values only in front: {special}",
                )
        if self.max_tokens is not None and self._start + len(tokens) > self.max_tokens:
            raise refuse(
                "vocabulary is larger than `max_tokens`",
                got=f"{self._start + len(tokens)}, with {self._start} special places",
                needed=f"at most {self.max_tokens}",
            )

    def _checked_weights(self, idf_weights: Any, count: int) -> np.ndarray[Any, Any] | None:
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise InvalidArgumentError(
                f"{self._title} {self.name!r}: output_mode {self.output_mode!r} "
                + ("needs `idf_weights`" if idf_weights is None else "takes no `idf_weights`")
            )
        if idf_weights is None:
            return None
        weights = np.asarray(idf_weights, np.float32)
        if weights.shape != (count,):
            raise InvalidArgumentError(
                f"{self._title} {self.name!r}: `idf_weights` does not fit the vocabulary",
                got=f"shape {weights.shape}",
                needed=f"a weight for each of its {count} values",
            )
        return weights

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The values by index."""
        return (self._special() if include_special_tokens else []) + self._tokens

    def vocabulary_size(self) -> int:
        """Number of indices."""
        return self._start + len(self._tokens)

    @property
    def idf_weights(self) -> np.ndarray[Any, Any] | None:
        """f32[vocabulary_size]: the weight of each index, with output_mode "tf_idf"."""
        return self._idf

    # -- learning -----------------------------------------------------------------------------------------------------
    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learn the vocabulary: values by falling count, then by falling value.

        Args:
            data: an array or list (its rows are documents), or an iterable of batches.
            steps: number of batches to read.

        Raises:
            InvalidArgumentError: the vocabulary was given to the layer, or there are no data.
        """
        self._learn(self._documents(data, steps))

    def _documents(self, data: Any, steps: int | None) -> list[list[Any]]:
        """The values of each document.  Of a whole array each row is one; a batch of rank 1 is one as a whole."""
        whole = isinstance(data, (list, tuple)) or hasattr(data, "__array__")
        found: list[list[Any]] = []
        for batch in adapt_batches(data, steps):
            values = self._values(batch)
            rows = (
                values.reshape(len(values), -1)
                if values.size and values.ndim > (0 if whole else 1)
                else values.reshape(1, -1)
            )
            found.extend(rows.tolist())
        return found

    def _learn(self, documents: Sequence[Sequence[Any]]) -> None:
        if self._given:
            raise InvalidArgumentError(
                f"{self._title} {self.name!r} has its vocabulary already",
                fix="leave out `vocabulary` to adapt the layer",
            )
        counts: Counter[Any] = Counter()
        holding: Counter[Any] = Counter()
        for row in documents:
            counts.update(row)
            if self.output_mode == "tf_idf":
                holding.update(set(row))
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        if not counts:
            raise InvalidArgumentError(f"{self._title} {self.name!r}: adapt() received no values")
        order = sorted(counts, key=lambda token: (counts[token], self._rank(token)), reverse=True)
        self._take(order if self.max_tokens is None else order[: self.max_tokens - self._start])
        if self.output_mode == "tf_idf":
            rows = len(documents)
            weights = np.asarray([np.log(1 + rows / (1 + holding[token])) for token in self._tokens], np.float32)
            self._idf = np.concatenate([np.full(self._start, weights.mean(), np.float32), weights])

    def _rank(self, token: Any) -> Any:
        return token.encode("utf-8") if isinstance(token, str) else token

    # -- looking up ---------------------------------------------------------------------------------------------------
    def _values(self, data: Any) -> np.ndarray[Any, Any]:
        """Data as an array of values of the vocabulary's type."""
        raise NotImplementedError

    def _depth(self) -> int:
        if self.pad_to_max_tokens:
            return int(self.max_tokens or 0)
        return self.vocabulary_size() if self._tokens else int(self._expected_size or 0)

    def _weights(self) -> np.ndarray[Any, Any] | None:
        return None if self._idf is None else np.pad(self._idf, (0, self._depth() - len(self._idf)))

    def _need_depth(self) -> None:
        """Check that the size of the result is known."""
        if self.output_mode != "int" and not self._depth():
            self._need_vocabulary()

    def _need_vocabulary(self) -> None:
        if not self._tokens:
            raise InvalidArgumentError(
                f"{self._title} {self.name!r} has no vocabulary yet", fix="call adapt(data) or set_vocabulary"
            )

    def _unknown(self, value: Any) -> int:
        """The place of a value outside the vocabulary."""
        if self.num_oov_indices == 0:
            raise InvalidArgumentError(
                f"{self._title} {self.name!r}: {value!r} is not in the vocabulary",
                fix="give num_oov_indices=1 or more to allow unknown values",
            )
        return self._first_unknown + (self._bucket(value) if self.num_oov_indices > 1 else 0)

    def _bucket(self, value: Any) -> int:
        return bucket(str(value).encode("utf-8"), self.num_oov_indices, self.salt)

    def _places(self, values: Sequence[Any]) -> list[int]:
        """The index of each value; outside of mode "int" masks are -1, which is counted nowhere."""
        masked = 0 if self.output_mode == "int" else -1
        table = self._table
        return [
            masked
            if self.mask_token is not None and value == self.mask_token
            else table[value]
            if value in table
            else self._unknown(value)
            for value in values
        ]

    def _encoded(self, ids: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Indices in the form that `output_mode` asks for."""
        if self.output_mode == "int":
            return ids
        weights = self._weights()
        if weights is None:
            return encode_on_host(ids, self.output_mode, self._depth(), "int32")
        return np.asarray(encode_on_host(ids, "count", self._depth(), "float32") * weights)

    def _back(self, ids: Any) -> Any:
        names = self.get_vocabulary()
        flat = [names[i] if 0 <= i < len(names) else self.oov_token for i in np.ravel(ids).tolist()]
        return np.asarray(flat).reshape(np.shape(ids))

    def host_call(self, inputs: Any) -> Any:
        """Look up an array or list."""
        self._need_vocabulary()
        if self.invert:
            return self._back(inputs)
        values = self._values(inputs)
        return self._encoded(np.asarray(self._places(values.ravel().tolist()), "int32").reshape(values.shape))

    def host_spec(self, shapes: list[tuple[int | None, ...]]) -> tuple[tuple[int | None, ...], str]:
        """Shape and type of the result."""
        if self.invert and self.kind is str:
            raise UnsupportedError(
                f"StringLookup {self.name!r} with `invert` gives strings, which no model can put out",
                fix="apply it to what predict() returns",
            )
        if self.output_mode == "int":
            return shapes[0], "int32"
        self._need_depth()
        return encoded_shape(shapes[0], self.output_mode, self._depth()), floatx()

    # -- keeping ------------------------------------------------------------------------------------------------------
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
            # What was learned may be learned again.
            **({"has_input_vocabulary": False} if self._tokens and not self._given else {}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer from `get_config()`.

        Raises:
            UnsupportedError: the vocabulary is the name of a file, which a description must not make us read.
        """
        refuse_file(cls.__name__, config)
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of the values into a mapping, as Keras does."""
        if self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: Any) -> None:
        """Take the weights that `save_own_variables` stored."""
        if self.output_mode == "tf_idf" and "idf_weights" in store:
            self._idf = np.asarray(store["idf_weights"], np.float32)

    def save_assets(self, dir_path: Any) -> None:
        """Write the vocabulary as `vocabulary.txt` into a directory."""
        self._need_vocabulary()
        with open(os.path.join(dir_path, "vocabulary.txt"), "w", encoding="utf-8", newline="\n") as file:
            file.write("\n".join(map(str, self.get_vocabulary())))

    def load_assets(self, dir_path: Any) -> None:
        """Read the vocabulary that `save_assets`, of kgraph or Keras, wrote into a directory.

        Raises:
            FileMissingError: there is none.
        """
        path = os.path.join(dir_path, "vocabulary.txt")
        if not os.path.exists(path):
            raise FileMissingError(f"{self._title} {self.name!r}: there is no file {path}")
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = file.read().split("\n")
        while lines and not lines[-1]:
            lines.pop()
        self.set_vocabulary(lines if self.kind is str else [int(line) for line in lines], self._idf)


def refuse_file(layer: str, config: dict[str, Any]) -> None:
    """Refuse a description that names a file as `vocabulary`: whoever wrote it could have any file read."""
    if isinstance(config.get("vocabulary"), str):
        raise UnsupportedError(
            f"{layer}: a stored description names the vocabulary file {config['vocabulary']}, which is not read",
            fix="make the layer with vocabulary=... yourself",
        )
