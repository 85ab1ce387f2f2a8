"""Each op on the CPU target against the interpreter: one compilation, several batch sizes."""

from __future__ import annotations

import numpy as np
import pytest

from kgraph.codegen import run_graph
from tests.numeric.cases import SHEETS, build

ALL = [(name, dtype) for name, (_, dtypes) in SHEETS.items() for dtype in dtypes]


@pytest.mark.parametrize(("name", "dtype"), ALL)
def test_cpu_against_interpreter(name: str, dtype: str) -> None:
    build(name, dtype).check()


@pytest.mark.parametrize("name", ["unary", "reductions", "moves", "products", "loops"])
def test_run_graph_on_both_targets(name: str) -> None:
    made = build(name, "f32")
    arrays = made.arrays({"B": 3})
    reference, cpu = (run_graph(made.graph, arrays, target) for target in ("reference", "cpu"))
    assert len(reference) == len(cpu)
    for a, b in zip(reference, cpu):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)
