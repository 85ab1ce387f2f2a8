"""kgraph: Keras-style models in, one native training program out.

    import kgraph as keras

    model = keras.Sequential([keras.layers.Dense(64, activation="relu", input_shape=(784,)), keras.layers.Dense(10)])
    trainer = model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y)

Submodules are loaded when they are first used, so that the import stays quick.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kgraph.keras_paths import MODULES, REFUSED, PathFinder, missing, refusal

if TYPE_CHECKING:
    from kgraph import (
        activations,
        backend,
        callbacks,
        config,
        constraints,
        datasets,
        dtype_policies,
        initializers,
        ir,
        layers,
        losses,
        metrics,
        mixed_precision,
        models,
        ops,
        optimizers,
        preprocessing,
        random,
        regularizers,
        saving,
        tree,
        utils,
        wrappers,
    )
    from kgraph.core import DTypePolicy, InputSpec, Layer, Operation, Variable
    from kgraph.core.gradients import GradientTape, gradients
    from kgraph.core.tensors import SymbolicTensor as KerasTensor
    from kgraph.initializers import Initializer
    from kgraph.losses import Loss
    from kgraph.metrics import Metric
    from kgraph.models import Input, Model, Sequential
    from kgraph.optimizers import Optimizer
    from kgraph.random import SeedGenerator
    from kgraph.regularizers import Regularizer

__version__ = "0.1.0"

__all__ = [
    "DTypePolicy",
    "GradientTape",
    "Initializer",
    "Input",
    "InputSpec",
    "KerasTensor",
    "Layer",
    "Loss",
    "Metric",
    "Model",
    "Operation",
    "Optimizer",
    "Regularizer",
    "SeedGenerator",
    "Sequential",
    "Variable",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "dtype_policies",
    "get_num_threads",
    "gradients",
    "initializers",
    "ir",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "name_scope",
    "ops",
    "optimizers",
    "preprocessing",
    "random",
    "regularizers",
    "saving",
    "set_num_threads",
    "tree",
    "utils",
    "version",
    "wrappers",
]

_SUBMODULES = frozenset(
    "activations applications backend callbacks codegen config constraints core datasets dtype_policies errors "
    "initializers ir layers losses metrics mixed_precision models ops optimizers preprocessing random regularizers "
    "saving trainer tree utils wrappers".split()
) | {path for path in MODULES if "." not in path}
_NAMES = {
    "DTypePolicy": ("kgraph.core", "DTypePolicy"),
    "FloatDTypePolicy": ("kgraph.core", "DTypePolicy"),
    "GradientTape": ("kgraph.core.gradients", "GradientTape"),
    "gradients": ("kgraph.core.gradients", "gradients"),
    "Initializer": ("kgraph.initializers", "Initializer"),
    "Input": ("kgraph.models", "Input"),
    "InputSpec": ("kgraph.core", "InputSpec"),
    "KerasTensor": ("kgraph.core.tensors", "SymbolicTensor"),
    "Layer": ("kgraph.core", "Layer"),
    "Loss": ("kgraph.losses", "Loss"),
    "Metric": ("kgraph.metrics", "Metric"),
    "Model": ("kgraph.models", "Model"),
    "Operation": ("kgraph.core", "Operation"),
    "Optimizer": ("kgraph.optimizers", "Optimizer"),
    "Regularizer": ("kgraph.regularizers", "Regularizer"),
    "SeedGenerator": ("kgraph.random", "SeedGenerator"),
    "Sequential": ("kgraph.models", "Sequential"),
    "Variable": ("kgraph.core", "Variable"),
    "get_num_threads": ("kgraph.codegen", "get_num_threads"),
    "name_scope": ("kgraph.core.scope", "name_scope"),
    "set_num_threads": ("kgraph.codegen", "set_num_threads"),
}
# Names of Keras that are not here, and what to do instead.
_LEFT_OUT = {
    "Function": "build a Model(inputs, outputs); it is called in the same way",
    "Quantizer": REFUSED["quantizers"],
    "RematScope": "leave it out: the memory plan reuses what is no longer needed, see trainer.memory()",
    "StatelessScope": "give the values as inputs of a Model; its weights are set with set_weights",
    "SymbolicScope": "call the layers on kgraph.Input tensors",
    "device": "choose where to compute with model.compile(..., target='cpu')",
    "remat": "leave it out: the memory plan reuses what is no longer needed, see trainer.memory()",
}

# Asked last, so that only paths without a file of ours come to it.
if PathFinder not in sys.meta_path:
    sys.meta_path.append(PathFinder)


def version() -> str:
    """The version of kgraph, as `keras.version()` gives that of Keras."""
    return __version__


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
    elif name in REFUSED:
        raise refusal(name)
    elif name in _LEFT_OUT:
        from kgraph.errors import UnsupportedError

        raise UnsupportedError(f"kgraph.{name} is not there", fix=_LEFT_OUT[name])
    elif name[:2] == "__":
        raise AttributeError(name)
    else:
        raise missing("kgraph", name, __dir__())
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SUBMODULES, *_NAMES})
