"""The examples under kgraph and under Keras on JAX, and on kgraph's two targets: equal losses at every step.

Each script is built twice from one text, the weights are copied, and both take 20 steps on the same batches.  The
seed is fixed: where an input of a ReLU or two cells of a pooling window lie closer to a tie than float32 resolves,
two implementations go apart by 1e-3 within 20 steps, whichever way they round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import kgraph
from tests.examples.scripts import load

STEPS = 20
SEED = 1
TOLERANCE = 1e-4  # relative, at every step: float32 sums in another order, grown over 20 steps


@dataclass(frozen=True)
class Case:
    """How an example is compared.

    Attributes:
        name: of the script.
        batch: rows of one step.
        inputs: how many of the arrays of `data()` are inputs; the rest are targets.
        build: settings of `build()`.
        arrays: makes the data where `data()` does not.
    """

    name: str
    batch: int = 32
    inputs: int = 1
    build: dict[str, Any] = field(default_factory=dict)
    arrays: Callable[[Any, int], tuple[list[Any], list[Any]]] | None = None

    def data(self, script: Any, rows: int) -> tuple[list[Any], list[Any]]:
        if self.arrays is not None:
            return self.arrays(script, rows)
        made = list(script.data(rows))
        return made[: self.inputs], made[self.inputs :]


def _digits(script: Any, rows: int) -> tuple[list[Any], list[Any]]:
    x, y, _, _ = script.load()
    return [x[:rows]], [y[:rows], y[:rows] % 2]


def _lstm(script: Any, rows: int) -> tuple[list[Any], list[Any]]:
    words, facts, answers = script.data(rows)
    return [words, facts], [answers, answers]


CASES = [
    Case("digits", build={"dropout": 0.0}, arrays=_digits),
    Case("sequential_mlp"),
    Case("binary_classifier"),
    Case("ten_class"),
    Case("functional_mlp", batch=64),
    Case("time_distributed", batch=8),
    Case("multi_io_lstm", batch=8, arrays=_lstm),
    Case("shared_conv", batch=8, inputs=2),
    Case("nested_residual", batch=16),
    Case("siamese", inputs=2),
    Case("frozen_and_submodel"),
    Case("custom_layer"),
]
IDS = [case.name for case in CASES]


def losses_of(model: Any, case: Case, script: Any, batches: int = 4) -> list[float]:
    """The loss at each step; the batches come round again after four."""
    inputs, targets = case.data(script, case.batch * batches)
    losses = []
    for step in range(STEPS):
        rows = slice(case.batch * (step % batches), case.batch * (step % batches + 1))
        x, y = [array[rows] for array in inputs], [array[rows] for array in targets]
        model.reset_metrics()  # Keras goes on averaging over the batches otherwise
        logs = model.train_on_batch(x if len(x) > 1 else x[0], y if len(y) > 1 else y[0], return_dict=True)
        losses.append(float(logs["loss"]))
    return losses


def assert_same_losses(a: list[float], b: list[float]) -> None:
    assert np.isfinite(a).all()
    assert min(a) != max(a)
    np.testing.assert_allclose(a, b, rtol=TOLERANCE)


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_as_keras(case: Case) -> None:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(SEED)
    theirs_script, ours_script = load(case.name, under_keras=True), load(case.name)
    theirs, ours = theirs_script.build(**case.build), ours_script.build(**case.build)
    weights = theirs.get_weights()
    assert [w.shape for w in weights] == [w.shape for w in ours.get_weights()]
    ours.set_weights(weights)
    theirs_script.compile_model(theirs)
    ours_script.compile_model(ours, target="cpu")
    assert_same_losses(losses_of(ours, case, ours_script), losses_of(theirs, case, ours_script))
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_cpu_as_reference(case: Case) -> None:
    kgraph.utils.set_random_seed(SEED)
    script = load(case.name)
    on_cpu, on_reference = script.build(**case.build), script.build(**case.build)
    on_reference.set_weights(on_cpu.get_weights())
    script.compile_model(on_cpu, target="cpu")
    script.compile_model(on_reference, target="reference")
    assert_same_losses(losses_of(on_cpu, case, script), losses_of(on_reference, case, script))
