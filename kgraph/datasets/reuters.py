"""Reuters: 11,228 messages as numbers of words, in 46 topics."""

from __future__ import annotations

import numpy as np

from kgraph.datasets.reading import (
    Array,
    as_rows,
    check_split,
    fetched,
    limited_words,
    load_npz,
    order_of,
    shifted,
    short_ones,
    word_table,
)

__all__ = ["get_label_names", "get_word_index", "load_data"]

_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves ship "
    "cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin "
    "strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem dlr "
    "gas silver wpi hog lead"
)


def load_data(
    path: str = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """(x_train, y_train), (x_test, y_test): object[n] of lists of numbers, and i64[n].

    Args:
        path: name of the file in the cache.
        num_words: keep the most frequent words: numbers below this.
        skip_top: leave out the most frequent ones: numbers below this.
        maxlen: keep texts below so many words.
        test_split: share of the texts for testing.
        seed: of the order of the texts.
        start_char: number before each text; None: none.
        oov_char: stands for words that are left out; None: nothing does.
        index_from: added to the numbers of all words.

    Raises:
        InvalidArgumentError: `test_split` is no share.
        FileError: the file cannot be fetched or read; says where to put it.
    """
    check_split(test_split)
    digest = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
    x, y = load_npz(fetched(path, "reuters.npz", digest), ("x", "y"))
    order = order_of(len(x), np.random.RandomState(seed))
    texts, labels = shifted(x[order], start_char, index_from), y[order]
    if maxlen:
        texts, labels = short_ones(maxlen, texts, labels)
    words = limited_words(texts, num_words, skip_top, oov_char)
    middle = int(len(words) * (1 - test_split))
    return (as_rows(words[:middle]), labels[:middle]), (as_rows(words[middle:]), labels[middle:])


def get_word_index(path: str = "reuters_word_index.json") -> dict[str, int]:
    """Word -> number, before `index_from` is added."""
    return word_table(path, "reuters_word_index.json", "4d44cc38712099c9e383dc6e5f11a921")


def get_label_names() -> tuple[str, ...]:
    """The names of the 46 topics, in the order of their numbers."""
    return tuple(_TOPICS.split())
