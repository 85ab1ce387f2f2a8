"""Native code of a program: from this process, from the cache on disk, or from the compiler.

Two threads share a cold start: this one takes kernels through Numba's front end (Python, so one at a time), another
turns what is ready into machine code (LLVM, without the GIL), beginning with the tile library, which needs no front
end.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgraph.codegen.cpu.cache import ObjectCache, Recipe
from kgraph.codegen.cpu.driver import Driver, driver_recipe, load_driver
from kgraph.codegen.cpu.kernel import EmittedKernel
from kgraph.codegen.cpu.objects import host_cpu_key, load_objects
from kgraph.codegen.cpu.tilelib import load_tiles, tiles_recipe
from kgraph.codegen.cpu.winograd import PREFIX, load_winograd, winograd_recipe
from kgraph.config import settings
from kgraph.ir.graph import Node

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["NativeCode", "build_native"]

EMISSION_VERSION = "3"


@dataclass(frozen=True)
class NativeCode:
    """The driver, the address of each kernel, and how many objects had to be compiled for them."""

    driver: Driver
    functions: dict[Node, int]
    compiled: int


def build_native(kernels: Mapping[Node, EmittedKernel], float_types: Iterable[str]) -> NativeCode:
    """Compile and load what is not there yet.

    float_types: element types of the products and convolutions; each has its tile library.
    Raises KernelCompileError where a kernel cannot be compiled.
    """
    dtypes = sorted({"f32", "f64"}.intersection(float_types))
    with _lock, _Objects() as found:
        winograd = any(f'"{PREFIX}' in kernel.source for kernel in kernels.values())
        wanted = [driver_recipe(), *map(tiles_recipe, dtypes), *([winograd_recipe()] if winograd else [])]
        libraries = [recipe for recipe in wanted if recipe.key not in _libraries]
        for recipe in libraries:
            found.request(recipe)
        new = dict.fromkeys(kernel.source for kernel in kernels.values() if kernel.source not in _functions)
        keys = {source: found.request_kernel(source) for source in new}
        driver = load_driver(lambda recipe: found.take(recipe.key))
        for dtype in dtypes:
            load_tiles(lambda recipe: found.take(recipe.key), dtype)
        if winograd:
            load_winograd(lambda recipe: found.take(recipe.key))
        _libraries.update(recipe.key for recipe in libraries)
        modules = load_objects([found.take(key) for key in keys.values()])
        for source, module in zip(keys, modules, strict=True):
            _functions[source] = module.address(_symbol(source))
        functions = {node: _functions[kernel.source] for node, kernel in kernels.items()}
    return NativeCode(driver, functions, found.compiled)


_lock = threading.RLock()
_functions: dict[str, int] = {}
_libraries: set[str] = set()  # keys of those that this process has loaded


def _symbol(source: str) -> str:
    return "kg_" + hashlib.sha256((EMISSION_VERSION + source).encode()).hexdigest()[:24]


class _Objects:
    """Objects on their way: requested first, so that they can be made beside one another, fetched later."""

    def __init__(self) -> None:
        self.cache = ObjectCache(settings().cache)
        self.host = host_cpu_key()
        self.compiled = 0
        self._ready: dict[str, bytes] = {}
        self._making: dict[str, Future[bytes]] = {}
        self._thread: ThreadPoolExecutor | None = None

    def __enter__(self) -> _Objects:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread:
            self._thread.shutdown(cancel_futures=True)  # after an error nobody asks for the rest

    def request(self, recipe: Recipe) -> None:
        if not self._has(recipe.key):
            self._making[recipe.key] = self._worker().submit(recipe.build)

    def request_kernel(self, source: str) -> str:
        """The key under which to take it."""
        symbol = _symbol(source)
        key = ObjectCache.key(EMISSION_VERSION + source, self.host)
        if not self._has(key):
            from kgraph.codegen.cpu.compile import emit_kernel, kernel_llvm

            text = kernel_llvm(source, "kernel", symbol)
            self._making[key] = self._worker().submit(emit_kernel, text, symbol)
        return key

    def take(self, key: str) -> bytes:
        """The object of a request; waits for it where it is being made."""
        making = self._making.pop(key, None)
        if making is not None:
            data = self._ready[key] = making.result()
            self.cache.put(key, data)
            self.compiled += 1
        return self._ready[key]

    def _has(self, key: str) -> bool:
        if key in self._ready or key in self._making:
            return True
        data = self.cache.get(key)
        if data is not None:
            self._ready[key] = data
        return data is not None

    def _worker(self) -> ThreadPoolExecutor:
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor

            self._thread = ThreadPoolExecutor(1, "kgraph compiler")
        return self._thread
