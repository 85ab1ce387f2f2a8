"""What every target gives back: `Program`, a compiled graph, and `Executable`, a program with memory for one set of
sizes.

A program serves every size of its symbols; `bind` adds buffers for given sizes and the arrays that hold the params.
Updates are written into these arrays in place, after all reads of the run.  Buffers of one executable are used by one
thread at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph.codegen.launches import Ceilings, KernelClock, Launch
from kgraph.errors import DataError, DtypeError, ShapeError
from kgraph.ir.dims import evaluate_shape
from kgraph.ir.graph import Graph
from kgraph.ir.types import numpy_dtype

__all__ = ["Executable", "Program"]

Array = np.ndarray[Any, np.dtype[Any]]

# Executables kept by a program: a full batch, a tail, validation and a few single rows; each owns its buffers.
_KEPT = 8


class Executable(ABC):
    """A program with buffers for one set of sizes.

    Attributes:
        graph: the graph as it came to `compile` (its inputs and outputs are those of the executable).
        dims: the size of each symbol.
    """

    def __init__(self, graph: Graph, dims: Mapping[str, int]) -> None:
        self.graph = graph
        self.dims = dict(dims)

    @property
    def batch(self) -> int:
        """Rows that one run takes: the size of `B`, or the leading size of the first input when `B` is fixed."""
        if "B" in self.dims:
            return self.dims["B"]
        for value in self.graph.inputs:
            if value.shape:
                return evaluate_shape(value.shape, self.dims)[0]
        return 1

    @abstractmethod
    def input(self, name: str) -> Array:
        """The buffer of an input, to be filled before `run`."""

    @abstractmethod
    def output(self, index: int) -> Array:
        """Output `index` of the last run; a view, valid until the next run."""

    @abstractmethod
    def run(self) -> None:
        """Run once on what the input buffers hold; outputs and params change."""

    def run_steps(
        self,
        sources: Mapping[str, Array],
        index: Array | None,
        first: int,
        steps: int,
        sinks: Sequence[Array] | None = None,
    ) -> None:
        """Run `steps` times on consecutive batches of rows.

        Step `s` takes the rows `index[first + s*B : first + (s+1)*B]` of every source, or the rows
        `first + s*B ...` themselves when `index` is None, and copies output `k` to the rows `[first + s*B, first +
        (s+1)*B)` of `sinks[k]`.

        Args:
            sources: for each input by name an array `(N, ...)` of the input's dtype, contiguous.
            index: i64[M] row numbers, or None.
            first: where in `index` (or in the rows) to begin.
            steps: number of runs.
            sinks: an array `(M, ...)` for each output, or None to drop the outputs.
        """
        batch = self.batch
        buffers = [(self.input(name), source) for name, source in sources.items()]
        for begin in range(first, first + steps * batch, batch):
            rows = slice(begin, begin + batch)
            for buffer, source in buffers:
                if index is None:
                    buffer[...] = source[rows]
                else:
                    np.take(source, index[rows], axis=0, out=buffer, mode="clip")
            self.run()
            if sinks is not None:
                for k, sink in enumerate(sinks):
                    sink[rows] = self.output(k)

    def launches(self) -> list[Launch]:
        """The kernels of one run in program order, with what each costs; empty for a target without kernels."""
        return []

    def time_kernels(self) -> KernelClock | None:
        """Measure every kernel from now on; None for a target without kernels."""
        return None


class Program(ABC):
    """A compiled graph.

    Attributes:
        graph: the graph as it came to `compile`.
        target: name of the target.
        stages: what the compilation made, by name: at least `"optimized"` and `"schedule"`; `str()` gives the text.
        compile_seconds: wall time that the compilation took.
    """

    target: str = ""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.stages: dict[str, Any] = {}
        self.compile_seconds = 0.0
        self._bound: OrderedDict[tuple[Any, ...], Executable] = OrderedDict()

    @abstractmethod
    def sources(self) -> dict[str, str]:
        """The emitted source of each kernel, by kernel name, in the order they run."""

    @abstractmethod
    def explain(self) -> str:
        """For each boundary between kernels why it is there."""

    def memory(self) -> str:
        """The memory plan as text."""
        return f"target {self.target} plans no memory: every value is an array of its own"

    def ceilings(self, *, again: bool = False) -> Ceilings | None:
        """What the machine that this program runs on does at best; measured once, and `again` where asked."""
        return None

    @abstractmethod
    def make_executable(self, dims: Mapping[str, int], params: Mapping[str, Array]) -> Executable:
        """Allocate buffers; called by `bind` with checked arguments."""

    def bind(self, dims: Mapping[str, int], params: Mapping[str, Array]) -> Executable:
        """The executable for these sizes and params; a few are kept, so asking again costs little.

        Args:
            dims: size of each symbol, at least its bound in the graph.
            params: an array for each param by name: C-contiguous, writeable, of its dtype and shape; held and updated
                in place.

        Raises:
            DataError: a symbol has no size, or a param no array.
            ShapeError, DtypeError: an array does not fit its param.
        """
        key = (tuple(sorted(dims.items())), tuple([id(params.get(value.name)) for value in self.graph.params]))
        found = self._bound.get(key)
        if found is not None:
            self._bound.move_to_end(key)
            return found
        sizes = _checked_sizes(self.graph, dims)
        executable = self.make_executable(sizes, _checked_params(self.graph, sizes, params))
        self._bound[key] = executable
        if len(self._bound) > _KEPT:
            self._bound.popitem(last=False)
        return executable


def _checked_sizes(graph: Graph, dims: Mapping[str, int]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for name, least in graph.symbols.items():
        if name not in dims:
            raise DataError(f"the size {name} of graph @{graph.name} is not given", got=f"sizes {dict(dims)}")
        if dims[name] < least:
            raise DataError(f"the size {name} = {dims[name]} is too small", needed=f"{name} >= {least}")
        sizes[name] = int(dims[name])
    return sizes


def _checked_params(graph: Graph, sizes: Mapping[str, int], params: Mapping[str, Array]) -> dict[str, Array]:
    checked: dict[str, Array] = {}
    for value in graph.params:
        array = params.get(value.name)
        if array is None:
            raise DataError(f"param %{value.name} of graph @{graph.name} has no array", needed=str(value.type))
        shape = evaluate_shape(value.shape, sizes)
        if array.shape != shape:
            raise ShapeError(
                f"the array for param %{value.name} has another shape", got=str(array.shape), needed=str(shape)
            )
        if array.dtype != numpy_dtype(value.dtype):
            raise DtypeError(
                f"the array for param %{value.name} has another dtype", got=str(array.dtype), needed=str(value.type)
            )
        if not (array.flags.c_contiguous and array.flags.writeable):
            raise DataError(
                f"the array for param %{value.name} cannot be used in place", needed="contiguous and writeable"
            )
        checked[value.name] = array
    return checked
