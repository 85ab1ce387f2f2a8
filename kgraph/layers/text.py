"""`TextVectorization`: texts to the numbers of their words, in Python, on arrays or behind an `Input` of strings."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kgraph.core.session import floatx
from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.layers.host import HostLayer, Spec, adapt_batches, object_array, text_array
from kgraph.layers.lookup import StringLookup, check_encoding
from kgraph.layers.vocabulary import refuse_file

__all__ = ["TextVectorization"]

STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
SPLIT = ("whitespace", "character")
# As TensorFlow, which Keras uses: letters, punctuation and white space of ASCII alone.
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_STRIP = str.maketrans("", "", string.punctuation)
_WORDS = re.compile(r"[^ \t\n\v\f\r]+")


class _Words(StringLookup):
    part_of = "TextVectorization"


class TextVectorization(HostLayer):
    """Texts of shape (n,) or (n, 1) as rows of word numbers, or as a vector a text.

    With output_mode "int" a result has the length of the longest text given in one call (padded with 0), or
    `output_sequence_length`.  Number 0 is the padding, 1 stands for unknown words; the other modes have no padding.

    Args:
        max_tokens: largest size of the vocabulary, with the special places.
        standardize: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function from an array of
            strings to one.
        split: "whitespace", "character", None (each text is one word), or a function from an array of strings to a list
            of lists of words.
        ngrams: a number n for runs of 1 to n words, or a tuple of the lengths of runs.
        output_mode: "int", "one_hot", "multi_hot", "count" or "tf_idf".
        output_sequence_length: words a text, with output_mode "int"; longer texts are cut.
        pad_to_max_tokens: vectors of size `max_tokens`.
        vocabulary: list of words, or name of a file with one per line; or learn it with `adapt`.
        idf_weights: weight of each word, for output_mode "tf_idf".
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[..., Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[..., Any] | None = "whitespace",
        ngrams: int | Sequence[int] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        given = bool(kwargs.pop("has_input_vocabulary", vocabulary is not None))
        kwargs.pop("dtype", None)
        size = kwargs.pop("vocabulary_size", None)
        super().__init__(**kwargs)
        if ragged:
            raise UnsupportedError("TextVectorization: argument `ragged` is not supported", fix="leave it out")
        check_encoding("TextVectorization", encoding)
        self.standardize = self._choice("standardize", standardize, STANDARDIZE)
        self.split = self._choice("split", split, SPLIT)
        self.ngrams, self._widths = ngrams, self._checked_ngrams(ngrams)
        self._lookup_layer = _Words(
            max_tokens=max_tokens,
            mask_token="",
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            output_mode=output_mode,
            pad_to_max_tokens=pad_to_max_tokens,
            sparse=sparse,
            has_input_vocabulary=given,
            vocabulary_size=size,
            name=self.name,
        )
        self.output_mode = self._lookup_layer.output_mode
        length = output_sequence_length
        if length is not None and (
            self.output_mode != "int" or isinstance(length, bool) or not isinstance(length, int)
        ):
            raise InvalidArgumentError(
                f"TextVectorization: output_sequence_length={length!r} with output_mode={self.output_mode!r}",
                where=self.name,
                needed="a whole number with output_mode 'int', else None",
            )
        self.output_sequence_length = length

    def _choice(self, argument: str, value: Any, allowed: tuple[str, ...]) -> Any:
        if value is None or callable(value) or value in allowed:
            return value
        raise InvalidArgumentError(
            f"TextVectorization: argument `{argument}` is {value!r}",
            where=self.name,
            needed=", ".join(allowed) + ", None or a function",
        )

    def _checked_ngrams(self, ngrams: Any) -> tuple[int, ...] | None:
        if ngrams is None:
            return None
        widths = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else ngrams
        if not isinstance(widths, (tuple, list)) or not widths or any(type(n) is not int or n < 1 for n in widths):
            raise InvalidArgumentError(
                f"TextVectorization: argument `ngrams` is {ngrams!r}",
                where=self.name,
                needed="None, a number of words, or a tuple of such",
            )
        return tuple(widths)

    # -- texts to words -----------------------------------------------------------------------------------------------
    @property
    def _splits(self) -> bool:
        """Whether a text can become several words."""
        return self.split is not None or self._widths is not None

    def _standardized(self, texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        if callable(self.standardize):
            return text_array(self, self.standardize(texts.astype(str)))
        table: dict[int, int | None] = {}
        name = self.standardize or ""
        if name.endswith("strip_punctuation"):
            table.update(_STRIP)
        if name.startswith("lower"):
            table.update(_LOWER)
        if not table:
            return texts
        return object_array([text.translate(table) for text in texts.ravel()], texts.shape)

    def _words(self, inputs: Any) -> list[list[str]]:
        """The words of each text, before the vocabulary is asked."""
        texts = text_array(self, inputs)
        if self.split is not None and texts.ndim > 1:
            if texts.ndim > 2 or texts.shape[-1] != 1:
                raise ShapeError(
                    f"TextVectorization {self.name!r} takes one text a row",
                    got=f"shape {texts.shape}",
                    needed="(n,) or (n, 1)",
                    fix="join the texts of a row, or pass split=None to take each as one word",
                )
            texts = texts[:, 0]
        texts = self._standardized(np.atleast_1d(texts))
        if callable(self.split):
            rows = [[str(word) for word in row] for row in self.split(texts.astype(str))]
        elif self.split is None:
            rows = texts.reshape(len(texts), -1).tolist()
        else:
            parts: Callable[[str], list[str]] = _WORDS.findall if self.split == "whitespace" else list
            rows = [parts(text) for text in texts]
        if self._widths is None:
            return rows
        return [
            [" ".join(row[at : at + width]) for width in self._widths for at in range(len(row) - width + 1)]
            for row in rows
        ]

    # -- vocabulary ---------------------------------------------------------------------------------------------------
    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: words by falling count, then by falling text.

        Args:
            data: an array or list of texts, or an iterable of batches of them.
            batch_size: accepted as in Keras.
            steps: number of batches to read.

        Raises:
            InvalidArgumentError: the vocabulary was given to the layer, or there are no words.
        """
        documents = [row for batch in adapt_batches(data, steps) for row in self._words(batch)]
        self._lookup_layer._learn(documents)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The words by number."""
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a list of words, or the name of a file with one per line; errors as `StringLookup.set_vocabulary`."""
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def vocabulary_size(self) -> int:
        """How many numbers there are."""
        return self._lookup_layer.vocabulary_size()

    @property
    def idf_weights(self) -> Any:
        """f32[vocabulary_size]: the weight of each word, with output_mode "tf_idf"."""
        return self._lookup_layer.idf_weights

    # -- calling ------------------------------------------------------------------------------------------------------
    def host_call(self, inputs: Any) -> Any:
        """Vectorise texts."""
        lookup = self._lookup_layer
        lookup._need_vocabulary()
        rank = np.ndim(inputs)
        rows = [lookup._places(row) for row in self._words(inputs)]
        # Texts that are words keep their shape; so does a single text, which has no batch.
        single = rank == 0 or (rank == 1 and not self._splits)
        if single:
            rows = [[place for row in rows for place in row]]
        length = max(map(len, rows), default=0)
        ids = np.full((len(rows), length), 0 if self.output_mode == "int" else -1, "int32")
        for row, places in zip(ids, rows):
            row[: len(places)] = places
        ids = ids[0] if single else ids
        if self.output_mode == "one_hot" and not single and self._splits:
            ids = ids[..., None]  # a text of one word keeps the axis of words
        if self.output_mode != "int":
            return lookup._encoded(ids)
        if self.output_sequence_length is not None:
            ids = ids[..., : self.output_sequence_length]
            spare = self.output_sequence_length - ids.shape[-1]
            ids = np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, spare)])
        return ids

    def host_spec(self, shapes: list[tuple[int | None, ...]]) -> Spec:
        """Shape and type of the result."""
        batch = shapes[0][:1]
        if self.output_mode == "int":
            words = (None,) if self._splits else shapes[0][1:]
            return (
                *batch,
                *(words if self.output_sequence_length is None else (self.output_sequence_length,)),
            ), "int32"
        lookup = self._lookup_layer
        lookup._need_depth()
        if not self._splits:
            return lookup.host_spec(shapes)
        middle: tuple[int | None, ...] = (None,) if self.output_mode == "one_hot" else ()
        return (*batch, *middle, lookup._depth()), floatx()

    # -- keeping ------------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal layer, with its vocabulary."""
        lookup = self._lookup_layer.get_config()
        names = ("max_tokens", "pad_to_max_tokens", "vocabulary", "idf_weights", "has_input_vocabulary")
        return {
            **super().get_config(),
            "standardize": _described(self.standardize),
            "split": _described(self.split),
            "ngrams": list(self.ngrams) if isinstance(self.ngrams, tuple) else self.ngrams,
            "output_mode": self.output_mode,
            "output_sequence_length": self.output_sequence_length,
            "sparse": False,
            "ragged": False,
            "encoding": "utf-8",
            **{name: lookup[name] for name in names if name in lookup},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TextVectorization:
        """A new layer from `get_config()`.

        Raises:
            UnsupportedError: the vocabulary is the name of a file, which a description must not make us read.
        """
        from kgraph.saving.objects import deserialize_keras_object

        refuse_file(cls.__name__, config)
        config = dict(config)
        for name in ("standardize", "split"):
            if isinstance(config.get(name), dict):
                config[name] = deserialize_keras_object(config[name])
        if isinstance(config.get("ngrams"), list):
            config["ngrams"] = tuple(config["ngrams"])
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """Put the weights of the words into a mapping, as Keras does."""
        self._lookup_layer.save_own_variables(store)

    def load_own_variables(self, store: Any) -> None:
        """Take the weights that `save_own_variables` stored."""
        self._lookup_layer.load_own_variables(store)

    def save_assets(self, dir_path: Any) -> None:
        """Write the vocabulary as `vocabulary.txt` into a directory."""
        self._lookup_layer.save_assets(dir_path)

    def load_assets(self, dir_path: Any) -> None:
        """Read the vocabulary that `save_assets`, of kgraph or Keras, wrote into a directory."""
        self._lookup_layer.load_assets(dir_path)


def _described(setting: Any) -> Any:
    """A setting for `get_config`: functions by their description."""
    if not callable(setting):
        return setting
    from kgraph.saving.objects import serialize_keras_object

    return serialize_keras_object(setting)
