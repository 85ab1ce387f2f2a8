"""Numba's front end for kernels: Python function in, LLVM text out.

A target of our own beside Numba's CPU target (see "target extension" in Numba's documentation): its contexts know
numbers, comparisons and loops over ranges, and nothing else. Numba's own contexts load arrays, strings, containers and,
where SciPy is installed, SciPy, which costs a cold start half a second, and look through all of them at every call they
type. Numba stops at LLVM text: its optimiser, its engine, its run time and its Python wrappers never run.

The one module that imports Numba's compiler, and the first to change when Numba does.
"""

from __future__ import annotations

import dis
import functools
import importlib
import types as python_types
from typing import Any, cast

from llvmlite import ir

__all__ = ["FAST_MATH", "lower_kernel"]

FAST_MATH = ("contract", "nsz", "arcp", "reassoc")
"""What kernels allow LLVM to do with their own float arithmetic. NaN and infinities stay defined (no ``nnan``, no
``ninf``).
"""

_TARGET = "kgraph kernels"
_DECLARATIONS = ("builtins", "numbers", "rangeobj")
_PASSES = (
    *(("untyped_passes", name) for name in ("TranslateByteCode", "FixupArgs", "IRProcessing", "DeadBranchPrune")),
    ("untyped_passes", "ReconstructSSA"),
    ("typed_passes", "NopythonTypeInference"),
    ("typed_passes", "PreLowerStripPhis"),
    ("typed_passes", "NativeLowering"),
    ("typed_passes", "NoPythonBackend"),
)
"""Only the passes that kernel source needs: no closures, no with-blocks, no array rewrites, no object mode, and no
``del`` of variables, which are all numbers.
"""
_SSA_PASSES = ("ReconstructSSA", "PreLowerStripPhis")
"""Not needed where no variable is assigned twice."""


def lower_kernel(function: Any) -> tuple[str, str]:
    """LLVM text of a Python function of five int64, and the name of the LLVM function in it.

    Raises Numba's errors where the function is not typed or uses what kernels do not have.
    """
    front = _front_end()
    with front.lock, front.target():
        library = front.new_library(front.context.codegen(), function.__name__)
        result = front.compile(
            front.typing, front.context, function, front.arguments, front.result, front.flags, {},
            library=library, pipeline_class=front.pipelines[_assigns_again(function)],
        )  # fmt: skip
        return library.get_llvm_str(), str(result.fndesc.mangled_name)


def _assigns_again(function: Any) -> bool:
    """Whether some variable of a function is assigned in two places."""
    stored = [step.argval for step in dis.get_instructions(function) if step.opname == "STORE_FAST"]
    return len(stored) > len(set(stored) - set(function.__code__.co_varnames[: function.__code__.co_argcount]))


def _numba(name: str) -> Any:
    # Numba has no types of its own: everything of it is Any.
    return importlib.import_module(f"numba.core.{name}")


@functools.cache
def _front_end() -> python_types.SimpleNamespace:
    """Contexts, flags and pipeline, set up once per process."""
    compiler, types, targets, options = _numba("compiler"), _numba("types"), _numba("target_extension"), _numba("cpu")
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.nrt = flags.boundscheck = False
    flags.error_model = "numpy"
    flags.fastmath = options.FastMathOptions(set(FAST_MATH))
    typing_context, target_context = _contexts()
    return python_types.SimpleNamespace(
        lock=_numba("compiler_lock").global_compiler_lock,
        target=functools.partial(targets.target_override, _TARGET),
        new_library=_text_library(),
        pipelines=(_pipeline(ssa=False), _pipeline(ssa=True)),
        compile=compiler.compile_extra,
        typing=typing_context,
        context=target_context,
        arguments=(types.int64,) * 5,
        result=types.void,
        flags=flags,
    )


def _contexts() -> tuple[Any, Any]:
    """Typing and target context of kernels, registered as a target that inherits from Numba's CPU."""
    from numba.core.cpu import CPUContext
    from numba.core.typing.context import Context

    from kgraph.codegen.cpu import ranges
    from kgraph.codegen.cpu.intrinsics import finish_scopes

    targets, fastmath, errors, base = map(_numba, ("target_extension", "fastmathpass", "errors", "base"))

    class KernelTyping(Context):
        def init(self) -> None:
            self.resolved: dict[Any, Any] = {}

        def load_additional_registries(self) -> None:
            pass

        def resolve_function_type(self, func: Any, args: Any, kws: Any) -> Any:
            # Numba asks for each call at least twice, and kernels are full of the same few.
            key = func, tuple(args), tuple(kws.items())
            if key not in self.resolved:
                self.resolved[key] = cast(Any, Context).resolve_function_type(self, func, args, kws)
            return self.resolved[key]

    class KernelContext(CPUContext):
        def init(self) -> None:
            # Without the symbols of libm, which Numba's context would hand to LLVM one by one, and without an engine.
            self.is32bit = False
            self._internal_codegen: Any = python_types.SimpleNamespace(_create_empty_module=ir.Module)

        def get_function(self, fn: Any, sig: Any, _firstcall: bool = True) -> Any:
            own = ranges.RANGES.get((getattr(fn, "typing_key", fn), sig.args))
            return (
                base._wrap_impl(own, self, sig)
                if own
                else cast(Any, CPUContext).get_function(self, fn, sig, _firstcall)
            )

        def get_abi_sizeof(self, type: Any) -> int:
            # Asked of LLVM, the answer would wait for the thread that is emitting another kernel.
            return _size(type)

        def load_additional_registries(self) -> None:
            for name in _DECLARATIONS:
                importlib.import_module(f"numba.cpython.{name}")

        def post_lowering(self, module: Any, library: Any) -> None:
            finish_scopes(module)
            if self.fastmath:
                fastmath.rewrite_module(module, self.fastmath)

    def refuse(*_: Any, **__: Any) -> Any:
        raise errors.TypingError("kernels call no function that Numba would have to compile")

    kernels = type("KernelTarget", (targets.CPU,), {})
    targets.target_registry[_TARGET] = kernels
    typing_context = cast(Any, KernelTyping)()
    target_context = cast(Any, KernelContext)(typing_context, _TARGET)
    description = python_types.SimpleNamespace(typing_context=typing_context, target_context=target_context)
    targets.jit_registry[kernels] = refuse
    targets.dispatcher_registry[kernels] = python_types.SimpleNamespace(targetdescr=description)
    with targets.target_override(_TARGET):
        target_context.refresh()
    return typing_context, target_context


def _size(type: Any) -> int:
    """Bytes of an LLVM type of kernels."""
    if isinstance(type, ir.IntType):
        return max(int(type.width) // 8, 1)
    if isinstance(type, (ir.FloatType, ir.DoubleType)):
        return 4 if isinstance(type, ir.FloatType) else 8
    if isinstance(type, ir.PointerType):
        return 8
    if isinstance(type, ir.ArrayType):
        return int(type.count) * _size(type.element)
    return sum(_size(element) for element in type.elements)  # a tuple of int64


def _text_library() -> type:
    """A code library that collects LLVM text where Numba's own would optimise and link it."""
    from numba.core.codegen import CodeLibrary

    class TextLibrary(CodeLibrary):
        def __init__(self, generator: Any, name: str) -> None:
            super().__init__(generator, name)
            self.texts: list[str] = []

        def add_ir_module(self, ir_module: Any) -> None:
            self.texts.append(str(ir_module))

        def get_llvm_str(self) -> str:
            return "\n".join(self.texts)

        def add_linking_library(self, library: Any) -> None:
            raise NotImplementedError

        def finalize(self) -> None:
            raise NotImplementedError

        def get_function(self, name: str) -> Any:
            raise NotImplementedError

        def get_asm_str(self) -> str:
            raise NotImplementedError

    return TextLibrary


def _pipeline(ssa: bool) -> type:
    from numba.core.compiler import CompilerBase

    machinery = _numba("compiler_machinery")

    class KernelCompiler(CompilerBase):
        def define_pipelines(self) -> list[Any]:
            passes = machinery.PassManager("kgraph kernel")
            for module, name in _PASSES:
                if ssa or name not in _SSA_PASSES:
                    passes.add_pass(getattr(_numba(module), name), name)
            passes.finalize()
            return [passes]

    return KernelCompiler
