"""What `compile` accepts: both positional orders, and every nesting of losses, weights and metrics."""

from __future__ import annotations

import pytest

from kgraph import losses, metrics
from kgraph.errors import InvalidArgumentError, UnknownNameError
from kgraph.trainer.arguments import is_weights, plan_outputs, sort_third_and_fourth

ONE, TWO = ["out"], ["main", "aux"]


def plan(names, loss="mse", loss_weights=None, metrics=None, weighted_metrics=None):
    return plan_outputs(names, loss, loss_weights, metrics, weighted_metrics)


def test_positional_orders():
    assert sort_third_and_fourth(["accuracy"], [1.0, 0.2], None, None) == (["accuracy"], [1.0, 0.2])
    assert sort_third_and_fourth([1.0, 0.2], ["accuracy"], None, None) == (["accuracy"], [1.0, 0.2])
    assert sort_third_and_fourth({"a": 1.0}, {"a": "mae"}, None, None) == ({"a": "mae"}, {"a": 1.0})
    assert sort_third_and_fourth(None, ["mae"], None, [1.0]) == (["mae"], [1.0])
    assert sort_third_and_fourth([], None, ["mae"], None) == (["mae"], None)
    with pytest.raises(InvalidArgumentError, match="got metrics twice"):
        sort_third_and_fourth(["mae"], None, ["mse"], None)
    assert is_weights([1, 0.5])
    assert is_weights({"a": 1})
    assert not is_weights([])
    assert not is_weights(["mae"])
    assert not is_weights([True])


def test_one_loss_serves_every_output_with_weights():
    plans = plan(TWO, "binary_crossentropy", [1.0, 0.2])
    assert [p.loss for p in plans] == ["binary_crossentropy"] * 2
    assert [p.weight for p in plans] == [1.0, 0.2]


@pytest.mark.parametrize("loss", [["mse", "mae"], ("mse", "mae"), {"aux": "mae", "main": "mse"}])
def test_losses_for_each_output(loss):
    assert [p.loss for p in plan(TWO, loss)] == ["mse", "mae"]


def test_losses_of_other_kinds():
    instance = losses.MeanSquaredError()

    def mine(y_true, y_pred):
        return y_pred

    assert plan(ONE, instance)[0].loss is instance
    assert plan(ONE, mine)[0].loss is mine
    assert [p.has_target for p in plan(TWO, [None, "mse"])] == [False, True]
    assert [p.weight for p in plan(TWO, [None, "mse"], [0.5])] == [None, 0.5]
    assert [p.loss for p in plan(TWO, {"aux": "mse"})] == [None, "mse"]
    assert plan(ONE, "crossentropy")[0].loss == "crossentropy"
    assert not plan(ONE, None)[0].has_target


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [[], []]),
        ([["mae"], ["mse", "acc"]], [["mae"], ["mse", "acc"]]),
        (["mae", "mse"], [["mae"], ["mse"]]),  # Keras 3: one for each output
        (["mae"], [["mae"], ["mae"]]),  # Keras 2: all for every output
        ({"aux": ["mae"]}, [[], ["mae"]]),
        ({"aux": "mae", "main": ["mse"]}, [["mse"], ["mae"]]),
        ([None, "mae"], [[], ["mae"]]),
        ([[], ["mae"]], [[], ["mae"]]),
    ],
)
def test_metrics_for_two_outputs(given, expected):
    assert [p.metrics for p in plan(TWO, metrics=given)] == expected


def test_metrics_for_one_output():
    def mean_pred(y_true, y_pred):
        return y_pred

    own = metrics.MeanAbsoluteError()
    assert plan(ONE, metrics=["accuracy", mean_pred, own])[0].metrics == ["accuracy", mean_pred, own]
    assert plan(ONE, metrics=[["mae"]])[0].metrics == ["mae"]
    assert plan(ONE, metrics={"out": "mae"})[0].metrics == ["mae"]
    assert plan(ONE, weighted_metrics=["mae"])[0].weighted_metrics == ["mae"]


def test_metric_objects_are_not_shared_by_outputs():
    one, two = plan(TWO, metrics=[metrics.MeanAbsoluteError()])
    assert one.metrics[0] is not two.metrics[0]


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"loss": "binary_crossentropi"}, UnknownNameError, "binary_crossentropy"),
        ({"metrics": ["accuraci"]}, UnknownNameError, "accuracy"),
        ({"loss": ["mse"]}, InvalidArgumentError, "loss has 1 entries for 2 outputs"),
        ({"loss": {"mian": "mse"}}, UnknownNameError, "did you mean 'main'"),
        ({"loss_weights": [1.0]}, InvalidArgumentError, "loss_weights has 1 entries for 2 outputs"),
        ({"loss_weights": ["a"]}, InvalidArgumentError, "takes numbers"),
        ({"metrics": {"mian": "mae"}}, UnknownNameError, "no output of the model"),
        ({"metrics": [["mae"]]}, InvalidArgumentError, "metrics has 1 entries for 2 outputs"),
        ({"metrics": "mae"}, InvalidArgumentError, r"write metrics=\['mae'\]"),
    ],
)
def test_errors(arguments, kind, text):
    with pytest.raises(kind, match=text):
        plan(TWO, **arguments)
