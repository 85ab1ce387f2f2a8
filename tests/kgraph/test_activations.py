"""Activations, regularizers and constraints: names, symbolic use, errors.  The numbers are compared in tests/parity."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph import activations, constraints, regularizers
from kgraph.core import SymbolicTensor
from kgraph.errors import UnknownNameError


@pytest.mark.parametrize(
    "name", [name for name in activations.__all__ if name not in ("get", "serialize", "deserialize")]
)
def test_by_name_and_on_symbolic_tensors(name: str) -> None:
    function = activations.get(name)
    assert activations.deserialize(activations.serialize(function)) is function
    if name != "threshold":
        outputs = function(SymbolicTensor((None, 6)))
        assert outputs.shape == ((None, 3) if name == "glu" else (None, 6))


def test_none_is_linear_and_functions_pass() -> None:
    assert activations.get(None) is activations.linear
    assert activations.get("linear") is activations.linear
    assert activations.get(np.tanh) is np.tanh
    assert activations.get("swish") is activations.silu


def test_keras_2_alpha() -> None:
    x = np.array([-2.0, 3.0], "float32")
    np.testing.assert_allclose(activations.relu(x, alpha=0.5), [-1.0, 3.0])


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="perhaps 'softmax'"):
        activations.get("sotfmax")
    with pytest.raises(ValueError, match="as an activation"):
        activations.get(3)


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2", "l1l2", "L2", "orthogonal_regularizer"])
def test_regularizer_by_name(name: str) -> None:
    made = regularizers.get(name)
    assert made is not None
    again = regularizers.deserialize(regularizers.serialize(made))
    assert again.get_config() == made.get_config()  # type: ignore[attr-defined]


def test_keras_2_default_of_l1_l2() -> None:
    made = regularizers.l1_l2()
    assert (made.l1, made.l2) == (0.01, 0.01)
    assert regularizers.L1L2().get_config() == {"l1": 0.0, "l2": 0.0}


@pytest.mark.parametrize("name", ["max_norm", "non_neg", "unit_norm", "min_max_norm", "maxnorm", "UnitNorm"])
def test_constraint_by_name(name: str) -> None:
    made = constraints.get(name)
    assert made is not None
    again = constraints.deserialize(constraints.serialize(made))
    assert again.get_config() == made.get_config()  # type: ignore[attr-defined]


def test_errors() -> None:
    with pytest.raises(ValueError, match="`l2`"):
        regularizers.L2(-1.0)
    with pytest.raises(UnknownNameError):
        constraints.get("norm_max")
    with pytest.raises(ValueError, match="rank 2"):
        regularizers.OrthogonalRegularizer()(np.zeros((2, 2, 2), "float32"))
