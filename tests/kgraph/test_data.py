"""Data from users: forms, casts, checks and their texts."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.errors import DataError, DtypeError, InvalidArgumentError, ShapeError
from kgraph.trainer import data
from kgraph.trainer.data import Port
from kgraph.trainer.feed import Stream, is_stream, permutation

A = Port("a", (None, 3), "float32")
B = Port("b", (None, 1), "int32")


def test_forms_of_x():
    a, b = np.ones((2, 3), np.float32), np.array([[1], [2]], np.int32)
    for x in ([a, b], (a, b), {"b": b, "a": a}):
        found = data.input_arrays([A, B], x)
        assert found["a"] is a
        assert found["b"] is b
    assert data.input_arrays([A], a)["a"] is a
    assert data.input_arrays([A], [a])["a"] is a
    assert data.input_arrays([A], {"a": a})["a"] is a
    assert data.input_arrays([A], [[1, 2, 3], [4, 5, 6]])["a"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_casts_and_ranks():
    found = data.input_arrays([A, B], [np.ones((2, 3), np.int64), np.array([1.0, 2.0])])
    assert found["a"].dtype == np.float32
    assert found["b"].dtype == np.int32
    assert found["b"].tolist() == [[1], [2]]
    fortran = np.asfortranarray(np.ones((2, 3), np.float32))
    assert data.input_arrays([A], fortran)["a"].flags.c_contiguous
    assert data.input_arrays([A], np.ones((2, 3, 1)))["a"].shape == (2, 3)


@pytest.mark.parametrize(
    ("ports", "x", "kind", "text"),
    [
        ([A], np.ones((2, 4)), ShapeError, r"input 'a' does not take an array of shape \(2, 4\)"),
        ([A], np.ones(3), ShapeError, r"x\[None\]"),
        ([A, B], [np.ones((2, 3))] * 3, DataError, "x has 3 arrays, the model has 2 inputs"),
        ([A, B], np.ones((2, 3)), DataError, "a list in this order, or a dict with these names: a, b"),
        ([A, B], {"a": np.ones((2, 3)), "c": np.ones(2)}, DataError, "x has no entry for input 'b'"),
        ([A], {"a": np.ones((2, 3)), "c": np.ones(2)}, DataError, "'c', which is no input"),
        ([A], [np.ones((2, 3))] * 2, DataError, "x has 2 arrays, the model has 1 inputs"),
        ([A], None, DataError, "x is None"),
        ([A], np.array([["a", "b", "c"]]), DtypeError, "input 'a' holds no numbers"),
        ([A], [[1, 2, 3], [4, 5]], ShapeError, "its rows differ in length"),
        ([B], np.array([2**40]), DataError, r"does not fit int32\n  where   test_data.py:\d+, row 0"),
    ],
)
def test_input_errors(ports, x, kind, text):
    with pytest.raises(kind, match=text):
        data.input_arrays(ports, x)


def test_nan_is_named():
    x = np.ones((5, 3), np.float32)
    x[3, 1] = np.nan
    with pytest.raises(
        DataError,
        match=r"input 'a' holds NaN\n  where   test_data.py:\d+, row 3, at \[3, 1\]\n  got     1 NaN in 1 of 5",
    ):
        data.input_arrays([A], x)
    data.input_arrays([A], x, check_nan=False)
    x[3, 1], x[0, 0] = np.inf, -np.inf  # infinities are numbers
    data.input_arrays([A], x)


def test_lengths():
    arrays = {"a": np.ones((4, 3)), "b": np.ones((4, 1))}
    assert data.rows_of({"input": arrays}) == 4
    with pytest.raises(DataError, match="input 'a': 4, input 'b': 4, target 'y': 3"):
        data.rows_of({"input": arrays, "target": {"y": np.ones(3)}})
    with pytest.raises(DataError, match="no rows"):
        data.rows_of({"input": {"a": np.ones((0, 3))}})


def test_targets():
    y = np.array([1, 0], np.int64)
    found = data.target_arrays(["p", "q"], ["p", "q"], [y, y.astype(float)])
    assert found["p"].dtype == np.int32
    assert found["q"].dtype == np.float32
    # only one of two outputs has a loss: with or without an entry for the other
    for given in ([y], [None, y], {"q": y}, {"p": None, "q": y}, y):
        assert list(data.target_arrays(["q"], ["p", "q"], given)) == ["q"]
    with pytest.raises(DataError, match="y is None"):
        data.target_arrays(["p"], ["p"], None)
    with pytest.raises(DataError, match="y has 1 arrays, the model has 2 outputs"):
        data.target_arrays(["p", "q"], ["p", "q"], [y])
    with pytest.raises(DataError, match=r"'main_otput', which is no output|no entry for output 'main_output'"):
        data.target_arrays(["main_output"], ["main_output"], {"main_otput": y})


def test_weights():
    y = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    rows = data.class_weights_to_rows(y, {0: 2.0, 1: 3.0})
    assert rows.tolist() == [3.0, 2.0, 3.0]
    assert data.class_weights_to_rows(np.array([[1], [5]]), {1: 3.0}).tolist() == [3.0, 1.0]
    both = data.weight_arrays(["p"], {"p": y}, np.array([1.0, 2.0, 0.5]), {1: 3.0})
    assert both["p"].tolist() == [3.0, 2.0, 1.5]
    assert list(data.weight_arrays(["p", "q"], {"p": y, "q": y}, np.ones(3), None)) == ["p", "q"]
    assert list(data.weight_arrays(["p", "q"], {"p": y, "q": y}, {"q": np.ones(3)}, None)) == ["q"]
    with pytest.raises(InvalidArgumentError, match="several outputs"):
        data.weight_arrays(["p", "q"], {"p": y, "q": y}, None, {0: 1.0})
    with pytest.raises(InvalidArgumentError, match="takes a dict"):
        data.weight_arrays(["p"], {"p": y}, None, [1.0])


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "32"])
def test_batch_size(batch_size):
    with pytest.raises(InvalidArgumentError, match="batch_size"):
        data.check_batch_size(batch_size)


def test_fixed_batch_size():
    assert data.check_batch_size(None) == 32
    assert data.check_batch_size(None, 8) == 8
    with pytest.raises(InvalidArgumentError, match="fixed batch of 8"):
        data.check_batch_size(16, 8)


@pytest.mark.parametrize("fraction", [1.5, -0.1, 1.0, "half"])
def test_validation_split(fraction):
    with pytest.raises(InvalidArgumentError, match="validation_split"):
        data.split_validation({"x": np.arange(10)}, 10, fraction)


def test_validation_split_takes_the_tail():
    first, last = data.split_validation({"x": np.arange(10)}, 10, 0.25)
    assert first["x"].tolist() == list(range(7))
    assert last["x"].tolist() == [7, 8, 9]


def test_permutation_depends_on_seed_and_epoch_only():
    one = permutation(100, 7, 0)
    assert sorted(one) == list(range(100))
    np.testing.assert_array_equal(one, permutation(100, 7, 0))
    assert (one != permutation(100, 7, 1)).any()
    assert (one != permutation(100, 8, 0)).any()
    by_batch = permutation(10, 7, 0, batch=4)
    assert by_batch[8:].tolist() == [8, 9]
    assert by_batch[0] % 4 == 0
    assert by_batch[:4].tolist() == list(range(by_batch[0], by_batch[0] + 4))


def test_streams():
    def batches():
        for k in range(3):
            yield k, k

    class Dataset:
        ended = 0

        def __len__(self):
            return 3

        def __getitem__(self, k):
            return k, k

        def on_epoch_end(self):
            self.ended += 1

    assert is_stream(batches())
    assert is_stream(batches)
    assert is_stream(Dataset())
    assert not is_stream(np.ones(3))
    assert not is_stream([1, 2])
    assert not is_stream({"a": 1})

    def read(stream, epoch=0):
        return list(stream.epoch(epoch))

    def convert(x, y, w):
        return x

    stream = Stream(batches, None, convert)
    assert read(stream) == [0, 1, 2]
    assert stream.exhausted
    stream = Stream(batches(), 2, convert)
    assert read(stream) == [0, 1]
    assert not stream.exhausted
    assert read(stream, 1) == [2]
    assert stream.exhausted
    stream = Stream(source := Dataset(), None, convert)
    assert stream.steps == 3
    assert read(stream) == read(stream, 1) == [0, 1, 2]
    assert source.ended == 2
    assert sorted(read(Stream(Dataset(), None, convert, shuffle=True))) == [0, 1, 2]

    class Loader:  # an iterable with a length, such as torch's DataLoader
        def __iter__(self):
            return batches()

        def __len__(self):
            return 3

    stream = Stream(Loader(), None, convert)
    assert read(stream) == read(stream, 1) == [0, 1, 2]
    assert not stream.exhausted
    stream = Stream(Loader(), 2, convert)
    assert [read(stream), read(stream, 1), read(stream, 2)] == [[0, 1], [2, 0], [1, 2]]
    with pytest.raises(DataError, match="a tuple of 4"):
        read(Stream(iter([(1, 2, 3, 4)]), None, convert))
