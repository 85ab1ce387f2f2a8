"""The names of kernel source: accuracy, special values, vectorisation, aliasing, random numbers."""

import ctypes
import math
from collections.abc import Callable

import numpy as np
import pytest

from kgraph.codegen.cpu import objects
from kgraph.codegen.cpu.compile import compile_kernel, kernel_llvm, vector_width_used
from kgraph.codegen.cpu.intrinsics import NAMES
from kgraph.ir.philox import philox4x32, philox_reference

NUMPY = {"f32": np.float32, "f64": np.float64, "i8": np.int8, "u8": np.uint8, "i32": np.int32, "u32": np.uint32}
NUMPY |= {"i64": np.int64, "bool": np.bool_}


def native(source: str, symbol: str) -> Callable[..., None]:
    """A kernel as a function of (arrays, begin, end, dims)."""
    address = objects.load_object(compile_kernel(source, "kernel", symbol)).address(symbol)
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 5)(address)

    def run(arrays: list[np.ndarray], begin: int, end: int, dims: tuple[int, ...] = ()) -> None:
        pointers = np.array([array.ctypes.data for array in arrays], np.int64)
        sizes = np.array([*dims, 0], np.int64)
        function(pointers.ctypes.data, sizes.ctypes.data, begin, end, 0)

    return run


def elementwise_source(expression: str, kinds: list[str], result: str) -> str:
    """A loop that stores ``expression`` of x0, x1, ...; array k has scope k."""
    lines = ["def kernel(ptrs, dims, begin, end, scratch):"]
    lines += [f"    p{k} = address(ptrs, {k})" for k in range(len(kinds) + 1)]
    lines.append("    for i in range(begin, end):")
    lines += [f"        x{k} = load_{kind}(p{k}, i, {k})" for k, kind in enumerate(kinds)]
    lines.append(f"        store_{result}(p{len(kinds)}, i, {expression}, {len(kinds)})")
    return "\n".join(lines)


_made = 0


def apply(expression: str, *arrays: np.ndarray, result: str | None = None) -> np.ndarray:
    """Evaluate an expression of x0, x1, ... over arrays of equal length in a compiled kernel."""
    global _made
    _made += 1
    names = {np.dtype(numpy): kind for kind, numpy in NUMPY.items()}
    kinds = [names[array.dtype] for array in arrays]
    result = result or kinds[0]
    out = np.empty(len(arrays[0]), NUMPY[result])
    run = native(elementwise_source(expression, kinds, result), f"intrinsics_apply_{_made}")
    run([*arrays, out], 0, len(out))
    return out


def ulp(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Error in units in the last place of f32; infinite where only one of the two is finite or NaN."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    finite = np.isfinite(rounded) & np.isfinite(got)
    error = np.where((got == rounded) | (np.isnan(got) & np.isnan(rounded)), 0.0, np.inf)
    error[finite] = np.abs(got[finite].astype(np.float64) - exact[finite]) / np.spacing(np.abs(rounded[finite]))
    return error


SPECIAL = np.array(
    [np.inf, -np.inf, np.nan, 0.0, -0.0, 1e-45, -1e-45, 1.1754944e-38, 1, -1, 0.5, 88.72, 88.73, -87.4, -103.9, -104.1]
    + [3.4028235e38, -3.4028235e38, 1e-8, -1e-8, 0.625, 0.6250001, 1.0000001, 0.99999994],
    np.float32,
)


def numbers(low: float, high: float) -> np.ndarray:
    """All magnitudes alike (random bits), then evenly spread around 0 at several scales, then special values."""
    generator = np.random.default_rng(7)
    bits = generator.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    even = [generator.uniform(max(low, -s), min(high, s), 40_000).astype(np.float32) for s in (100.0, 10.0, 1.0, 0.1)]
    x = np.concatenate([bits, *even, SPECIAL])
    return x[np.isnan(x) | ((x >= low) & (x <= high))]


def exact_sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


def exact_softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


EVERYWHERE = (-np.inf, np.inf)
ACCURACY = {
    "exp": (np.exp, EVERYWHERE, 1.1),
    "expm1": (np.expm1, EVERYWHERE, 1.5),
    "log": (np.log, EVERYWHERE, 1.0),
    "log1p": (np.log1p, EVERYWHERE, 1.5),
    "tanh": (np.tanh, EVERYWHERE, 1.5),
    "sigmoid": (exact_sigmoid, EVERYWHERE, 2.0),
    "softplus": (exact_softplus, EVERYWHERE, 2.0),
    "erf": (np.vectorize(math.erf, otypes=[np.float64]), EVERYWHERE, 1.2),
    "sqrt": (np.sqrt, EVERYWHERE, 0.501),
    "rsqrt": (lambda x: 1.0 / np.sqrt(x), EVERYWHERE, 1.6),
    "sin": (np.sin, (-1e9, 1e9), 0.51),
    "cos": (np.cos, (-1e9, 1e9), 0.51),
    "floor": (np.floor, EVERYWHERE, 0.0),
    "ceil": (np.ceil, EVERYWHERE, 0.0),
    "rint": (np.rint, EVERYWHERE, 0.0),
    "fabs": (np.abs, EVERYWHERE, 0.0),
    "sign": (np.sign, EVERYWHERE, 0.0),
}


@pytest.mark.parametrize("name", ACCURACY)
def test_f32_functions_are_accurate_everywhere(name):
    exact, (low, high), bound = ACCURACY[name]
    x = numbers(low, high)
    got = apply(f"m_{name}(x0)", x)
    with np.errstate(all="ignore"):
        error = ulp(got, exact(x.astype(np.float64)))
    worst = int(error.argmax())
    assert error[worst] <= bound, f"{name}({x[worst]!r}) = {got[worst]!r}, {error[worst]:.2f} ulp"


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "sigmoid", "softplus", "erf", "rsqrt"])
def test_f32_functions_vectorise_at_full_width_without_calls(name):
    text = kernel_llvm(elementwise_source(f"m_{name}(x0)", ["f32"], "f32"), "kernel", f"intrinsics_width_{name}")
    assembly = objects.emit_assembly(text)
    assert vector_width_used(assembly) == objects.host_vector_bits()
    assert "\tcall" not in assembly


def test_sin_and_cos_stay_bounded_for_huge_arguments():
    x = np.array([1e20, -3e38, 1e15], np.float32)
    assert (np.abs(apply("m_sin(x0)", x)) <= 1).all()
    assert np.isnan(apply("m_cos(x0)", np.array([np.inf, -np.inf, np.nan], np.float32))).all()


def test_signed_zero_is_kept():
    zero = np.array([-0.0], np.float32)
    for name in ("expm1", "log1p", "tanh", "erf", "sin", "sqrt", "floor", "rint", "sign"):
        assert np.signbit(apply(f"m_{name}(x0)", zero)).all(), name


def test_pow():
    generator = np.random.default_rng(3)
    x = np.abs(numbers(-np.inf, np.inf))
    x = x[np.isfinite(x)]
    y = (generator.standard_normal(len(x)) * generator.choice([0.1, 1, 10, 100], len(x))).astype(np.float32)
    with np.errstate(all="ignore"):
        assert ulp(apply("m_pow(x0, x1)", x, y), np.power(x.astype(np.float64), y.astype(np.float64))).max() <= 0.51
    corners = np.array([*SPECIAL, 2, 3, -2, -3, 0.5, -0.5, 16777216, 16777215, -16777215], np.float32)
    a, b = (grid.reshape(-1).copy() for grid in np.meshgrid(corners, corners))
    with np.errstate(all="ignore"):
        assert ulp(apply("m_pow(x0, x1)", a, b), np.power(a.astype(np.float64), b.astype(np.float64))).max() <= 1


@pytest.mark.parametrize("name", [name for name in ACCURACY if name not in ("sin", "cos")])
def test_f64_functions_agree_with_numpy(name):
    x = np.concatenate([np.linspace(-30, 30, 1201), SPECIAL.astype(np.float64)])
    with np.errstate(all="ignore"):
        exact = ACCURACY[name][0](x)
    np.testing.assert_allclose(apply(f"m_{name}(x0)", x), exact, rtol=4e-16, atol=0)


def test_f64_pow_sin_cos_fma():
    x, y = np.linspace(0.1, 9, 50), np.linspace(-3, 3, 50)
    np.testing.assert_allclose(apply("m_pow(x0, x1)", x, y), x**y, rtol=4e-16)
    np.testing.assert_allclose(apply("m_sin(x0) + m_cos(x1)", x, y), np.sin(x) + np.cos(y), rtol=4e-16, atol=1e-16)
    tiny = np.full(1, 2.0**-60)
    assert apply("m_fma(x0, x0, to_f64(-1.0))", 1 + tiny * 2**20)[0] == 2.0**-39 + 2.0**-80


def test_maximum_and_minimum_propagate_nan():
    a, b = (grid.reshape(-1).copy() for grid in np.meshgrid(SPECIAL, SPECIAL))
    np.testing.assert_array_equal(apply("maximum(x0, x1)", a, b), np.maximum(a, b))
    np.testing.assert_array_equal(apply("minimum(x0, x1)", a, b), np.minimum(a, b))
    for numpy in (np.int32, np.int64, np.uint32, np.uint8, np.int8):
        x, y = np.array([3, 250, 7]).astype(numpy), np.array([5, 2, 7]).astype(numpy)
        np.testing.assert_array_equal(apply("maximum(x0, x1)", x, y), np.maximum(x, y))


def test_relu_by_select_keeps_nan():
    np.testing.assert_array_equal(apply("select(x0 < 0, 0, x0)", SPECIAL), np.maximum(SPECIAL, 0))


@pytest.mark.parametrize("source", NUMPY)
@pytest.mark.parametrize("target", NUMPY)
def test_casts_are_numpys(source, target):
    values = [0, 1, 2, 7, 100, 127] if target in ("i8", "u8") or source in ("i8", "u8") else [0, 1, 2, 7, 100, 70000]
    x = np.array(values).astype(NUMPY[source])
    if source in ("f32", "f64") and target != "bool":
        x = np.concatenate([x, (x[:4] + 0.75).astype(x.dtype)])
    if source in ("f32", "f64", "i8", "i32", "i64") and target not in ("u8", "u32"):
        x = np.concatenate([x, -x])
    np.testing.assert_array_equal(apply(f"to_{target}(x0)", x, result=target), x.astype(NUMPY[target]))


def test_nan_is_true_and_large_unsigned_numbers_survive():
    assert apply("to_bool(x0)", np.array([np.nan, 0.0, -0.0], np.float32), result="bool").tolist() == [
        True,
        False,
        False,
    ]
    big = np.array([2**32 - 1, 2**31], np.uint32)
    np.testing.assert_array_equal(apply("to_f64(x0)", big, result="f64"), big.astype(np.float64))
    np.testing.assert_array_equal(apply("to_u32(x0)", big.astype(np.float64), result="u32"), big)


def test_logic_on_bools():
    a, b = np.array([0, 0, 1, 1], np.bool_), np.array([0, 1, 0, 1], np.bool_)
    np.testing.assert_array_equal(apply("(x0 & x1) | (not x0)", a, b), (a & b) | ~a)
    np.testing.assert_array_equal(apply("x0 ^ x1", a, b), a ^ b)


MANY = """
def kernel(ptrs, dims, begin, end, scratch):
    a = address(ptrs, 0)
    b = address(ptrs, 1)
    c = address(ptrs, 2)
    d = address(ptrs, 3)
    e = address(ptrs, 4)
    seed = dim(dims, 0)
    for i in range(begin, end):
        x = load_f32(a, i{0})
        y = load_f32(b, i{1})
        kept = philox_uniform(seed, 5, i, 2) >= to_f32(0.25)
        store_f32(c, i, m_tanh(x) * m_exp(y) + m_sigmoid(x) * m_erf(y){2})
        store_f32(d, i, select(kept, m_log(m_fabs(x)), maximum(y, 0)){3})
        store_bool(e, i, (x > y) & kept{4})
"""
SCOPES = [f", {k}" for k in range(5)]


def test_a_fused_loop_is_packed_at_full_width_without_calls_or_alias_checks():
    text = kernel_llvm(MANY.format(*SCOPES), "kernel", "intrinsics_many")
    assembly = objects.emit_assembly(text)
    assert vector_width_used(assembly) == objects.host_vector_bits()
    assert "\tcall" not in assembly
    assert "memcheck" not in objects.optimized_ir(text)


def test_without_scopes_nothing_is_assumed():
    text = kernel_llvm(MANY.format(*[""] * 5), "kernel", "intrinsics_unscoped")
    assert "memcheck" in objects.optimized_ir(text)
    assert "noalias !" not in text


def test_one_scope_for_overlapping_pointers_is_correct():
    source = elementwise_source("x0 + to_f32(1.0)", ["f32"], "f32").replace("i, 0)", "i, 1)")
    x = np.zeros(1000, np.float32)
    native(source, "intrinsics_overlap")([x, x[1:]], 0, 999)
    np.testing.assert_array_equal(x, np.arange(1000))


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_extremum_reductions_vectorise(name):
    source = f"""
def kernel(ptrs, dims, begin, end, scratch):
    a = address(ptrs, 0)
    best = load_f32(a, begin, 0)
    for i in range(begin, end):
        best = {name}(best, load_f32(a, i, 0))
    store_f32(address(ptrs, 1), 0, best, 1)
"""
    symbol = f"intrinsics_reduce_{name}"
    assert vector_width_used(objects.emit_assembly(kernel_llvm(source, "kernel", symbol))) == objects.host_vector_bits()
    run, out = native(source, symbol), np.zeros(1, np.float32)
    x = np.random.default_rng(1).standard_normal(1003).astype(np.float32)
    run([x, out], 0, 1003)
    assert out[0] == getattr(np, name).reduce(x)
    x[500] = np.nan
    run([x, out], 0, 1003)
    assert np.isnan(out[0])


def test_bytes_are_set_and_copied():
    source = """
def kernel(ptrs, dims, begin, end, scratch):
    memset0(address(ptrs, 0), 4 * end)
    memcpy(address(ptrs, 1), address(ptrs, 2), 4 * begin)
"""
    a, b, c = np.ones(8, np.float32), np.zeros(8, np.float32), np.arange(8, dtype=np.float32)
    native(source, "intrinsics_bytes")([a, b, c], 3, 5)
    assert a.tolist() == [0] * 5 + [1] * 3
    assert b.tolist() == [0, 1, 2, 0, 0, 0, 0, 0]


def test_native_symbols_are_called():
    text = """
    define void @intrinsics_callee(i64 %p, i64 %v) {
      %q = inttoptr i64 %p to ptr
      store i64 %v, ptr %q
      ret void
    }"""
    objects.load_object(objects.emit_object(text))
    source = """
def kernel(ptrs, dims, begin, end, scratch):
    call_symbol("intrinsics_callee", address(ptrs, 0), begin + end)
"""
    out = np.zeros(1, np.int64)
    native(source, "intrinsics_caller")([out], 20, 22)
    assert out[0] == 42


# ------------------------------------------------------------------------------
# Philox


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    """The vectors published with Random123 (kat_vectors, philox4x32 10)."""
    words = philox4x32(tuple(np.array([word], np.uint64) for word in counter), key)
    assert " ".join(f"{int(word[0]):08x}" for word in words) == expected


PHILOX = """
def kernel(ptrs, dims, begin, end, scratch):
    out = address(ptrs, 0)
    for i in range(begin, end):
        store_f32(out, i - begin, philox_uniform(dim(dims, 0), 3, i, dim(dims, 1)), 0)
"""
PHILOX_FILL = """
def kernel(ptrs, dims, begin, end, scratch):
    philox_fill(address(ptrs, 0), begin, end - begin, dim(dims, 0), 3, dim(dims, 1))
"""


@pytest.mark.parametrize("source", [PHILOX, PHILOX_FILL], ids=["element", "fill"])
def test_philox_is_the_reference_bit_for_bit(source):
    run = native(source, "intrinsics_philox" if source is PHILOX else "intrinsics_philox_fill")
    cases = [(0, 0, 0, 1000), (123456789012345, -7, 5, 1003), (-5, 2**40 + 3, 2**34 - 37, 500), (1, 2, 3, 2)]
    for seed, step, first, count in [*cases, (1, 2, 1, 1), (1, 2, 62, 3), (9, 9, 4, 0)]:
        out = np.full(count + 8, -1, np.float32)
        run([out], first, first + count, (seed, step))
        np.testing.assert_array_equal(out[:count], philox_reference(seed, 3, step, count, first))
        assert (out[count:] == -1).all()


LOCAL = """
def kernel(ptrs, dims, begin, end, scratch):
    out = address(ptrs, 0)
    first = local_f32(64)
    second = local_f32(3)
    philox_fill(first, 0, 64, 1, 3, 2)
    for i in range(3):
        store_f32(second, i, load_f32(first, i, 62), 63)
    for i in range(begin, end):
        store_f32(out, i, load_f32(first, i, 62) + load_f32(second, i % 3, 63), 0)
"""


def test_local_memory_is_of_its_own_and_outlives_loops():
    out = np.empty(64, np.float32)
    native(LOCAL, "intrinsics_local")([out], 0, 64, (0,))
    numbers = philox_reference(1, 3, 2, 64, 0)
    np.testing.assert_array_equal(out, numbers + numbers[np.arange(64) % 3])


def test_philox_numbers_are_uniform():
    x = philox_reference(42, 1, 7, 100_000)
    assert x.dtype == np.float32
    assert 0 <= x.min() < 1e-4 and 1 - 1e-4 < x.max() < 1
    assert abs(x.mean() - 0.5) < 3 * math.sqrt(1 / 12 / len(x))
    assert not np.array_equal(x, philox_reference(42, 2, 7, 100_000))


def test_all_names_are_documented_kinds():
    assert {f"load_{kind}" for kind in NUMPY} | {f"store_{kind}" for kind in NUMPY} <= set(NAMES)
    assert {"address", "dim", "select", "m_exp", "call_symbol", "memset0", "memcpy"} <= set(NAMES)
