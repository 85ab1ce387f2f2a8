"""kgraph: Keras-style models in, one native training program out.

    import kgraph as keras

    model = keras.Sequential([keras.layers.Dense(64, activation="relu", input_shape=(784,)), keras.layers.Dense(10)])
    trainer = model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y)

Submodules are loaded when they are first used, so that the import stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgraph import (
        activations,
        backend,
        callbacks,
        constraints,
        initializers,
        ir,
        layers,
        losses,
        metrics,
        models,
        ops,
        optimizers,
        random,
        regularizers,
        saving,
        utils,
    )
    from kgraph.core import DTypePolicy, InputSpec, Layer, Operation, Variable
    from kgraph.core.tensors import SymbolicTensor as KerasTensor
    from kgraph.models import Input, Model, Sequential
    from kgraph.random import SeedGenerator

__version__ = "0.1.0"

__all__ = [
    "DTypePolicy",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Model",
    "Operation",
    "SeedGenerator",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "constraints",
    "get_num_threads",
    "initializers",
    "ir",
    "layers",
    "losses",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "saving",
    "set_num_threads",
    "utils",
]

_SUBMODULES = frozenset(
    "activations backend callbacks codegen constraints core errors initializers ir layers losses "
    "metrics models ops "
    "optimizers random regularizers saving trainer utils".split()
)
_NAMES = {
    "DTypePolicy": ("kgraph.core", "DTypePolicy"),
    "Input": ("kgraph.models", "Input"),
    "InputSpec": ("kgraph.core", "InputSpec"),
    "KerasTensor": ("kgraph.core", "SymbolicTensor"),
    "Layer": ("kgraph.core", "Layer"),
    "Model": ("kgraph.models", "Model"),
    "Operation": ("kgraph.core", "Operation"),
    "SeedGenerator": ("kgraph.random", "SeedGenerator"),
    "Sequential": ("kgraph.models", "Sequential"),
    "Variable": ("kgraph.core", "Variable"),
    "get_num_threads": ("kgraph.codegen", "get_num_threads"),
    "set_num_threads": ("kgraph.codegen", "set_num_threads"),
}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _NAMES:
        module, attribute = _NAMES[name]
        value = getattr(import_module(module), attribute)
    elif name in _SUBMODULES:
        try:
            value = import_module(f"kgraph.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"kgraph.{name}":
                raise
            raise AttributeError(f"module 'kgraph' has no attribute {name!r}") from None
    else:
        raise AttributeError(f"module 'kgraph' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_NAMES})
