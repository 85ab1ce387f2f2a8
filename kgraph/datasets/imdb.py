"""IMDB: 25,000 and 25,000 film reviews as numbers of words, good (1) or bad (0)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.datasets.reading import (
    Array,
    as_rows,
    fetched,
    limited_words,
    load_npz,
    order_of,
    shifted,
    short_ones,
    word_table,
)
from kgraph.errors import CallError, DataError

__all__ = ["get_word_index", "load_data"]


def load_data(
    path: str = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
    **kwargs: Any,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): object[n] of lists of numbers, and i64[n].

    Args:
        path: name of the file in the cache.
        num_words: keep the most frequent words: numbers below this.
        skip_top: leave out the most frequent ones: numbers below this.
        maxlen: keep texts below so many words.
        seed: of the order of the texts.
        start_char: number before each text; None: none.
        oov_char: stands for words that are left out; None: nothing does.
        index_from: added to the numbers of all words.
        kwargs: `nb_words` of Keras 1.

    Raises:
        DataError: no text is below `maxlen` words.
        FileError: the file cannot be fetched or read; says where to put it.
    """
    num_words = kwargs.pop("nb_words", num_words)
    if kwargs:
        raise CallError(f"imdb.load_data has no argument {next(iter(kwargs))!r}")
    digest = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
    arrays = load_npz(fetched(path, "imdb.npz", digest), ("x_train", "y_train", "x_test", "y_test"))
    random = np.random.RandomState(seed)
    parts = []
    for x, y in (arrays[:2], arrays[2:]):
        order = order_of(len(x), random)
        texts, labels = shifted(x[order], start_char, index_from), y[order]
        if maxlen:
            texts, labels = short_ones(maxlen, texts, labels)
            if not texts:
                raise DataError(f"imdb.load_data: no text is below maxlen={maxlen} words", fix="pass a larger maxlen")
        parts.append((texts, labels))
    words = limited_words(parts[0][0] + parts[1][0], num_words, skip_top, oov_char)
    middle = len(parts[0][0])
    return (as_rows(words[:middle]), parts[0][1]), (as_rows(words[middle:]), parts[1][1])


def get_word_index(path: str = "imdb_word_index.json") -> dict[str, int]:
    """Word -> number, before `index_from` is added."""
    return word_table(path, "imdb_word_index.json", "bfafd718b763782e994055a2d397834f")
