"""Every file below tests/golden/ir: input, `// pipeline: ...`, and behind `// ----` what comes out.

Each also goes text -> IR -> text, verifies, and gives the same numbers before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kgraph.ir import Graph, parse, verify
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.interpreter import interpret
from kgraph.ir.passes import PassContext, parse_pipeline, run_passes
from kgraph.ir.types import is_float, numpy_dtype

ROOT = Path(__file__).parents[1] / "golden"
CASES = sorted((ROOT / "ir").rglob("*.kg"))
MARK = "// ----\n"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def pipeline_of(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("// pipeline: ")]
    return line.removeprefix("// pipeline: ")


def random_arrays(graph: Graph, seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    sizes = {name: max(least, 2 + k) for k, (name, least) in enumerate(graph.symbols.items())}

    def array(value):
        shape = evaluate_shape(value.shape, sizes)
        if is_float(value.dtype):
            return rng.standard_normal(shape).astype(numpy_dtype(value.dtype))
        return rng.integers(0, 2 if value.dtype == "bool" else 5, shape).astype(numpy_dtype(value.dtype))

    return {v.name: array(v) for v in graph.inputs}, {v.name: array(v) for v in graph.params}


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_golden(path: Path, golden: Callable[[str, str], None]) -> None:
    source = path.read_text(encoding="utf-8").split(MARK)[0]
    graph = parse(source)
    run_passes(graph, parse_pipeline(pipeline_of(source)), PassContext(verify=True))
    golden(name_of(path), f"{source}{MARK}{graph}\n")


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_again_changes_nothing(path: Path) -> None:
    source = path.read_text(encoding="utf-8").split(MARK)[0]
    graph = parse(source)
    passes = parse_pipeline(pipeline_of(source))
    run_passes(graph, passes, PassContext(verify=True))
    once = str(graph)
    run_passes(graph, passes, PassContext(verify=True))
    assert str(graph) == once


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_round_trip(path: Path) -> None:
    for text in path.read_text(encoding="utf-8").split(MARK):
        graph = parse(text)
        verify(graph)
        assert str(parse(str(graph))) == str(graph)
        assert str(graph.copy()) == str(graph)


@pytest.mark.parametrize("path", CASES, ids=name_of)
def test_same_numbers(path: Path) -> None:
    before, after = (parse(text) for text in path.read_text(encoding="utf-8").split(MARK))
    inputs, params = random_arrays(before, seed=7)
    with np.errstate(all="ignore"):
        expected = interpret(before, inputs, params)
        got = interpret(after, inputs, params)
    for a, b in zip(expected.outputs, got.outputs, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-6)
    for name, array in expected.updates.items():
        np.testing.assert_allclose(got.updates[name], array, rtol=2e-5, atol=1e-6)
