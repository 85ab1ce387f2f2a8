"""Kernel source to object code."""

import ctypes

import numpy as np
import pytest

from kgraph.codegen.cpu import objects
from kgraph.codegen.cpu.compile import (
    KernelCompileError,
    compile_kernel,
    compile_kernels,
    kernel_llvm,
    vector_width_used,
)

COPY = """
def kernel(ptrs, dims, begin, end, scratch):
    source = address(ptrs, 0)
    target = address(ptrs, 1)
    for i in range(begin, end):
        store_f32(target, i, load_f32(source, i, 0) * to_f32({factor}), 1)
"""


def run(data: bytes, symbol: str, arrays: list[np.ndarray], begin: int, end: int, dims: tuple[int, ...] = ()) -> None:
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(objects.load_object(data).address(symbol))
    pointers = np.array([array.ctypes.data for array in arrays], np.int64)
    sizes = np.array([*dims, 0], np.int64)
    function(pointers.ctypes.data, sizes.ctypes.data, begin, end, 0)


def test_a_kernel_runs_over_its_range_only():
    x, y = np.arange(100, dtype=np.float32), np.zeros(100, np.float32)
    run(compile_kernel(COPY.format(factor=2.0), "kernel", "compile_copy"), "compile_copy", [x, y], 10, 90)
    np.testing.assert_array_equal(y, np.where((np.arange(100) >= 10) & (np.arange(100) < 90), 2 * x, 0))


def test_the_object_exports_the_symbol_and_needs_nothing():
    data = compile_kernel(COPY.format(factor=2.0), "kernel", "compile_alone")
    assert objects.undefined_symbols(data) == []
    assert objects.load_object(data).symbols == ("compile_alone",)


def test_the_same_source_gives_the_same_bytes():
    text = COPY.format(factor=3.0)
    assert compile_kernel(text, "kernel", "compile_again") == compile_kernel(text, "kernel", "compile_again")


def test_many_kernels():
    made = compile_kernels((COPY.format(factor=f), "kernel", f"compile_many_{f}") for f in (1, 2))
    assert list(made) == ["compile_many_1", "compile_many_2"]


def test_integer_arithmetic_and_nested_loops():
    source = """
def kernel(ptrs, dims, begin, end, scratch):
    out = address(ptrs, 0)
    columns = dim(dims, 0)
    for task in range(begin, end):
        row = task // columns
        column = task % columns
        total = 0
        for k in range(row):
            total += k * column
        store_i64(out, task, total + max(row, column) - (task & 3), 0)
"""
    out = np.zeros(60, np.int64)
    run(compile_kernel(source, "kernel", "compile_integers"), "compile_integers", [out], 0, 60, (7,))
    task = np.arange(60)
    row, column = task // 7, task % 7
    np.testing.assert_array_equal(out, column * row * (row - 1) // 2 + np.maximum(row, column) - (task & 3))


def test_division_by_zero_is_ieee_not_an_exception():
    source = COPY.replace("* to_f32({factor})", "/ load_f32(source, i - i, 0)")
    x, y = np.array([0, 1, -1], np.float32), np.zeros(3, np.float32)
    run(compile_kernel(source, "kernel", "compile_division"), "compile_division", [x, y], 0, 3)
    np.testing.assert_array_equal(y, np.array([np.nan, np.inf, -np.inf], np.float32))


def test_fast_math_keeps_nan():
    source = """
def kernel(ptrs, dims, begin, end, scratch):
    p = address(ptrs, 0)
    q = address(ptrs, 1)
    for i in range(begin, end):
        v = load_f32(p, i, 0)
        store_bool(q, i, v != v, 1)
"""
    x, y = np.array([np.nan, 1, np.inf], np.float32), np.zeros(3, np.bool_)
    run(compile_kernel(source, "kernel", "compile_nan"), "compile_nan", [x, y], 0, 3)
    assert y.tolist() == [True, False, False]


def test_an_undefined_name_is_named_with_its_line():
    source = COPY.replace("* to_f32({factor})", "+ unknown_name")
    with pytest.raises(KernelCompileError, match="uses the name 'unknown_name'") as caught:
        compile_kernel(source, "kernel", "compile_unknown")
    error = caught.value
    assert (error.kernel, error.line) == ("compile_unknown", 6)
    assert "store_f32(target, i, load_f32(source, i, 0) + unknown_name, 1)" in str(error)


def test_a_typing_error_names_kernel_line_and_reason():
    source = COPY.replace("* to_f32({factor})", "* m_exp(i)")
    with pytest.raises(KernelCompileError) as caught:
        compile_kernel(source, "kernel", "compile_typing")
    error = caught.value
    assert (error.kernel, error.line) == ("compile_typing", 6)
    assert "m_exp takes f32 or f64, not i64" in error.got
    assert len(error.got) <= 400
    assert error.__cause__ is not None


def test_a_scope_must_be_a_literal_in_range():
    for scope, reason in (("i", "literal"), ("99", "scope 99")):
        source = COPY.format(factor=1).replace("load_f32(source, i, 0)", f"load_f32(source, i, {scope})")
        with pytest.raises(KernelCompileError, match=reason):
            compile_kernel(source, "kernel", "compile_scope")


def test_python_objects_are_an_error():
    source = "def kernel(ptrs, dims, begin, end, scratch):\n    print('hello', [begin])\n"
    with pytest.raises(KernelCompileError):
        compile_kernel(source, "kernel", "compile_objects")


def test_bad_syntax_and_a_missing_entry_are_errors():
    with pytest.raises(KernelCompileError, match="is not Python") as caught:
        compile_kernel("def kernel(:\n  pass", "kernel", "compile_syntax")
    assert caught.value.line == 1
    with pytest.raises(KernelCompileError, match="defines no function 'kernel'"):
        compile_kernel("x = 1", "kernel", "compile_entry")


def test_dumped_source_is_what_errors_point_to(tmp_path):
    with pytest.raises(KernelCompileError, match=r"compile_dumped\.py:6"):
        compile_kernel(COPY.replace("to_f32", "to_f33"), "kernel", "compile_dumped", dump_directory=tmp_path)
    assert "to_f33" in (tmp_path / "compile_dumped.py").read_text()


def test_vector_width_used():
    assert vector_width_used("\tvaddps\t%zmm0, %zmm1, %zmm2\n") == 512
    assert vector_width_used("\tvfmadd213ps\t%ymm0, %ymm1, %ymm2\n") == 256
    assert vector_width_used("\taddps\t%xmm0, %xmm1\n") == 128
    assert vector_width_used("\tvaddss\t%xmm0, %xmm1, %xmm2\n\tvmovups\t%zmm0, (%rdi)\n") == 0
    assert vector_width_used(objects.emit_assembly(kernel_llvm(COPY.format(factor=2), "kernel", "compile_width"))) > 0


RANGES = """
def kernel(ptrs, dims, begin, end, scratch):
    out = address(ptrs, 0)
    for i in range(dim(dims, 0)):
        store_i64(out, 0, load_i64(out, 0) + 1)
    for i in range(begin, end):
        store_i64(out, 1, load_i64(out, 1) + i)
    for i in range(begin, end, dim(dims, 1)):
        store_i64(out, 2, load_i64(out, 2) + i)
        store_i64(out, 3, quotient(i, 3) * 10 + remainder(i, 3))
"""


@pytest.mark.parametrize("bounds", [(0, 0), (0, 1), (2, 11), (5, 2), (7, 7), (0, 1000)])
@pytest.mark.parametrize(("count", "step"), [(0, 1), (-3, 2), (1, 3), (9, 64)])
def test_ranges(bounds: tuple[int, int], count: int, step: int) -> None:
    begin, end = bounds
    out = np.zeros(4, np.int64)
    run(compile_kernel(RANGES, "kernel", "compile_ranges"), "compile_ranges", [out], begin, end, (count, step))
    steps = range(begin, end, step)
    last = steps[-1] // 3 * 10 + steps[-1] % 3 if steps else 0
    assert out.tolist() == [max(count, 0), sum(range(begin, end)), sum(steps), last]
