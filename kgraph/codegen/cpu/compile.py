"""Kernel source to object code: Numba's front end types and lowers it, llvmlite optimises it once.

Numba stops at LLVM text: its own optimiser, its engine and its Python wrappers never run. The text is wrapped into
``void symbol(ptrs, dims, begin, end, scratch)``, the functions of ``mathlib`` it uses are added, and everything but
``symbol`` becomes internal, so the optimiser inlines it away.

Invariant: an object that comes out needs no Python, no Numba run time; it may need libm, libc and the symbols named
in ``call_symbol``. Numba is imported inside functions: a warm start imports this module at most for
:class:`KernelCompileError`.
"""

from __future__ import annotations

import ast
import builtins
import linecache
import re
import threading
import types as python_types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kgraph.codegen.cpu import mathlib, objects
from kgraph.codegen.cpu.cache import Emit
from kgraph.errors import CompileError

__all__ = ["KernelCompileError", "compile_kernel", "compile_kernels", "emit_kernel", "kernel_llvm", "vector_width_used"]


class KernelCompileError(CompileError):
    """A kernel could not be compiled. ``kernel`` is its symbol, ``line`` its 1-based source line (0 if unknown)."""

    def __init__(
        self, message: str, *, kernel: str, line: int = 0, where: str = "", got: str = "", fix: str = ""
    ) -> None:
        self.kernel, self.line = kernel, line
        super().__init__(message, where=where, got=got, fix=fix)


def compile_kernel(source: str, entry: str, symbol: str, *, dump_directory: Path | None = None) -> bytes:
    """Object code of one kernel.

    ``source`` defines ``entry(ptrs, dims, begin, end, scratch)`` and may use every name of ``intrinsics.NAMES``;
    the object defines ``symbol`` as a C function of five int64. With ``dump_directory`` the source is written there
    as ``<symbol>.py``, and tracebacks name that file. Raises :class:`KernelCompileError`.
    """
    return emit_kernel(kernel_llvm(source, entry, symbol, dump_directory=dump_directory), symbol)


def emit_kernel(text: str, symbol: str, emit: Emit = objects.emit_object) -> bytes:
    """Object code of the text of :func:`kernel_llvm`; takes no lock of Numba's, so it runs beside the next kernel's
    front end. Raises :class:`KernelCompileError`.
    """
    try:
        data = emit(text)
    except objects.NativeCodeError as error:
        raise KernelCompileError(f"LLVM refused kernel {symbol}", kernel=symbol, got=_shorten(str(error))) from error
    foreign = [name for name in objects.undefined_symbols(data) if name.startswith(("Py", "_Py", "NRT_", "numba_"))]
    if foreign:
        message = f"kernel {symbol} needs Python at run time"
        raise KernelCompileError(message, kernel=symbol, got=", ".join(foreign), where=_file_name(symbol, None))
    return data


def compile_kernels(kernels: Iterable[tuple[str, str, str]], *, dump_directory: Path | None = None) -> dict[str, bytes]:
    """Objects by symbol for many ``(source, entry, symbol)``: one object each, so that each is cached alone."""
    return {
        symbol: compile_kernel(source, entry, symbol, dump_directory=dump_directory)
        for source, entry, symbol in kernels
    }


# ------------------------------------------------------------------------------
# Source to LLVM text

_lock = threading.RLock()


def kernel_llvm(source: str, entry: str, symbol: str, *, dump_directory: Path | None = None) -> str:
    """The complete LLVM module of a kernel before optimisation (for :func:`objects.emit_object`, tests and
    dumps).
    """
    file = _file_name(symbol, dump_directory)
    if dump_directory is not None:
        dump_directory.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(source, encoding="utf-8")
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    from kgraph.codegen.cpu.frontend import lower_kernel

    with _lock:
        function = _entry_function(source, entry, symbol, file)
        try:
            lowered, inner = lower_kernel(function)
        except Exception as error:
            raise _explained(error, source, symbol, file) from error
    return _complete(lowered, inner, symbol)


def _file_name(symbol: str, dump_directory: Path | None) -> str:
    return f"<kernel {symbol}>" if dump_directory is None else str(dump_directory / f"{symbol}.py")


def _entry_function(source: str, entry: str, symbol: str, file: str) -> Any:
    from kgraph.codegen.cpu.intrinsics import NAMES

    namespace: dict[str, Any] = {**NAMES, "__name__": f"kgraph.kernels.{symbol}"}
    try:
        exec(compile(source, file, "exec"), namespace)
    except SyntaxError as error:
        line = error.lineno or 0
        where = f"{file}:{line}  {(error.text or '').strip()}"
        raise KernelCompileError(
            f"the source of kernel {symbol} is not Python", kernel=symbol, line=line, where=where, got=error.msg
        ) from error
    _check_names(source, symbol, file, set(namespace))
    function = namespace.get(entry)
    if not isinstance(function, python_types.FunctionType):
        raise KernelCompileError(
            f"the source of kernel {symbol} defines no function '{entry}'", kernel=symbol, where=file
        )
    return function


def _check_names(source: str, symbol: str, file: str, known: set[str]) -> None:
    """Name an undefined name: Numba only says that it cannot determine its type."""
    nodes = list(ast.walk(ast.parse(source)))
    known = known | {node.arg for node in nodes if isinstance(node, ast.arg)} | set(dir(builtins))
    known |= {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in known:
            where = _place(source, file, node.lineno)
            message = f"kernel {symbol} uses the name '{node.id}', which nothing defines"
            raise KernelCompileError(message, kernel=symbol, line=node.lineno, where=where)


_DECLARED = re.compile(r'^declare [^@\n]*@"?([\w.]+)"?\(.*$\n?', re.MULTILINE)
_SYMBOL = re.compile(rf'@"?({mathlib.PREFIX}\w+)"?\(')


# Square roots and quotients are computed, not estimated: the estimate of 1 / sqrt(0) is NaN instead of infinity.
_ATTRIBUTES = '"reciprocal-estimates"="none"'


def _complete(lowered: str, inner: str, symbol: str) -> str:
    """Numba's module text with the library functions, the entry point, and all the rest internal."""
    used = {name for name in _SYMBOL.findall(lowered)}
    library, needed = mathlib.definitions(used)
    declared = {name for name in _DECLARED.findall(lowered)}
    lowered = _DECLARED.sub(lambda match: "" if match[1] in used else match[0], lowered)
    lowered = lowered.replace("= common global", "= internal global").replace("define i32 @", "define internal i32 @")
    extra = [line for line in sorted(needed) if line.split("@", 1)[1].split("(", 1)[0] not in declared]
    words = ("ptrs.address", "dims.address", "begin", "end", "scratch")
    arguments = ", ".join(["ptr %result", "ptr %exception", *(f"i64 %{word}" for word in words)])
    wrapper = f"""
define void @{symbol}(ptr %ptrs, ptr %dims, i64 %begin, i64 %end, i64 %scratch) {_ATTRIBUTES} {{
  %result = alloca ptr
  %exception = alloca ptr
  %ptrs.address = ptrtoint ptr %ptrs to i64
  %dims.address = ptrtoint ptr %dims to i64
  %status = call i32 @"{inner}"({arguments})
  ret void
}}
"""
    return "\n".join([lowered, *extra, library, wrapper])


# ------------------------------------------------------------------------------
# Errors


def _place(source: str, file: str, line: int) -> str:
    lines = source.splitlines()
    return f"{file}:{line}  {lines[line - 1].strip()}" if 0 < line <= len(lines) else file


def _explained(error: Exception, source: str, symbol: str, file: str) -> KernelCompileError:
    message = _COLOUR.sub("", str(error))
    # Numba puts places into its text: 'File "<kernel k>", line 7' or '<kernel k> (7)'.
    found = re.search(re.escape(file) + r'(?:", line | \()(\d+)', message)
    line = int(found[1]) if found else 0
    place = _place(source, file, line)
    return KernelCompileError(
        f"Numba could not compile kernel {symbol}", kernel=symbol, line=line, where=place, got=_shorten(message)
    )


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _shorten(message: str, limit: int = 400) -> str:
    """What a message of Numba or LLVM says, on one line, without the tables of candidates and source excerpts."""
    lines = [line.strip() for line in message.splitlines()]
    reasons = [line.removeprefix("TypingError: ") for line in lines if line.startswith("TypingError: ")]
    calls = [line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")]
    if calls:
        text = "; ".join(dict.fromkeys(reasons)) or "no such operation"
        text = f"{text}, in {calls[0]}"
    else:
        until = next((i for i, line in enumerate(lines) if line.startswith(("During:", 'File "'))), len(lines))
        text = "; ".join(line for line in lines[:until] if line and not line.startswith("Failed in "))
    return text if len(text) <= limit else text[: limit - 3] + "..."


# ------------------------------------------------------------------------------
# For tests


def vector_width_used(assembly: str) -> int:
    """Width in bits of the widest packed x86 arithmetic in ``assembly``: 512, 256, 128, or 0 where all arithmetic
    is scalar.
    """
    widest = 0
    packed = re.compile(r"^\s+v?p?\w+(?:p[sd]|[bdq])\s")
    for line in assembly.splitlines():
        if packed.match(line) and "mov" not in line.split()[0]:
            for register, width in (("zmm", 512), ("ymm", 256), ("xmm", 128)):
                if register in line:
                    widest = max(widest, width)
                    break
    return widest
