"""LLVM text to object code to this process."""

import ctypes
import subprocess
import sys
import textwrap

import pytest

from kgraph.codegen.cpu import objects

INTEGER_FUNCTION = "define i64 @{name}(i64 %x) {{\n  %y = mul i64 %x, {factor}\n  ret i64 %y\n}}\n"


def call(module: objects.NativeModule, symbol: str, value: int) -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(module.address(symbol))(value))


def test_an_object_runs_and_names_its_symbols():
    module = objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_triple", factor=3)))
    assert module.symbols == ("objects_triple",)
    assert call(module, "objects_triple", 14) == 42


def test_the_same_bytes_are_loaded_once():
    data = objects.emit_object(INTEGER_FUNCTION.format(name="objects_once", factor=5))
    assert objects.load_object(data) is objects.load_object(bytes(data))


def test_equal_symbols_of_different_objects_stay_apart():
    first = objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_same", factor=2)))
    second = objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_same", factor=7)))
    assert (call(first, "objects_same", 10), call(second, "objects_same", 10)) == (20, 70)


def test_an_unknown_symbol_of_an_object_is_an_error():
    module = objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_known", factor=3)))
    with pytest.raises(objects.NativeCodeError, match=r"does not define 'other' \(it defines objects_known\)"):
        module.address("other")


def test_external_symbols_are_resolved_and_a_missing_one_is_an_error_that_can_be_mended():
    text = """
    declare i64 @objects_given(i64)
    define i64 @objects_user(i64 %x) {
      %y = call i64 @objects_given(i64 %x)
      ret i64 %y
    }"""
    data = objects.emit_object(text)
    assert objects.undefined_symbols(data) == ["objects_given"]
    with pytest.raises(objects.NativeCodeError, match="needs 'objects_given'"):
        objects.load_object(data)
    provider = objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_provider", factor=9)))
    objects.add_symbol("objects_given", provider.address("objects_provider"))
    assert call(objects.load_object(data), "objects_user", 3) == 27


def test_objects_call_one_another_and_libm():
    objects.load_object(objects.emit_object(INTEGER_FUNCTION.format(name="objects_library", factor=4)))
    text = """
    declare i64 @objects_library(i64)
    declare double @erf(double)
    define i64 @objects_client(i64 %x) {
      %y = call i64 @objects_library(i64 %x)
      %f = sitofp i64 %x to double
      %g = call double @erf(double %f)
      %h = fptosi double %g to i64
      %z = add i64 %y, %h
      ret i64 %z
    }"""
    assert call(objects.load_object(objects.emit_object(text)), "objects_client", 30) == 121


@pytest.mark.parametrize("text", ["define nonsense", "define i64 @f() {\n ret i32 0\n}"])
def test_bad_llvm_text_is_an_error(text):
    with pytest.raises(objects.NativeCodeError, match="LLVM refused the module"):
        objects.emit_object(text)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="objects are ELF on Linux only")
def test_bytes_that_are_no_object_are_an_error():
    with pytest.raises(objects.NativeCodeError, match="not a 64-bit ELF"):
        objects.load_object(b"hello")
    data = objects.emit_object(INTEGER_FUNCTION.format(name="objects_cut", factor=3))
    with pytest.raises(objects.NativeCodeError, match="damaged"):
        objects.load_object(data[: len(data) // 2])


def test_the_cpu_key_names_what_code_depends_on():
    key = objects.host_cpu_key()
    assert "llvmlite" in key
    assert f"emission {objects.EMISSION_VERSION}" in key
    assert objects.host_vector_bits() in (128, 256, 512)


def test_loading_needs_no_numba():
    code = """
    import sys
    from kgraph.codegen.cpu import objects, cache
    objects.load_object(objects.emit_object("define void @f() {\\n ret void\\n}"))
    assert not any(name.split(".")[0] == "numba" for name in sys.modules), "numba was imported"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60)
