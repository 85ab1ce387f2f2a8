"""What `model.compile(...)` does: check its arguments, and make the `Trainer`."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from typing import Any

from kgraph.errors import InvalidArgumentError
from kgraph.trainer.arguments import sort_third_and_fourth
from kgraph.trainer.own import check_own_methods
from kgraph.trainer.trainer import Trainer

__all__ = ["compile_model", "predictor"]


def compile_model(
    model: Any,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    third: Any = None,
    fourth: Any = None,
    *,
    metrics: Any = None,
    loss_weights: Any = None,
    weighted_metrics: Any = None,
    target: str = "cpu",
    run_eagerly: bool = False,
    steps_per_execution: int = 1,
    jit_compile: Any = "auto",
    auto_scale_loss: bool = True,
    sample_weight_mode: Any = None,
    **kwargs: Any,
) -> Trainer:
    """The trainer for `model.compile(...)`.

    Args:
        model: built or not; an unbuilt one is built by its first data.
        optimizer: name or object.
        loss: for all outputs, or a list, or a dict by output name; names, functions, objects, None.
        third: metrics in the order of Keras 2, loss weights in that of Keras 3.
        fourth: the other one.
        metrics: list for all outputs, a list of lists, or a dict by output name.
        loss_weights: list or dict by output name.
        weighted_metrics: as `metrics`; these take sample weights.
        target: `"cpu"` or `"reference"`.
        run_eagerly: runs op by op: the reference target.
        steps_per_execution: batches between two calls of callbacks on batches.
        jit_compile: accepted for Keras; every step is compiled.
        auto_scale_loss: accepted for Keras.
        sample_weight_mode: accepted for Keras 2; weights of any rank that fits are taken.
        kwargs: none.

    Raises:
        UnknownNameError: a name of a loss, metric, optimizer or output is unknown.
        UnsupportedError: the model's class defines a loop or a step in a form that cannot be compiled.
        InvalidArgumentError: counts do not fit, or an argument is unknown.
        TargetError: the target is unknown, or cannot be used on this machine.
    """
    if kwargs:
        wrong = next(iter(kwargs))
        near = get_close_matches(wrong, inspect.signature(compile_model).parameters, 1)
        raise InvalidArgumentError(f"compile() has no argument {wrong!r}", fix=f"write {near[0]}=" if near else "")
    if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int) or steps_per_execution < 1:
        raise InvalidArgumentError(f"steps_per_execution={steps_per_execution!r}", needed="a whole number, 1 or more")
    from kgraph import optimizers

    check_own_methods(model)
    metrics, loss_weights = sort_third_and_fourth(third, fourth, metrics, loss_weights)
    return Trainer(
        model,
        optimizers.get(optimizer),
        loss=loss,
        metrics=metrics,
        loss_weights=loss_weights,
        weighted_metrics=weighted_metrics,
        target="reference" if run_eagerly else target,
        steps_per_execution=steps_per_execution,
    )


def predictor(model: Any, target: str = "cpu") -> Trainer:
    """A trainer for a model that was not compiled: it predicts, and says so when asked for more."""
    return Trainer(model, None, target=target)
