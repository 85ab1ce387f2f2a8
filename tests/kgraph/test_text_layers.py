"""Lookups, hashes and texts.  The numbers were computed by Keras 3.15.1 with TensorFlow 2.20, which these layers of
Keras need and the tests do without.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.errors import KGraphError, UnsupportedError
from kgraph.layers.hashes import bucket

L = kgraph.layers
LENGTHS = (0, 1, 3, 4, 7, 8, 12, 16, 17, 31, 32, 33, 50, 64, 65, 66, 100, 127, 128, 129, 200, 1000)
FARM = """377723 598337 16948 76307 177313 685690 183205 762252 200771 601048 750362 302064 717757 518772 595507 7548
107918 606344 308422 291940 603131 923399"""
SIP = """816520 622480 671166 364032 447391 438300 863238 403202 908389 926397 220419 104099 156933 167425 240535 530340
157873 118358 728858 697729 781190 814272"""


@pytest.mark.parametrize(("salt", "expected"), [(None, FARM), ([3, 3], None), ([3, 2**40 + 1], SIP)])
def test_hashes_of_every_length(salt: Any, expected: str | None) -> None:
    found = [bucket(b"x" * length, 1000003, salt) for length in LENGTHS]
    if expected is None:
        assert found == np.asarray(L.Hashing(1000003, salt=3)(["x" * length for length in LENGTHS])).tolist()
    else:
        assert found == [int(number) for number in expected.split()]


@pytest.mark.parametrize(
    ("make", "inputs", "expected"),
    [
        (lambda: L.Hashing(10), [[1, 2], [3, -44]], [[9, 9], [1, 3]]),
        (lambda: L.Hashing(10), np.array([1.5, 2.0]), [9, 9]),
        (lambda: L.Hashing(4, mask_value=""), ["", "a", "b"], [0, 1, 2]),
        (lambda: L.Hashing(4, output_mode="one_hot"), [["a"], ["b"]], [[0, 0, 0, 1], [0, 0, 1, 0]]),
        (lambda: L.Hashing(4, output_mode="multi_hot"), [["a", "b"], ["b", "b"]], [[0, 0, 1, 1], [0, 0, 1, 0]]),
        (lambda: L.Hashing(4, output_mode="count"), [["b", "b"]], [[0, 0, 2, 0]]),
        (lambda: L.Hashing(1000), ["é", "日本語"], [25, 783]),
        (lambda: L.Hashing(1000), [b"\xc3\xa9"], [25]),
        (lambda: L.HashedCrossing(5), (list("ABABA"), [101, 101, 101, 102, 102]), [1, 4, 1, 1, 3]),
        (lambda: L.HashedCrossing(5, output_mode="one_hot"), ([["A"], ["B"]], [[101], [-3]]), np.eye(5)[[1, 3]]),
        (lambda: L.HashedCrossing(1000), (["A", "B"], [101, 5], ["", "zz"]), [303, 497]),
        (lambda: L.HashedCrossing(1000), ("A", 101), 891),
        (
            lambda: L.StringLookup(vocabulary=["a", "b"], num_oov_indices=3),
            ["x", "y", "zz", "hello world"],
            [2, 2, 1, 0],
        ),
        (lambda: L.StringLookup(vocabulary=["a"], num_oov_indices=3, salt=7), ["x", "y", "zz"], [0, 2, 2]),
        (lambda: L.IntegerLookup(vocabulary=[5, 7], num_oov_indices=4), [-1, -7, 2, 3, 100], [3, 1, 2, 3, 0]),
        (
            lambda: L.IntegerLookup(vocabulary=[5, 7], num_oov_indices=4, oov_method="farmhash"),
            [0, 1, 2, 3, 100],
            [3, 1, 3, 1, 3],
        ),
        (
            lambda: L.IntegerLookup(vocabulary=[5, 7], num_oov_indices=4, oov_method="farmhash", salt=[1, 2]),
            [0, 1, 2, 3, 100],
            [3, 2, 1, 1, 3],
        ),
        (
            lambda: L.StringLookup(vocabulary=["a", "b"], mask_token="", output_mode="count"),
            [["a", "q", ""]],
            [[1, 1, 0]],
        ),
        (
            lambda: L.StringLookup(vocabulary=["a", "b"], mask_token="", output_mode="one_hot"),
            [["a", "q", ""]],
            [[[0, 1, 0], [1, 0, 0], [0, 0, 0]]],
        ),
        (
            lambda: L.StringLookup(
                max_tokens=5,
                pad_to_max_tokens=True,
                vocabulary=["a", "b"],
                idf_weights=[0.5, 0.25],
                output_mode="tf_idf",
            ),
            [["a", "q", "a"]],
            [[0.375, 1, 0, 0, 0]],
        ),
        (lambda: L.IntegerLookup(vocabulary=[5, 7], output_mode="one_hot"), [[5], [1]], [[0, 1, 0], [1, 0, 0]]),
        (
            lambda: L.IntegerLookup(vocabulary=[5, 7], output_mode="count"),
            np.array([[[5, 7], [5, 5]], [[1, 1], [7, 7]]]),
            [[[0, 2, 0], [0, 1, 1]], [[1, 0, 1], [1, 0, 1]]],
        ),
    ],
)
def test_values(make: Any, inputs: Any, expected: Any) -> None:
    layer = make()
    np.testing.assert_array_equal(layer(inputs), expected)
    again = L.deserialize(L.serialize(layer))
    np.testing.assert_array_equal(again(inputs), expected)
    assert again.get_config() == layer.get_config()


TEXTS = ["Foo, bar! baz", "  bar\tBAZ--é ", "don't stop_it"]
WORDS = ["foo baz zzz", "", "bar's don't É"]


@pytest.mark.parametrize(
    ("kwargs", "vocabulary", "expected"),
    [
        ({}, "bar stopit foo dont bazé baz", [[4, 7, 1], [0, 0, 0], [1, 5, 1]]),
        (
            {"standardize": None},
            "stop_it don't baz bar! bar Foo, BAZ--é",
            [[1, 4, 1], [0, 0, 0], [1, 3, 1]],
        ),
        ({"standardize": "lower"}, "stop_it foo, don't baz--é baz bar! bar", [[1, 6, 1], [0, 0, 0], [1, 4, 1]]),
        ({"standardize": "strip_punctuation"}, "bar stopit dont baz Foo BAZé", [[1, 5, 1], [0, 0, 0], [1, 4, 1]]),
        (
            {"ngrams": 2},
            "bar|stopit|foo bar|foo|dont stopit|dont|bazé|baz|bar bazé|bar baz",
            [[5, 9, 1, 1, 1], [0, 0, 0, 0, 0], [1, 7, 1, 1, 1]],
        ),
        ({"ngrams": (2,)}, "foo bar|dont stopit|bar bazé|bar baz", [[1, 1], [0, 0], [1, 1]]),
        ({"ngrams": (1, 3)}, "bar|stopit|foo bar baz|foo|dont|bazé|baz", [[5, 8, 1, 1], [0, 0, 0, 0], [1, 6, 1, 1]]),
        ({"split": None}, "foo bar baz|dont stopit|  bar\tbazé ", [1, 0, 1]),
        ({"output_sequence_length": 2}, "bar stopit foo dont bazé baz", [[4, 7], [0, 0], [1, 5]]),
        (
            {"output_sequence_length": 5},
            "bar stopit foo dont bazé baz",
            [[4, 7, 1, 0, 0], [0, 0, 0, 0, 0], [1, 5, 1, 0, 0]],
        ),
        ({"max_tokens": 5}, "bar stopit foo", [[4, 1, 1], [0, 0, 0], [1, 1, 1]]),
        (
            {"output_mode": "multi_hot"},
            "bar stopit foo dont bazé baz",
            [[1, 0, 0, 1, 0, 0, 1], [0] * 7, [1, 0, 0, 0, 1, 0, 0]],
        ),
        (
            {"output_mode": "count", "max_tokens": 9, "pad_to_max_tokens": True},
            "bar stopit foo dont bazé baz",
            [[1, 0, 0, 1, 0, 0, 1, 0, 0], [0] * 9, [2, 0, 0, 0, 1, 0, 0, 0, 0]],
        ),
        (
            {"output_mode": "tf_idf"},
            "bar stopit foo dont bazé baz",
            [[0.8791001, 0, 0, 0.9162908, 0, 0, 0.9162908], [0] * 7, [1.7582002, 0, 0, 0, 0.9162908, 0, 0]],
        ),
    ],
)
def test_text_vectorization(kwargs: dict[str, Any], vocabulary: str, expected: Any) -> None:
    words = vocabulary.split("|" if "|" in vocabulary else " ")
    layer = L.TextVectorization(**kwargs)
    layer.adapt(TEXTS)
    assert layer.get_vocabulary(include_special_tokens=False) == words
    assert layer.get_vocabulary()[: -len(words)] == ["", "[UNK]"][-(layer.vocabulary_size() - len(words)) :]
    np.testing.assert_allclose(layer(WORDS), expected, rtol=1e-6)
    again = L.deserialize(L.serialize(layer))
    np.testing.assert_allclose(again(np.array(WORDS)), expected, rtol=1e-6)
    again.adapt(["other words"])  # what was learned may be learned again
    assert len(again.get_vocabulary(False)) == (3 if kwargs.get("ngrams") == 2 else len(again.get_vocabulary(False)))


def test_characters_and_ranks() -> None:
    layer = L.TextVectorization(split="character")
    layer.adapt(TEXTS)
    assert layer.get_vocabulary()[2:] == list(" obatzréspnifd\t")
    np.testing.assert_array_equal(layer(["foo baz zzz"]), [[14, 3, 3, 2, 4, 5, 7, 2, 7, 7, 7]])
    given = L.TextVectorization(vocabulary=["a", "b"])
    np.testing.assert_array_equal(given([["a b c"], ["b"]]), [[2, 3, 1], [3, 0, 0]])
    np.testing.assert_array_equal(given("a b c"), [2, 3, 1])
    np.testing.assert_array_equal(
        L.TextVectorization(split=None, ngrams=2, vocabulary=["b", "a"])([["a", "b"]]), [[3, 2, 1]]
    )
    one_hot = L.TextVectorization(output_mode="one_hot", vocabulary=["a", "b"])
    np.testing.assert_array_equal(one_hot(["a", "b"]), [[[0, 1, 0]], [[0, 0, 1]]])
    np.testing.assert_array_equal(one_hot(["a b", "b"]), [[[0, 1, 0], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]]])
    np.testing.assert_array_equal(one_hot("a b"), [[0, 1, 0], [0, 0, 1]])
    count = L.TextVectorization(split=None, output_mode="count", vocabulary=["a", "b"])
    np.testing.assert_array_equal(count(["a", "b"]), [0, 1, 1])
    np.testing.assert_array_equal(count([["a", "b"]]), [[0, 1, 1]])


@kgraph.utils.register_keras_serializable("test_text_layers")
def shout(texts: Any) -> Any:
    return np.char.upper(texts)


@kgraph.utils.register_keras_serializable("test_text_layers")
def at_commas(texts: Any) -> Any:
    return np.char.split(texts, ",")


def test_functions_of_the_user() -> None:
    layer = L.TextVectorization(standardize=shout, split=at_commas)
    layer.adapt(["a,b", "b,c d"])
    assert layer.get_vocabulary()[2:] == ["B", "C D", "A"]
    again = L.deserialize(L.serialize(layer))
    np.testing.assert_array_equal(again(["c d,x"]), [[3, 1]])


def test_adapt_takes_arrays_lists_and_generators() -> None:
    rows = [["a", "b"], ["a", "c"]]
    for data in (rows, np.array(rows), iter(rows), (np.array(row) for row in rows)):
        layer = L.StringLookup(output_mode="tf_idf")
        layer.adapt(data)
        assert layer.get_vocabulary() == ["[UNK]", "a", "c", "b"]
        np.testing.assert_allclose(layer.idf_weights, [0.6323733, 0.5108256, 0.6931472, 0.6931472], rtol=1e-6)
    single = L.StringLookup(output_mode="tf_idf")
    single.adapt(["a b", "a", "a"])  # each of them is a document
    np.testing.assert_allclose(single.idf_weights, [0.8047190, 0.6931472, 0.9162908], rtol=1e-6)

    def endless() -> Any:
        while True:
            yield np.array([[3, 3, 4]])

    counted = L.IntegerLookup()
    counted.adapt(endless(), steps=2)
    assert counted.get_vocabulary() == [-1, 3, 4]
    counted.adapt([7])  # begins anew
    assert counted.get_vocabulary() == [-1, 7]
    text = L.TextVectorization()
    text.adapt(batch for batch in (["b a"], ["b"]))
    assert text.get_vocabulary() == ["", "[UNK]", "b", "a"]


def test_vocabulary_files_and_assets(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("x\ny\n", encoding="utf-8")
    layer = L.StringLookup(vocabulary=str(file), mask_token="")
    assert layer.get_vocabulary() == ["", "[UNK]", "x", "y"]
    for made, empty in (
        (layer, L.StringLookup(mask_token="")),
        (L.IntegerLookup(vocabulary=[4, -2]), L.IntegerLookup()),
        (L.TextVectorization(vocabulary=["é", "b"]), L.TextVectorization()),
    ):
        made.save_assets(str(tmp_path))
        empty.load_assets(str(tmp_path))
        assert empty.get_vocabulary() == made.get_vocabulary()
    weighted = L.StringLookup(vocabulary=["a"], idf_weights=[2.0], output_mode="tf_idf")
    store: dict[str, Any] = {}
    weighted.save_own_variables(store)
    weighted.save_assets(str(tmp_path))
    fresh = L.StringLookup(output_mode="tf_idf")
    fresh.load_own_variables(store)
    fresh.load_assets(str(tmp_path))
    np.testing.assert_array_equal(fresh([["a", "a"]]), [[0, 4]])
    hostile = {**layer.get_config(), "vocabulary": str(file)}
    for cls in (L.StringLookup, L.TextVectorization):
        with pytest.raises(UnsupportedError, match="names the vocabulary file"):
            cls.from_config({key: hostile[key] for key in ("vocabulary", "max_tokens")})


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Hashing(3, dtype="float32"),
        lambda: L.Hashing(3, salt=[1, 2, 3]),
        lambda: L.HashedCrossing(3, output_mode="count"),
        lambda: L.HashedCrossing(3)(np.array([1, 2])),
        lambda: L.HashedCrossing(3)([np.array([1.0]), np.array([2])]),
        lambda: L.HashedCrossing(3)([np.ones((2, 2), int), np.ones((2, 2), int)]),
        lambda: L.Hashing(3)([None]),
        lambda: L.IntegerLookup(salt=3),
        lambda: L.IntegerLookup(oov_method="sha"),
        lambda: L.IntegerLookup(vocabulary_dtype="int32"),
        lambda: L.IntegerLookup(vocabulary=["a"]),
        lambda: L.IntegerLookup(vocabulary=[1])(["a"]),
        lambda: L.StringLookup(vocabulary=[1]),
        lambda: L.StringLookup(vocabulary=["a"], idf_weights=[1.0]),
        lambda: L.StringLookup(vocabulary=["a"], idf_weights=[1.0, 2.0], output_mode="tf_idf"),
        lambda: L.StringLookup(vocabulary=["a"], output_mode="tf_idf"),
        lambda: L.StringLookup(vocabulary=["b", "[UNK]"], invert=True),
        lambda: L.StringLookup(vocabulary=["a"], encoding="latin-1"),
        lambda: L.StringLookup(vocabulary="/no/such/file"),
        lambda: L.StringLookup(vocabulary=["a"], invert=True, output_mode="count"),
        lambda: L.StringLookup(max_tokens=2, vocabulary=["a", "b"]),
        lambda: L.StringLookup(vocabulary=["a"]).adapt(["b"]),
        lambda: L.StringLookup().adapt([]),
        lambda: L.TextVectorization(split="words"),
        lambda: L.TextVectorization(standardize="upper"),
        lambda: L.TextVectorization(ngrams="2"),
        lambda: L.TextVectorization(ngrams=(0,)),
        lambda: L.TextVectorization(ragged=True),
        lambda: L.TextVectorization(output_sequence_length=3, output_mode="count"),
        lambda: L.TextVectorization(output_sequence_length="3"),
        lambda: L.TextVectorization(vocabulary=["a"])([["a", "b"]]),
        lambda: L.TextVectorization(vocabulary=["a"])([1]),
    ],
)
def test_refused(make: Any) -> None:
    with pytest.raises(KGraphError):
        make()
