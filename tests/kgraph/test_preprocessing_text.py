"""`kgraph.preprocessing.text` and `.sequence`: hand-worked cases, and Keras' own code where it is deterministic."""

import json
import random

import numpy as np
import pytest

from kgraph.errors import CallError, DataError, IndexRangeError, InvalidArgumentError, NotBuiltError
from kgraph.preprocessing import sequence, text

TEXTS = ["The cat sat on the mat.", "The dog; the log!", "", "A cat & a dog"]
SEEN = [*TEXTS, "the unknown bird on the log"]


def keras_module(name):
    pytest.importorskip("keras")
    return pytest.importorskip(f"keras.src.legacy.preprocessing.{name}")


def test_words_of_a_text():
    assert text.text_to_word_sequence("The cat's on the mat.") == ["the", "cat's", "on", "the", "mat"]
    assert text.text_to_word_sequence("A,b", lower=False, filters="") == ["A,b"]
    assert text.text_to_word_sequence("a-b c", split="-", filters="") == ["a", "b c"]


def test_word_index_falls_by_frequency_and_keeps_the_first_of_equals():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(["b a b", "c a b"])
    assert tokenizer.word_index == {"b": 1, "a": 2, "c": 3}
    assert dict(tokenizer.word_docs) == {"b": 2, "a": 2, "c": 1}
    assert tokenizer.document_count == 2
    assert tokenizer.texts_to_sequences(["c b x"]) == [[3, 1]]
    assert tokenizer.sequences_to_texts([[3, 1, 9]]) == ["c b"]


def test_num_words_keeps_numbers_below_it():
    tokenizer = text.Tokenizer(num_words=3)
    tokenizer.fit_on_texts(["b a b", "c a b"])
    assert len(tokenizer.word_index) == 3
    assert tokenizer.texts_to_sequences(["a b c"]) == [[2, 1]]
    assert tokenizer.texts_to_matrix(["a b c"]).tolist() == [[0, 1, 1]]


def test_oov_token_is_1():
    tokenizer = text.Tokenizer(num_words=3, oov_token="?")
    tokenizer.fit_on_texts(["b a b", "c a b"])
    assert tokenizer.word_index == {"?": 1, "b": 2, "a": 3, "c": 4}
    assert tokenizer.texts_to_sequences(["a b x"]) == [[1, 2, 1]]
    assert tokenizer.sequences_to_texts([[2, 3, 77]]) == ["b ? ?"]


def test_matrix_modes_by_hand():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(["b a b", "c a b"])
    rows = [[1, 1, 2]]
    assert tokenizer.sequences_to_matrix(rows, "binary").tolist() == [[0, 1, 1, 0]]
    assert tokenizer.sequences_to_matrix(rows, "count").tolist() == [[0, 2, 1, 0]]
    np.testing.assert_allclose(tokenizer.sequences_to_matrix(rows, "freq"), [[0, 2 / 3, 1 / 3, 0]])
    inverse = np.log(1 + 2 / 3)
    np.testing.assert_allclose(
        tokenizer.sequences_to_matrix(rows, "tfidf"), [[0, (1 + np.log(2)) * inverse, inverse, 0]]
    )


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_words": 4},
        {"num_words": 4, "oov_token": "<oov>"},
        {"char_level": True, "oov_token": "UNK"},
        {"lower": False, "filters": "."},
        {"analyzer": lambda one: one.upper().split()},
        {"split": "a"},
    ],
    ids=lambda options: "-".join(options) or "defaults",
)
def test_tokenizer_is_that_of_keras(options):
    ours, theirs = text.Tokenizer(**options), keras_module("text").Tokenizer(**options)
    for one in (ours, theirs):
        one.fit_on_texts(TEXTS)
        one.fit_on_texts([["Word", "list", "the"], "more cats"])
    for name in ("word_counts", "word_docs", "word_index", "index_word", "index_docs", "document_count"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert list(ours.word_counts) == list(theirs.word_counts)
    rows = ours.texts_to_sequences(SEEN)
    assert rows == theirs.texts_to_sequences(SEEN)
    assert ours.sequences_to_texts([*rows, [0, 99]]) == theirs.sequences_to_texts([*rows, [0, 99]])
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_allclose(ours.texts_to_matrix(SEEN, mode), theirs.texts_to_matrix(SEEN, mode), rtol=1e-12)


@pytest.mark.parity
def test_json_goes_both_ways():
    ours = text.Tokenizer(num_words=5, oov_token="?")
    ours.fit_on_texts(TEXTS)
    again = text.tokenizer_from_json(ours.to_json())
    theirs = keras_module("text").tokenizer_from_json(ours.to_json(indent=1))
    for one in (again, theirs):
        assert one.word_index == ours.word_index and one.index_docs == dict(ours.index_docs)
        assert one.texts_to_sequences(SEEN) == ours.texts_to_sequences(SEEN)
    again.fit_on_texts(["new words"])
    assert "new" in again.word_index
    assert json.loads(ours.to_json())["class_name"] == "Tokenizer"


def test_fit_on_sequences_counts_documents():
    tokenizer = text.Tokenizer(num_words=4)
    tokenizer.fit_on_sequences([[1, 1, 2], [1]])
    assert dict(tokenizer.index_docs) == {1: 2, 2: 1}
    weight = tokenizer.sequences_to_matrix([[1]], "tfidf")
    np.testing.assert_allclose(weight, [[0, np.log(1 + 2 / 3), 0, 0]])


@pytest.mark.parity
def test_hashing_is_that_of_keras():
    theirs = keras_module("text")
    for n in (2, 10, 1000):
        assert text.hashing_trick(TEXTS[0], n, "md5") == theirs.hashing_trick(TEXTS[0], n, "md5")
        assert text.hashing_trick(TEXTS[0], n, len) == theirs.hashing_trick(TEXTS[0], n, len)
    assert text.one_hot(TEXTS[0], 50) == theirs.one_hot(TEXTS[0], 50)
    assert all(1 <= number < 50 for number in text.one_hot(TEXTS[0], 50))


def test_text_mistakes():
    tokenizer = text.Tokenizer()
    with pytest.raises(DataError, match="list of texts"):
        tokenizer.fit_on_texts("one text")
    with pytest.raises(NotBuiltError, match="knows no words"):
        tokenizer.texts_to_matrix(["a"])
    with pytest.raises(CallError, match="no argument 'words'"):
        text.Tokenizer(words=3)
    tokenizer.fit_on_texts(["a"])
    with pytest.raises(ValueError, match="mode 'tf'"):
        tokenizer.texts_to_matrix(["a"], "tf")
    with pytest.raises(InvalidArgumentError, match="n=1"):
        text.hashing_trick("a", 1)
    with pytest.raises(DataError, match="takes texts"):
        tokenizer.texts_to_sequences([3])
    with pytest.raises(InvalidArgumentError, match="no description"):
        text.tokenizer_from_json("{}")


# -- sequences ------------------------------------------------------------------------------------------------------
@pytest.mark.parity
def test_sampling_table_is_that_of_keras():
    theirs = keras_module("sequence")
    np.testing.assert_allclose(sequence.make_sampling_table(100), theirs.make_sampling_table(100), rtol=1e-14)
    np.testing.assert_allclose(
        sequence.make_sampling_table(5, 1e-2), theirs.make_sampling_table(5, sampling_factor=1e-2), rtol=1e-14
    )


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3},
        {"negative_samples": 0, "shuffle": False, "window_size": 1},
        {"categorical": True, "negative_samples": 2.5, "seed": 1},
        {"sampling_table": np.linspace(0, 1, 10), "seed": 5},
    ],
    ids=lambda options: "-".join(options),
)
def test_skipgrams_are_those_of_keras(options):
    words = [1, 2, 0, 3, 4, 5, 1]
    found = []
    for module in (sequence, keras_module("sequence")):
        random.seed(7)
        found.append(module.skipgrams(words, 10, **options))
    assert found[0] == found[1]


def test_skipgrams_by_hand():
    pairs, labels = sequence.skipgrams([1, 0, 2, 3], 4, window_size=1, negative_samples=0, shuffle=False)
    assert pairs == [[2, 3], [3, 2]] and labels == [1, 1]
    assert sequence.skipgrams([], 4) == ([], [])


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sampling_rate": 2, "batch_size": 2},
        {"stride": 3, "batch_size": 2, "reverse": True},
        {"start_index": 4, "end_index": 20, "batch_size": 5},
    ],
    ids=str,
)
def test_windows_are_those_of_keras(options):
    data = np.arange(60.0).reshape(30, 2)
    ours = sequence.TimeseriesGenerator(data, data[:, 0] * 10, 6, **options)
    theirs = keras_module("sequence").TimeseriesGenerator(data, data[:, 0] * 10, 6, **options)
    assert len(ours) == len(theirs)
    for index in range(len(ours)):
        for one, other in zip(ours[index], theirs[index]):
            np.testing.assert_array_equal(one, other)
    again = sequence.timeseries_generator_from_json(ours.to_json())
    np.testing.assert_array_equal(again[0][0], ours[0][0])


def test_windows_train_a_model():
    import kgraph

    series = np.sin(np.arange(100) / 5).astype("float32").reshape(-1, 1)
    windows = sequence.TimeseriesGenerator(series, series[:, 0], 8, batch_size=16)
    model = kgraph.Sequential([kgraph.Input((8, 1)), kgraph.layers.Flatten(), kgraph.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(windows, epochs=1, verbose=0)
    assert model.predict(windows, verbose=0).shape == (92, 1)


def test_window_mistakes():
    with pytest.raises(InvalidArgumentError, match="no window of 5 steps"):
        sequence.TimeseriesGenerator([1, 2, 3], [1, 2, 3], 5)
    with pytest.raises(DataError, match="3 and 2"):
        sequence.TimeseriesGenerator([1, 2, 3], [1, 2], 1)
    with pytest.raises(InvalidArgumentError, match="stride=0"):
        sequence.TimeseriesGenerator([1, 2, 3], [1, 2, 3], 1, stride=0)
    with pytest.raises(IndexRangeError):
        sequence.TimeseriesGenerator([1, 2, 3], [1, 2, 3], 1)[9]
