"""Emitted source: canonical, readable, and as small as the kernel allows."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

import pytest

from kgraph.codegen import compile
from kgraph.codegen.cpu.emit import FAMILIES, kernels_of
from kgraph.codegen.cpu.intrinsics import NAMES
from kgraph.codegen.cpu.writer import literal_text
from kgraph.ir import Location, parse
from tests.numeric.models import MODELS
from tests.numeric.sheet import Sheet


def sources(s: Sheet) -> dict[str, str]:
    return compile(s.graph).sources()


@pytest.mark.parametrize("name", ["mlp_train", "lstm", "conv_batch_norm", "attention_train"])
def test_golden_source(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"source/{name}.py", "\n\n".join(compile(MODELS[name]().graph).sources().values()))


@pytest.mark.parametrize("name", MODELS)
def test_source_is_one_python_function(name: str) -> None:
    for kernel, text in compile(MODELS[name]().graph).sources().items():
        (function,) = ast.parse(text).body
        assert isinstance(function, ast.FunctionDef), kernel
        assert [argument.arg for argument in function.args.args] == ["ptrs", "dims", "begin", "end", "scratch"]
        stored = {
            node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        stored |= {argument.arg for argument in function.args.args}
        read = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assert read <= stored | set(NAMES) | {"min", "max", "range"}, kernel


def test_every_family_is_emitted() -> None:
    """The models together use all of them."""
    seen = {
        node.attrs["family"]
        for make in MODELS.values()
        for node in kernels_of(compile(make().graph).stages["schedule"])
    }
    assert seen >= set(FAMILIES) - {"concat", "cumsum", "argsort"}


def test_sizes_are_not_in_the_text() -> None:
    """Kernels that differ in sizes and layers only share their source."""
    texts = set()
    for width in (5, 12):
        s = Sheet("dense")
        x, w, bias = s.input(f"f32[B, {width}]"), s.param(f"f32[{width}, {width + 1}]"), s.param(f"f32[{width + 1}]")
        with s.b.location(Location("model.py", 1, f"layer_{width}")):
            s.out("y", s.b.relu(s.b.add(s.b.matmul(x, w), bias)))
        program = compile(s.graph)
        texts |= {kernel.source for kernel in program.kernels.values()}  # type: ignore[attr-defined]
        assert f"layer_{width}" in "".join(program.sources().values())
    assert len(texts) == 1


def test_headers_name_layers_and_shapes() -> None:
    s = Sheet("named")
    with s.b.location(Location("model.py", 7, "model/hidden")):
        s.out("y", s.b.tanh(s.input("f32[B, 3]")))
    (text,) = sources(s).values()
    assert "model/hidden" in text
    assert "f32[B, 3]" in text
    assert "model.py" in text


def test_contiguous_work_is_one_loop() -> None:
    s = Sheet("flat")
    s.out("y", s.b.relu(s.input("f32[B, 3, 4, 5]")))
    (text,) = sources(s).values()
    assert len(re.findall(r"\bfor\b", text)) == 1


def test_row_work_is_hoisted_out_of_the_inner_loop() -> None:
    """What depends on the row only is computed once per row."""
    s = Sheet("hoisted")
    x, scale = s.input("f32[B, 8]"), s.input("f32[B, 1]")
    s.out("y", s.b.mul(x, s.b.add(scale, 1.25)))
    (text,) = sources(s).values()
    lines = text.splitlines()
    added = next(line for line in lines if "1.25" in line)
    inner = [line for line in lines if "for " in line][-1]
    assert lines.index(added) < lines.index(inner)


def test_one_load_serves_all_readers() -> None:
    s = Sheet("loads")
    x = s.input("f32[B, 8]")
    s.out("y", [s.b.exp(x), s.b.tanh(x), s.b.mul(x, x)])
    (text,) = sources(s).values()
    assert text.count("load_f32(") == 1


@pytest.mark.parametrize(
    ("number", "dtype", "text"),
    [
        ("1.5", "f32", "to_f32(1.5)"), ("inf", "f32", "to_f32(float_inf)"), ("-inf", "f64", "to_f64(-float_inf)"),
        ("nan", "f32", "to_f32(float_nan)"), ("True", "bool", "True"), ("7", "i64", "7"), ("-7", "i32", "to_i32(-7)"),
    ],
)  # fmt: skip
def test_literals(number: str, dtype: str, text: str) -> None:
    assert literal_text(number, dtype) == text


def test_reading_a_schedule_back_gives_the_same_sources() -> None:
    program = compile(MODELS["mlp_train"]().graph)
    again = compile(parse(str(program.stages["schedule"])))
    assert list(program.sources().values()) == list(again.sources().values())
