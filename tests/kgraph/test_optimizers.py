"""Optimizers: spellings, errors, use inside a trace, own ones.  The numbers are compared in tests/parity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgraph import ops, optimizers
from kgraph.core import Trace, Variable
from kgraph.errors import InvalidArgumentError, UnknownNameError
from kgraph.ir import Graph
from kgraph.ir.interpreter import interpret
from kgraph.optimizers import schedules


@pytest.mark.parametrize(
    "name", ["sgd", "SGD", "RMSprop", "rmsprop", "Adagrad", "adam", "AdamW", "adamax", "nadam", "lion"]
)
def test_by_name(name: str) -> None:
    optimizer = optimizers.get(name)
    assert type(optimizer).__name__.lower() == name.lower()
    again = optimizers.get(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()


def test_spellings_of_keras_2() -> None:
    optimizer = optimizers.SGD(lr=0.25, momentum=0.9, nesterov=True, decay=1e-6)
    assert float(optimizer.lr) == float(optimizer.learning_rate) == 0.25 and optimizer.decay == 1e-6
    optimizer.lr = 0.5
    assert float(optimizer.learning_rate) == 0.5
    assert optimizers.Adam(epsilon=None).epsilon == 1e-7


def test_learning_rate_is_one_variable_for_life() -> None:
    optimizer = optimizers.Adam(0.1)
    rate = optimizer.learning_rate
    assert isinstance(rate, Variable) and rate.dtype == "float32"
    optimizer.learning_rate = 0.01
    assert optimizer.learning_rate is rate and abs(float(rate) - 0.01) < 1e-9


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match="perhaps 'adam'"):
        optimizers.get("adamm")
    with pytest.raises(InvalidArgumentError, match="as an optimizer"):
        optimizers.get(0.1)
    with pytest.raises(InvalidArgumentError, match="`learning_rate`"):
        optimizers.SGD("fast")
    with pytest.raises(InvalidArgumentError, match="`learning_rate`"):
        optimizers.SGD(-1.0)
    with pytest.raises(InvalidArgumentError, match="only one of"):
        optimizers.SGD(clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(InvalidArgumentError, match="no argument 'momentums'"):
        optimizers.Adam(momentums=1.0)
    with pytest.raises(InvalidArgumentError, match="`momentum`"):
        optimizers.SGD(momentum=2.0)
    with pytest.raises(InvalidArgumentError, match="MultiOptimizer cannot use"):
        optimizers.MultiOptimizer({})
    with pytest.raises(InvalidArgumentError, match="loss_scale_factor="):
        optimizers.OptimizerMap(optimizers.SGD(), {"a": optimizers.LossScaleOptimizer(optimizers.SGD())})
    with pytest.raises(InvalidArgumentError, match="several optimizers for the weight 'ab'"):
        optimizers.OptimizerMap(optimizers.SGD(), {"a.*": optimizers.SGD(), ".*b": optimizers.SGD()})["ab"]
    with pytest.raises(AttributeError, match="each of its `optimizers`"):
        _ = optimizers.MultiOptimizer(optimizers.OptimizerMap(optimizers.SGD())).learning_rate
    with pytest.raises(InvalidArgumentError, match="gradient_accumulation_steps=1"):
        optimizers.SGD(gradient_accumulation_steps=1)
    weight = Variable(np.zeros(2, "float32"), name="w")
    optimizer = optimizers.SGD()
    optimizer.build([weight])
    with pytest.raises(InvalidArgumentError, match="does not know the weight 'other'"):
        optimizer.apply([np.ones(2, "float32")], [Variable(np.zeros(2, "float32"), name="other")])
    with pytest.raises(InvalidArgumentError, match="no weight has a gradient"):
        optimizer.apply([None])
    with pytest.raises(InvalidArgumentError, match="2 gradients for 1 weights"):
        optimizer.apply([None, None])


def test_inside_a_trace_the_step_is_updates_of_the_graph() -> None:
    weight = Variable(np.array([1.0, 2.0], "float32"), name="w")
    optimizer = optimizers.Adam(schedules.ExponentialDecay(0.1, 10, 0.5), name="adam")
    optimizer.build([weight])
    graph = Graph("step")
    with Trace(graph) as trace:
        gradient = trace.input("g", (2,))
        optimizer.apply([gradient], [weight])
    names = sorted(param.name for param, _ in graph.updates)
    assert names == ["adam/iteration", "adam/w_momentum", "adam/w_velocity", "w"]
    params = {name: variable.array for name, variable in trace.variables.items()}
    result = interpret(graph, {"g": np.array([0.5, -0.5], "float32")}, params)
    np.testing.assert_allclose(result.updates["w"], [0.9, 2.1], rtol=1e-5)
    np.testing.assert_array_equal(weight.numpy(), [1.0, 2.0])


def test_weights_without_gradient_stay() -> None:
    one, two = Variable(np.ones(2, "float32"), name="one"), Variable(np.ones(2, "float32"), name="two")
    optimizers.SGD(1.0).apply_gradients([(np.ones(2, "float32"), one), (None, two)])
    np.testing.assert_array_equal(one.numpy(), [0.0, 0.0])
    np.testing.assert_array_equal(two.numpy(), [1.0, 1.0])


def test_weight_decay_spares_what_is_excluded() -> None:
    kernel, bias = Variable(np.ones(2, "float32"), name="kernel"), Variable(np.ones(2, "float32"), name="bias")
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.apply([np.zeros(2, "float32"), np.zeros(2, "float32")], [kernel, bias])
    np.testing.assert_allclose(kernel.numpy(), [0.75, 0.75])
    np.testing.assert_allclose(bias.numpy(), [1.0, 1.0])


def test_own_optimizer_and_own_schedule() -> None:
    class Sign(optimizers.Optimizer):
        def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
            variable.assign(ops.subtract(variable, ops.sign(gradient) * learning_rate))

    weight = Variable(np.zeros(2, "float32"), name="w")
    optimizer = Sign(lambda step: ops.cast(step, "float32") + 1.0)
    for _ in range(2):
        optimizer.apply([np.array([0.3, -4.0], "float32")], [weight])
    np.testing.assert_allclose(weight.numpy(), [-3.0, 3.0])


def test_schedule_cannot_be_overwritten_by_a_number() -> None:
    optimizer = optimizers.SGD(schedules.CosineDecay(0.1, 10))
    with pytest.raises(InvalidArgumentError, match="schedule"):
        optimizer.learning_rate = 0.1
    with pytest.raises(InvalidArgumentError, match="decay_steps"):
        schedules.CosineDecay(0.1, 0)


def test_multi_optimizer_moves_each_weight_by_its_own() -> None:
    first, second, third = (Variable(np.ones(2, "float32"), name=name) for name in ("a", "b", "c"))
    chosen = optimizers.OptimizerMap(optimizers.SGD(1.0), {"b|c": optimizers.SGD(0.5, momentum=0.9)})
    optimizer = optimizers.MultiOptimizer(chosen, loss_scale_factor=2.0)
    optimizer.build([first, second])
    gradient = np.full(2, 2.0, "float32")
    optimizer.apply([gradient, gradient], [first, second])
    assert first.numpy().tolist() == [0.0, 0.0] and second.numpy().tolist() == [0.5, 0.5]
    assert optimizer.extend([first, second, third]) and len(optimizer.optimizers) == 2
    optimizer.apply([gradient, None, gradient], [first, second, third])
    assert first.numpy()[0] == -1.0 and second.numpy()[0] == 0.5 and third.numpy()[0] == 0.5
    assert int(optimizer.iterations.numpy()) == 2
    again = optimizers.deserialize(optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
