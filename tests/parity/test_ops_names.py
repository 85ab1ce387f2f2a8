"""docs/ops.md says what the code has, and nothing of keras.ops is missing without a word."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from kgraph.errors import UnsupportedError
from kgraph.ops.left_out import ARRAYS_ONLY, LEFT_OUT
from tests.parity.comparing import keras, kgraph
from tests.parity.op_table import PAGE, table

pytestmark = pytest.mark.parity


def _public(module: object) -> list[str]:
    return [name for name in dir(module) if name[:1] != "_"]


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), "run python -m tests.parity.op_table"


def test_every_operation_of_keras_is_there_or_left_out() -> None:
    names = [name for name in _public(keras.ops) if callable(getattr(keras.ops, name))]
    assert len(names) > 300
    missing = [name for name in names if name not in kgraph.ops.__all__ and name not in LEFT_OUT]
    assert not missing


@pytest.mark.parametrize("module", ["image", "linalg", "nn", "numpy"])
def test_submodules_have_the_names_of_keras(module: str) -> None:
    ours = import_module(f"kgraph.ops.{module}")
    missing = [name for name in _public(getattr(keras.ops, module)) if name not in LEFT_OUT and not hasattr(ours, name)]
    assert not missing
    assert getattr(kgraph.ops, module) is ours


def test_core_and_math_offer_operations_too() -> None:
    from kgraph.ops.core import scan

    from kgraph.ops.math import fft

    assert (scan, fft) == (kgraph.ops.scan, kgraph.ops.fft)


def test_every_random_function_of_keras_is_there() -> None:
    names = [name for name in _public(keras.random) if name not in kgraph.random.__all__]
    assert not names


@pytest.mark.parametrize("name", sorted(LEFT_OUT))
def test_left_out(name: str) -> None:
    count = len(inspect.signature(getattr(kgraph.ops, name)).parameters)
    with pytest.raises(UnsupportedError, match=f"(?s){name}.*fix"):
        getattr(kgraph.ops, name)(*[1.0] * count)


@pytest.mark.parametrize("name", sorted(ARRAYS_ONLY))
def test_on_arrays_only(name: str) -> None:
    x = kgraph.Input((3, 3), dtype="int32" if name == "bincount" else "float32")
    function = getattr(kgraph.ops, name)
    function = function(lambda x: (x, None)) if name == "custom_gradient" else function
    with pytest.raises(UnsupportedError, match=name):
        function(*[x] * (2 if name == "lstsq" else 1))


def test_arguments_are_those_of_keras() -> None:
    """Each argument of Keras, in its order; ours may have more behind them."""
    different = []
    for name in _public(keras.ops):
        theirs = getattr(keras.ops, name)
        if not inspect.isfunction(theirs) or name in LEFT_OUT:
            continue
        parameters = inspect.signature(theirs).parameters.values()
        wanted = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        have = list(inspect.signature(getattr(kgraph.ops, name)).parameters)
        if have[: len(wanted)] != wanted:
            different.append(f"{name}: {have} for {wanted}")
    assert not different
