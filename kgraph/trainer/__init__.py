"""Training: from a model and the arguments of `compile` to running steps.

`compile_model` makes the `Trainer` that `model.compile` returns; `predictor` the one of a model that was never
compiled.
"""

from __future__ import annotations

from kgraph.trainer.compiling import compile_model, predictor
from kgraph.trainer.trainer import Trainer

__all__ = ["Trainer", "compile_model", "predictor"]
