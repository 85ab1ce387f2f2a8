"""`keras.preprocessing.text` of Keras 2: words to whole numbers, and to rows of counts."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kgraph.errors import CallError, DataError, InvalidArgumentError, NotBuiltError

__all__ = ["Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json"]

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_MODES = ("binary", "count", "freq", "tfidf")
_Analyzer = Callable[[str], Iterable[str]]


def text_to_word_sequence(input_text: str, filters: str = FILTERS, lower: bool = True, split: str = " ") -> list[str]:
    """The words of a text.

    Args:
        input_text: the text (`text=` of Keras 2 is its first argument).
        filters: characters that count as `split`; the apostrophe is none of them.
        lower: in lower case.
        split: what stands between words.

    Example:
        >>> text_to_word_sequence("The cat's on the mat.")
        ['the', "cat's", 'on', 'the', 'mat']
    """
    if not isinstance(input_text, str):
        raise DataError("text_to_word_sequence takes a text", got=type(input_text).__name__)
    text = input_text.lower() if lower else input_text
    return [word for word in text.translate({ord(sign): split for sign in filters}).split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: _Analyzer | None = None,
) -> list[int]:
    """Each word as its `hash` in 1 to n - 1; several words may share a number.

    `hash` of a text differs from process to process unless PYTHONHASHSEED is set: use `hashing_trick(..., "md5")` for
    numbers that stay.
    """
    return hashing_trick(input_text, n, hash, filters, lower, split, analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[str], int] | Literal["md5"] | None = None,
    filters: str = FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: _Analyzer | None = None,
) -> list[int]:
    """Each word as `hash_function(word) % (n - 1) + 1`: in 1 to n - 1, where 0 stays free.

    Args:
        text: the text.
        n: how many numbers there are, with 0.
        hash_function: `hash` (the default), `"md5"` (the same in every process), or a function of a word.
        filters: characters that count as `split`.
        lower: in lower case.
        split: what stands between words.
        analyzer: gives the words of a text instead.

    Raises:
        InvalidArgumentError: `n` is below 2, or the hash function has an unknown name.

    Example:
        >>> hashing_trick("the cat the", 10, "md5")
        [6, 3, 6]
    """
    if not isinstance(n, (int, np.integer)) or n < 2:
        raise InvalidArgumentError(f"hashing_trick: n={n!r}", needed="a whole number, 2 or more: 0 stays free")
    number: Callable[[str], int]
    if hash_function == "md5":
        number = _md5
    elif hash_function is None:
        number = hash
    elif callable(hash_function):
        number = hash_function
    else:
        raise InvalidArgumentError(f"unknown hash function {hash_function!r}", needed="'md5', None or a function")
    words = text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    return [int(number(word) % (n - 1) + 1) for word in words]


def _md5(word: str) -> int:
    return int(hashlib.md5(word.encode(), usedforsecurity=False).hexdigest(), 16)


class Tokenizer:
    """Numbers words by how often they occur.

    The most frequent word is 1 (2 where there is an `oov_token`), of equal ones that seen first; 0 is no word.

    Args:
        num_words: keep words with a number below this, that is num_words - 1 words; None: all.
        filters: characters that count as `split`.
        lower: in lower case.
        split: what stands between words.
        char_level: every character is a word.
        oov_token: stands for words that are not known, or not kept; takes the number 1.
        analyzer: gives the words of a text instead.
        kwargs: `nb_words` of Keras 1, `document_count`.

    Attributes:
        word_counts: word -> how often it occurred, in the order of the first time.
        word_docs: word -> number of texts that have it.
        word_index: word -> number.
        index_word: number -> word.
        index_docs: number -> number of texts (or sequences) that have it.
        document_count: texts (or sequences) seen.

    Raises:
        CallError: an unknown argument.

    Example:
        >>> t = Tokenizer()
        >>> t.fit_on_texts(["the cat", "the dog"])
        >>> t.texts_to_sequences(["the bird and the dog"])
        [[1, 1, 3]]
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: _Analyzer | None = None,
        **kwargs: Any,
    ) -> None:
        num_words = kwargs.pop("nb_words", num_words)
        self.document_count = int(kwargs.pop("document_count", 0))
        if kwargs:
            raise CallError(f"Tokenizer has no argument {next(iter(kwargs))!r}")
        if num_words is not None and (isinstance(num_words, bool) or not isinstance(num_words, (int, np.integer))):
            raise InvalidArgumentError(f"Tokenizer: num_words={num_words!r}", needed="a whole number, or None")
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.word_counts: dict[str, int] = OrderedDict()
        self.word_docs: dict[str, int] = defaultdict(int)
        self.index_docs: dict[int, int] = defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: str | Sequence[str]) -> list[str]:
        """The words of one text; a list is taken as its words."""
        if isinstance(text, (list, tuple)):
            return [word.lower() for word in text] if self.lower else list(text)
        if not isinstance(text, str):
            raise DataError("Tokenizer takes texts", got=type(text).__name__, needed="a str, or a list of words")
        if self.char_level:
            return list(text.lower() if self.lower else text)
        if self.analyzer is not None:
            return list(self.analyzer(text))
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    # -- learning -----------------------------------------------------------------------------------------------------
    def fit_on_texts(self, texts: Iterable[str | Sequence[str]]) -> None:
        """Count words, and number them anew.

        Args:
            texts: a list (or generator) of texts, or of lists of words.

        Raises:
            DataError: an entry is neither; one text instead of a list of texts.
        """
        _check_many(texts)
        for text in texts:
            self.document_count += 1
            words = self._words(text)
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in dict.fromkeys(words):
                self.word_docs[word] = self.word_docs.get(word, 0) + 1
        by_count = sorted(self.word_counts, key=self.word_counts.__getitem__, reverse=True)
        first = [] if self.oov_token is None else [self.oov_token]
        self.word_index = dict(zip([*first, *by_count], range(1, len(first) + len(by_count) + 1)))
        self.index_word = {number: word for word, number in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Sequence[Sequence[int]]) -> None:
        """Count in how many sequences each number occurs, for `sequences_to_matrix(mode="tfidf")`."""
        self.document_count += len(sequences)
        for sequence in sequences:
            for number in set(sequence):
                self.index_docs[number] = self.index_docs.get(number, 0) + 1

    # -- numbers and texts --------------------------------------------------------------------------------------------
    def texts_to_sequences(self, texts: Iterable[str | Sequence[str]]) -> list[list[int]]:
        """A list of numbers for each text; words that are not kept become the `oov_token`, or are left out."""
        _check_many(texts)
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[str | Sequence[str]]) -> Iterator[list[int]]:
        """As `texts_to_sequences`, one text at a time."""
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for text in texts:
            numbers = [self._kept(self.word_index.get(word), unknown) for word in self._words(text)]
            yield [number for number in numbers if number is not None]

    def _kept(self, number: int | None, unknown: int | None) -> int | None:
        if number is None or (self.num_words and number >= self.num_words):
            return unknown
        return number

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """The words of each sequence with blanks between them; numbers without a word are left out."""
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Sequence[int]]) -> Iterator[str]:
        """As `sequences_to_texts`, one sequence at a time."""
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for sequence in sequences:
            numbers = [self._kept(number if number in self.index_word else None, unknown) for number in sequence]
            yield " ".join(self.index_word[number] for number in numbers if number is not None)

    # -- matrices -----------------------------------------------------------------------------------------------------
    def texts_to_matrix(self, texts: Iterable[str | Sequence[str]], mode: str = "binary") -> npt.NDArray[np.float64]:
        """`sequences_to_matrix` of `texts_to_sequences`."""
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(self, sequences: Sequence[Sequence[int]], mode: str = "binary") -> npt.NDArray[np.float64]:
        """A row for each sequence, a column for each number.

        Args:
            sequences: lists of numbers; those from num_words on are left out.
            mode: `"binary"` (occurs), `"count"`, `"freq"` (count / length), or `"tfidf"`: (1 + log count) * log(1 +
                documents / (1 + documents with the word)).

        Returns:
            f64[number of sequences, num_words], or as many columns as there are words, and one.

        Raises:
            NotBuiltError: neither `num_words` nor any text is known, or no document for `"tfidf"`.
            InvalidArgumentError: an unknown mode.
        """
        if mode not in _MODES:
            raise InvalidArgumentError(f"unknown vectorization mode {mode!r}", needed="one of " + ", ".join(_MODES))
        if not self.num_words and not self.word_index:
            raise NotBuiltError("the Tokenizer knows no words", fix="call fit_on_texts first, or pass num_words")
        if mode == "tfidf" and not self.document_count:
            raise NotBuiltError("the Tokenizer has seen no documents", fix="fit it on some texts before mode='tfidf'")
        width = self.num_words or len(self.word_index) + 1
        matrix = np.zeros((len(sequences), width))
        for row, sequence in zip(matrix, sequences):
            numbers, counts = np.unique([number for number in sequence if number < width], return_counts=True)
            if len(numbers):
                row[numbers.astype(int)] = self._weights(mode, numbers, counts, len(sequence))
        return matrix

    def _weights(self, mode: str, numbers: Any, counts: Any, length: int) -> Any:
        if mode == "binary":
            return 1.0
        if mode == "count":
            return counts
        if mode == "freq":
            return counts / length
        documents = np.array([self.index_docs.get(int(number), 0) for number in numbers])
        return (1 + np.log(counts)) * np.log(1 + self.document_count / (1 + documents))

    # -- files --------------------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The settings, and what was learnt as JSON texts."""
        config = {
            "num_words": self.num_words,
            "filters": self.filters,
            "lower": self.lower,
            "split": self.split,
            "char_level": self.char_level,
            "oov_token": self.oov_token,
            "document_count": self.document_count,
        }
        return config | {name: json.dumps(getattr(self, name)) for name in _LEARNT}

    def to_json(self, **kwargs: Any) -> str:
        """The whole tokenizer as JSON; `kwargs` go to `json.dumps`.  An `analyzer` is left out."""
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


_LEARNT = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")


def _check_many(texts: Any) -> None:
    if isinstance(texts, str):
        raise DataError("Tokenizer takes a list of texts", got="one text", fix="write [text]")


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `Tokenizer.to_json` described.

    Raises:
        InvalidArgumentError: the text is no such description.
    """
    try:
        config = dict(json.loads(json_string)["config"])
        learnt = {name: json.loads(config.pop(name)) for name in _LEARNT}
    except (TypeError, ValueError, KeyError):
        raise InvalidArgumentError(
            "no description of a Tokenizer", got=repr(json_string)[:80], needed="the text that Tokenizer.to_json gave"
        ) from None
    tokenizer = Tokenizer(**config)
    for name, table in learnt.items():
        by_number = name.startswith("index")  # JSON has texts for keys only
        setattr(tokenizer, name, {int(key): value for key, value in table.items()} if by_number else table)
    return tokenizer
