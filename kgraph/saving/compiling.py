"""What `compile` was given, to a configuration and back; and the numbers with which training goes on."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph.core import Variable
from kgraph.saving.objects import deserialize_keras_object, serialize_keras_object

__all__ = ["compile_config", "compile_from_config", "restore_optimizer", "restore_resume_values", "resume_values"]


def compile_config(model: Any) -> dict[str, Any]:
    """Optimizer, loss, metrics and their weights; empty when the model was not compiled."""
    trainer = model.trainer
    if trainer is None or trainer.optimizer is None:
        return {}
    given = trainer.arguments
    return {
        "optimizer": serialize_keras_object(trainer.optimizer),
        "loss": serialize_keras_object(given["loss"]),
        "loss_weights": serialize_keras_object(given["loss_weights"]),
        "metrics": serialize_keras_object(given["metrics"]),
        "weighted_metrics": serialize_keras_object(given["weighted_metrics"]),
        "run_eagerly": False,
        "steps_per_execution": trainer.steps_per_execution,
        "jit_compile": True,
    }


def compile_from_config(model: Any, config: Mapping[str, Any]) -> None:
    """Compile the model as its file says."""
    given = {key: value for key, value in config.items() if key not in ("jit_compile", "run_eagerly")}
    optimizer = given.pop("optimizer", None)
    values = {key: deserialize_keras_object(value) for key, value in given.items() if value is not None}
    if optimizer is None:
        return
    made = optimizer if isinstance(optimizer, str) else deserialize_keras_object(optimizer)
    model.compile(optimizer=made, **values)


def restore_optimizer(model: Any, values: Sequence[np.ndarray[Any, Any]], file: str) -> None:
    """Set iterations, learning rate and slots; a file that does not fit leaves a fresh optimizer, with a warning."""
    optimizer = model.optimizer
    if optimizer is None or not values:
        return
    if len(values) > len(optimizer.variables) and not optimizer.built:
        optimizer.build(model.trainable_variables)
    variables: list[Variable] = optimizer.variables
    if len(values) < len(variables) and all(value.ndim == 0 for value in values):
        variables = variables[: len(values)]  # saved before its first step
    shapes = [tuple(value.shape) for value in values]
    if shapes != [variable.shape for variable in variables]:
        warnings.warn(
            f"the state of optimizer {optimizer.name!r} in {file} does not fit the model: {len(values)} arrays for "
            f"{len(variables)}; training goes on with a fresh optimizer",
            stacklevel=2,
        )
        return
    for variable, value in zip(variables, values):
        variable.assign(value.astype(variable.dtype))


def resume_values(model: Any) -> list[np.ndarray[Any, Any]]:
    """Seed and step of the random numbers of training; nothing when the model was not compiled."""
    trainer = model.trainer
    return [] if trainer is None else [np.asarray(variable.array) for variable in trainer.seed_step]


def restore_resume_values(model: Any, values: Sequence[np.ndarray[Any, Any]]) -> None:
    """Go on where `resume_values` stood."""
    trainer = model.trainer
    if trainer is not None and len(values) == len(trainer.seed_step):
        for variable, value in zip(trainer.seed_step, values):
            if value.shape == variable.shape:
                variable.assign(value.astype(variable.dtype))
