"""Native code of a program: from this process, from the cache on disk, or from the compiler.

A cold start is shared: this thread takes kernels through Numba's front end (Python, so one at a time), `compilers`
turn what is ready into machine code, beginning with the libraries, which need no front end.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kgraph.codegen.cpu.cache import Emit, ObjectCache, Recipe
from kgraph.codegen.cpu.driver import Driver, driver_recipe, load_driver
from kgraph.codegen.cpu.kernel import EmittedKernel
from kgraph.codegen.cpu.objects import emit_object, host_cpu_key, load_objects
from kgraph.codegen.cpu.tilelib import load_tiles, parts_called, tiles_recipe
from kgraph.codegen.cpu.winograd import PREFIX, load_winograd, winograd_recipe
from kgraph.config import settings
from kgraph.ir.graph import Node

if TYPE_CHECKING:
    from concurrent.futures import Future

    from kgraph.codegen.cpu.compilers import Compilers

__all__ = ["NativeBuild", "NativeCode", "build_native", "paused_collection"]

EMISSION_VERSION = "4"


@dataclass(frozen=True)
class NativeCode:
    """The driver, the address of each kernel, and how many objects had to be compiled for them."""

    driver: Driver
    functions: dict[Node, int]
    compiled: int


def build_native(kernels: Mapping[Node, EmittedKernel], found: NativeBuild) -> NativeCode:
    """Compile and load what is not there yet.

    Raises KernelCompileError where a kernel cannot be compiled.
    """
    with _lock:
        called = {symbol for kernel in kernels.values() for symbol in _CALLED.findall(kernel.source)}
        winograd = any(symbol.startswith(PREFIX) for symbol in called)
        parts = parts_called(called | ({"kg_tile_f32"} if winograd else set()))
        wanted = [driver_recipe(), *(tiles_recipe(*part) for part in parts), *([winograd_recipe()] if winograd else [])]
        libraries = [recipe for recipe in wanted if recipe.key not in _libraries]
        sources = list(dict.fromkeys(kernel.source for kernel in kernels.values() if kernel.source not in _functions))
        keys = found.request(libraries, sources)

        def fetch(recipe: Recipe) -> bytes:
            return found.take(recipe.key)

        driver = load_driver(fetch)
        for part in parts:
            load_tiles(fetch, *part)
        if winograd:
            load_winograd(fetch)
        _libraries.update(recipe.key for recipe in libraries)
        modules = load_objects([found.take(key) for key in keys])
        for source, module in zip(sources, modules, strict=True):
            _functions[source] = module.address(_symbol(source))
        functions = {node: _functions[kernel.source] for node, kernel in kernels.items()}
    return NativeCode(driver, functions, found.compiled)


_CALLED = re.compile(r'"(kg_\w+)"')  # in the source of a kernel
_lock = threading.RLock()
_functions: dict[str, int] = {}
_libraries: set[str] = set()  # keys of those that this process has loaded


def _symbol(source: str) -> str:
    return "kg_" + hashlib.sha256((EMISSION_VERSION + source).encode()).hexdigest()[:24]


class NativeBuild:
    """Objects on their way: requested first, so that they can be made beside one another, fetched later.

    Entered before the kernels are known: where nothing is in the cache, what every program needs is begun at once.
    """

    def __init__(self) -> None:
        self.cache = ObjectCache(settings().cache)
        self.host = host_cpu_key()
        self.compiled = 0
        self._ready: dict[str, bytes] = {}
        self._making: dict[str, tuple[Future[bytes], Callable[[Emit], bytes]]] = {}
        self._compilers: Compilers | None = None

    def __enter__(self) -> NativeBuild:
        return self

    def __exit__(self, *_: object) -> None:
        if self._compilers:
            self._compilers.close()  # after an error nobody asks for the rest

    def anticipate(self, products: bool) -> None:
        """Begin a cold start: the driver, and the tile library if there will be `products` of f32."""
        driver = driver_recipe()
        if driver.key not in _libraries and not self._has(driver.key):
            self._begin([driver, *([tiles_recipe()] if products else [])], _MANY)

    def request(self, libraries: Iterable[Recipe], sources: Iterable[str]) -> list[str]:
        """Begin with what is missing, libraries first: they need no front end. Returns the kernels' keys."""
        recipes = [recipe for recipe in libraries if not self._has(recipe.key)]
        keys = {source: ObjectCache.key(EMISSION_VERSION + source, self.host) for source in sources}
        missing = {source: key for source, key in keys.items() if not self._has(key)}
        if recipes or missing:
            self._begin(recipes, len(recipes) + len(missing))
        if missing:
            self._lower(missing)
        self._help()
        return list(keys.values())

    def _begin(self, recipes: Iterable[Recipe], objects: int) -> None:
        if self._compilers is None:
            from kgraph.codegen.cpu.compilers import Compilers

            self._compilers = Compilers(compiler_processes(objects))
        for recipe in recipes:
            self._submit(recipe.key, recipe.build)

    def _submit(self, key: str, make: Callable[[Emit], bytes]) -> None:
        assert self._compilers
        self._making[key] = self._compilers.submit(make), make

    def _lower(self, sources: dict[str, str]) -> None:
        from kgraph.codegen.cpu.compile import emit_kernel, kernel_llvm

        for number, (source, key) in enumerate(sources.items(), 1):
            symbol = _symbol(source)
            text = kernel_llvm(source, "kernel", symbol)
            self._submit(key, functools.partial(emit_kernel, text, symbol))
            if number % _KERNELS_PER_COLLECTION == 0:
                gc.collect(0)  # what the front end has left; what is older is not looked at

    def _help(self) -> None:
        """Make what nobody has begun, from the end that the others come to last."""
        for key, (future, make) in reversed(list(self._making.items())):
            if future.cancel():
                del self._making[key]
                self._keep(key, make(emit_object))

    def take(self, key: str) -> bytes:
        """The object of a request; waits for it where it is being made."""
        if key in self._making:
            future, _ = self._making.pop(key)
            self._keep(key, future.result())
        return self._ready[key]

    def _keep(self, key: str, data: bytes) -> None:
        self._ready[key] = data
        self.cache.put(key, data)
        self.compiled += 1

    def _has(self, key: str) -> bool:
        if key in self._ready or key in self._making:
            return True
        data = self.cache.get(key)
        if data is not None:
            self._ready[key] = data
        return data is not None


def compiler_processes(objects: int) -> int:
    """Processes to start for so many objects: one for each CPU that the front end leaves idle, none for a few."""
    return settings().num_threads - 1 if objects >= _WORTH_A_PROCESS else 0


_MANY = 100  # kernels of a program that is compiled for the first time
_WORTH_A_PROCESS = 4  # a process is ready after some 40 ms, the time that two kernels take


@contextmanager
def paused_collection() -> Iterator[None]:
    """Without automatic garbage collection, which would go through all of Numba and the graph again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


_KERNELS_PER_COLLECTION = 16  # some 40 MB
