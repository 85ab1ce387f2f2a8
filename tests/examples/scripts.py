"""Loads the scripts of `examples/`, as they are, or as the same text under Keras.

Under Keras only the imports change, and three spellings of Keras 2 that Keras 3 has dropped.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# What Keras 3 no longer takes, and how it says it now.
_KERAS_3 = (
    ("import kgraph as keras", "import keras"),
    ("from kgraph import backend as K", "from keras import ops as K"),
    ("from kgraph", "from keras"),
    ("SGD(lr=", "SGD(learning_rate="),
)


def load(name: str, under_keras: bool = False) -> Any:
    """The module of `examples/<name>.py`; with `under_keras`, the same script importing Keras."""
    path = EXAMPLES / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    if under_keras:
        for ours, theirs in _KERAS_3:
            text = text.replace(ours, theirs)
    module = types.ModuleType(f"{'keras' if under_keras else 'kgraph'}_{name}")
    module.__file__ = str(path)
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module
