"""LLVM text to object code, and object code into this process.

The only module of the CPU target that speaks to ``llvmlite.binding``. It knows nothing of kernels, Numba or the
cache, so that a warm start (every object already on disk) needs llvmlite alone.

Invariants: an object is loaded at most once (by content) and is never unloaded, so an address, once given out,
stays valid until the process ends; an unresolved symbol raises :class:`NativeCodeError` here instead of ending the
process inside LLVM.
"""

from __future__ import annotations

import functools
import hashlib
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import llvmlite
import llvmlite.binding as llvm

__all__ = [
    "EMISSION_VERSION",
    "NativeCodeError",
    "NativeModule",
    "add_symbol",
    "emit_assembly",
    "emit_object",
    "host_cpu_key",
    "host_vector_bits",
    "load_object",
    "load_objects",
    "optimized_ir",
    "undefined_symbols",
]

EMISSION_VERSION = 2
"""Part of every cache key: raise it when the same kernel text would have to give other machine code."""


class NativeCodeError(RuntimeError):
    """LLVM refused a module, or an object file cannot be loaded; the message names the symbol or the line of LLVM
    text.
    """


# ------------------------------------------------------------------------------
# The host


@functools.cache
def _initialize() -> None:
    # Strides are read from tables. LLVM would guess that they are 1, and run the scalar loop wherever they are not. The
    # flag is the process's, so Numba's own functions are compiled with it too.
    llvm.set_option("kgraph", "-enable-mem-access-versioning=false")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _host_features() -> tuple[str, str, frozenset[str]]:
    """The host's CPU name, the feature string to compile for, and the names of the features that are on."""
    _initialize()
    features = llvm.get_host_cpu_features()
    enabled = frozenset(name for name, on in features.items() if on)
    text: str = features.flatten()
    if "avx512f" in enabled:
        # LLVM's tuning for Skylake-X to Sapphire Rapids halves the vectors; dense kernels gain more from the full
        # width than clocks lose.
        text += ",-prefer-256-bit"
    return llvm.get_host_cpu_name(), text, enabled


def host_vector_bits() -> int:
    """Width in bits of the widest vectors that kernels use on this CPU (512 with AVX-512, 256 with AVX2, else 128)."""
    enabled = _host_features()[2]
    return 512 if "avx512f" in enabled else 256 if "avx2" in enabled else 128


@functools.cache
def host_cpu_key() -> str:
    """What object code depends on besides the kernel text: CPU name, its features, llvmlite's and the emission's
    version.
    """
    name, features, _ = _host_features()
    return f"{name};{features};llvmlite {llvmlite.__version__};emission {EMISSION_VERSION}"


@functools.cache
def _triple() -> str:
    _initialize()
    return str(llvm.get_process_triple())


def _new_target_machine(optimize: int) -> Any:
    name, features, _ = _host_features()
    target = llvm.Target.from_triple(_triple())
    return target.create_target_machine(cpu=name, features=features, opt=optimize, reloc="pic", codemodel="default")


@functools.cache
def _target_machine(optimize: int) -> Any:
    """The machine that emits code. An engine owns its machine, so engines get their own."""
    return _new_target_machine(optimize)


# ------------------------------------------------------------------------------
# Text to object


def _optimized_module(llvm_ir: str, optimize: int, by_hand: bool) -> Any:
    if not 0 <= optimize <= 3:
        raise ValueError(f"optimize must be 0, 1, 2 or 3, not {optimize}")
    machine = _target_machine(optimize)
    try:
        module = llvm.parse_assembly(llvm_ir)
        module.triple = _triple()
        module.data_layout = str(machine.target_data)
        module.verify()
    except RuntimeError as error:
        raise NativeCodeError(f"LLVM refused the module: {str(error).strip()}") from error
    if by_hand:
        _tidy(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
        return module
    options = llvm.create_pipeline_tuning_options(speed_level=optimize)
    options.loop_vectorization = options.slp_vectorization = options.loop_interleaving = options.loop_unrolling = (
        optimize >= 2
    )
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def _tidy(module: Any, builder: Any) -> None:
    """Variables to registers, instructions and blocks simplified."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)


def optimized_ir(llvm_ir: str, *, optimize: int = 3) -> str:
    """The LLVM text after the pass pipeline, for dumps and tests."""
    return str(_optimized_module(llvm_ir, optimize, by_hand=False))


def emit_object(llvm_ir: str, *, optimize: int = 3, by_hand: bool = False) -> bytes:
    """A relocatable, position-independent object file for the host CPU.

    ``llvm_ir`` is one module as text; its triple and data layout are replaced by the host's. ``optimize`` is LLVM's
    level, 0 to 3; from 2 on loops and straight-line code are vectorised. ``by_hand``: the text is vector code already,
    whose loops need no analysis; it is only tidied up, in a twentieth of the time. Raises :class:`NativeCodeError`
    when LLVM cannot parse or verify the text.
    """
    data: bytes = _target_machine(optimize).emit_object(_optimized_module(llvm_ir, optimize, by_hand))
    return data


def emit_assembly(llvm_ir: str, *, optimize: int = 3) -> str:
    """The assembly of what :func:`emit_object` emits."""
    text: str = _target_machine(optimize).emit_assembly(_optimized_module(llvm_ir, optimize, by_hand=False))
    return text


# ------------------------------------------------------------------------------
# Object to process


class NativeModule:
    """A loaded object file. It stays loaded until the process ends, whether or not this object is kept."""

    def __init__(self, engine: Any, symbols: Mapping[str, int] | None) -> None:
        self._engine = engine
        self._symbols = symbols

    @property
    def symbols(self) -> tuple[str, ...]:
        """Names of the functions and data the object defines (empty where object files are not ELF)."""
        return tuple(self._symbols or ())

    def address(self, symbol: str) -> int:
        """Address of a symbol that this object defines; :class:`NativeCodeError` if it does not."""
        if self._symbols is None:
            found = int(self._engine.get_function_address(symbol))
        else:
            found = self._symbols.get(symbol, 0)
        if not found:
            known = ", ".join(self.symbols) or "nothing"
            raise NativeCodeError(f"the object does not define '{symbol}' (it defines {known})")
        return found


_lock = threading.RLock()
_engines: list[Any] = []  # all of them stay, and with them their code
_loaded: dict[bytes, NativeModule] = {}
_defined: dict[str, int] = {}  # every symbol of every loaded object, so that objects can call one another
_added: set[str] = set()


def add_symbol(name: str, address: int) -> None:
    """Give objects loaded from now on the ``address`` of the external symbol ``name``."""
    _initialize()
    with _lock:
        llvm.add_symbol(name, address)
        _added.add(name)


def load_object(data: bytes) -> NativeModule:
    """Load an object file and resolve its symbols: first :func:`add_symbol`'s, then other loaded objects', then the
    process (libc, libm).

    The same bytes give the same module. Raises :class:`NativeCodeError` for bytes that are no object file and for
    an unresolved symbol.
    """
    return load_objects([data])[0]


def load_objects(group: Sequence[bytes]) -> list[NativeModule]:
    """Load several objects at once, which is quicker than one by one; they may not call one another."""
    digests = [hashlib.sha256(data).digest() for data in group]
    with _lock:
        new = {digest: data for digest, data in zip(digests, group) if digest not in _loaded}
        for batch in _without_clashes(new):
            _loaded.update(zip(batch, _load([new[digest] for digest in batch])))
        return [_loaded[digest] for digest in digests]


def _without_clashes(new: Mapping[bytes, bytes]) -> Iterator[list[bytes]]:
    """Groups in which no symbol is defined twice: one engine has one name space."""
    batch: list[bytes] = []
    taken: set[str] = set()
    for digest, data in new.items():
        defined = set(_elf_symbols(data)[0]) if _is_elf() else {""}
        if taken & defined:
            yield batch
            batch, taken = [], set()
        batch.append(digest)
        taken |= defined
    if batch:
        yield batch


def _is_elf() -> bool:
    return sys.platform.startswith("linux")


def _load(group: Sequence[bytes]) -> list[NativeModule]:
    """Objects without a clash into an engine of their own.

    Code reaches its constants by 32-bit distances. An engine that grew over the life of the process would, sooner or
    later, put the two on different sides of some mapping of gigabytes, and LLVM would end the process.
    """
    tables = [_elf_symbols(data) if _is_elf() else None for data in group]
    for table in tables:
        for name in table[1] if table else ():
            _resolve(name)
    engine = _new_engine()
    _engines.append(engine)
    for data in group:
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
    engine.finalize_object()
    modules = []
    for table in tables:
        addresses = {name: int(engine.get_function_address(name)) for name in table[0]} if table else None
        _defined.update(addresses or {})
        modules.append(NativeModule(engine, addresses))
    return modules


def _new_engine() -> Any:
    _initialize()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _new_target_machine(3))


def _resolve(name: str) -> None:
    """Make sure LLVM will find ``name``: it ends the process over a symbol that it cannot find."""
    if name in _defined and name not in _added:
        llvm.add_symbol(name, _defined[name])
    elif llvm.address_of_symbol(name) is None:
        try:
            llvm.load_library_permanently("libm.so.6")
        except RuntimeError:
            pass
        if llvm.address_of_symbol(name) is None:
            raise NativeCodeError(f"the object needs '{name}', which neither kgraph nor the process defines")


_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


def undefined_symbols(data: bytes) -> list[str]:
    """Symbols that an object file leaves to the loader (empty where object files are not ELF)."""
    return _elf_symbols(data)[1] if data.startswith(b"\x7fELF") else []


def _elf_symbols(data: bytes) -> tuple[list[str], list[str]]:
    """Global symbols (defined, undefined) of a little-endian ELF64 relocatable file (System V ABI, chapter 4)."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise NativeCodeError("the bytes are not a 64-bit ELF object file")
    defined: list[str] = []
    undefined: list[str] = []
    try:
        (table,) = struct.unpack_from("<Q", data, 0x28)
        (count,) = struct.unpack_from("<H", data, 0x3C)
        sections = [_SECTION.unpack_from(data, table + _SECTION.size * i) for i in range(count)]
        for section in sections:
            if section[1] != 2:  # SHT_SYMTAB
                continue
            strings = sections[section[6]][4]
            for entry in _SYMBOL.iter_unpack(data[section[4] : section[4] + section[5]]):
                if entry[1] >> 4 != 1:  # STB_GLOBAL
                    continue
                start = strings + entry[0]
                name = data[start : data.index(b"\0", start)].decode()
                if entry[3]:
                    defined.append(name)
                elif name and name != "_GLOBAL_OFFSET_TABLE_":
                    undefined.append(name)
    except (struct.error, IndexError, ValueError) as error:
        raise NativeCodeError("the object file is damaged") from error
    return defined, undefined
