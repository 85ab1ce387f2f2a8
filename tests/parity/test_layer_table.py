"""docs/layers.md says what the code has, and nothing of Keras is missing without a word."""

from __future__ import annotations

import inspect

import pytest

from tests.parity.comparing import keras, kgraph
from tests.parity.layer_table import PAGE, table

pytestmark = pytest.mark.parity


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), "run python -m tests.parity.layer_table"


def test_every_layer_of_keras_is_there_or_left_out() -> None:
    names = [name for name in dir(keras.layers) if inspect.isclass(getattr(keras.layers, name))]
    missing = [name for name in names if name not in kgraph.layers.__all__ and name not in kgraph.layers.LEFT_OUT]
    assert not missing
