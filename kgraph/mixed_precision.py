"""`keras.mixed_precision`: policies for all layers.  One type serves for weights and arithmetic here."""

from __future__ import annotations

from kgraph.core.policy import DTypePolicy
from kgraph.keras_config import dtype_policy, set_dtype_policy
from kgraph.optimizers.loss_scale import LossScaleOptimizer

__all__ = [
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "dtype_policy",
    "global_policy",
    "set_dtype_policy",
    "set_global_policy",
]

Policy = DTypePolicy
global_policy = dtype_policy
set_global_policy = set_dtype_policy
