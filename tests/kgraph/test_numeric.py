"""to_categorical, normalize, pad_sequences against Keras, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.errors import DataError, DtypeError, InvalidArgumentError
from kgraph.utils.numeric import normalize, to_categorical
from kgraph.utils.sequence import pad_sequences


@pytest.mark.parametrize("labels", [[0, 2, 1], [[0], [2]], [[1, 0], [2, 2]], [3.0, 1.0], np.array([1, 0], np.uint8)])
def test_to_categorical_as_keras(labels):
    keras = pytest.importorskip("keras")
    expected = keras.utils.to_categorical(labels, 4)
    found = to_categorical(labels, 4)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_to_categorical_counts_the_classes():
    assert to_categorical([0, 4]).shape == (2, 5)


def test_to_categorical_names_the_wrong_class():
    with pytest.raises(
        ValueError, match=r"class 7 is outside the 5 classes\n  where   test_numeric.py:\d+, x\[1\]"
    ) as caught:
        to_categorical([0, 7], 5)
    assert isinstance(caught.value, DataError)
    with pytest.raises(DataError, match="class -1"):
        to_categorical([-1])
    with pytest.raises(DtypeError, match="whole numbers"):
        to_categorical([0.5])
    with pytest.raises(DtypeError, match="whole numbers"):
        to_categorical(["a"])
    with pytest.raises(InvalidArgumentError, match="num_classes"):
        to_categorical([])


def test_normalize():
    np.testing.assert_allclose(normalize([[3.0, 4.0], [0.0, 0.0]]), [[0.6, 0.8], [0.0, 0.0]])
    np.testing.assert_allclose(normalize(np.array([[3.0], [4.0]]), axis=0), [[0.6], [0.8]])
    np.testing.assert_allclose(normalize([[1.0, -3.0]], order=1), [[0.25, -0.75]])


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 2, 5])
def test_pad_sequences_as_keras(padding, truncating, maxlen):
    keras = pytest.importorskip("keras")
    sequences = [[1, 2, 3], [], [4], [5, 6, 7, 8]]
    arguments = {"maxlen": maxlen, "padding": padding, "truncating": truncating, "value": 9}
    np.testing.assert_array_equal(
        pad_sequences(sequences, **arguments), keras.utils.pad_sequences(sequences, **arguments)
    )


def test_pad_sequences_of_vectors_and_errors():
    assert pad_sequences([np.ones((2, 3)), np.ones((1, 3))], dtype="float32").shape == (2, 2, 3)
    assert pad_sequences([["a"], ["b", "c"]], dtype=object, value="")[0].tolist() == ["", "a"]
    with pytest.raises(InvalidArgumentError, match="padding='middle'"):
        pad_sequences([[1]], padding="middle")
    with pytest.raises(DataError, match=r"sequences\[0\] = 1"):
        pad_sequences([1, 2])
    with pytest.raises(DataError, match="elements of differing shape"):
        pad_sequences([np.ones((2, 3)), np.ones((1, 2))])
    with pytest.raises(InvalidArgumentError, match="dtype=object"):
        pad_sequences([[1]], value="x")
