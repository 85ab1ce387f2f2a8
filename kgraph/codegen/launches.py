"""What a target tells of its kernels: how each is launched, how long it took, and what the machine can do at best."""

from __future__ import annotations

import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kgraph.codegen.costs import Cost
from kgraph.ir.graph import Node

__all__ = ["Ceilings", "KernelClock", "KernelTime", "Launch", "amount", "cpu_name"]


@dataclass(frozen=True)
class Launch:
    """A kernel as it is launched for one set of sizes.

    Attributes:
        node: the kernel of the schedule.
        turns: how often it runs in one run of the program.
        cost: of all turns together.
        variant: how it does its work, e.g. `gemm 28x32`; empty when its family says all.
        tasks: pieces that threads share, of the phase that has most.
        threads: threads that may work on it at once.
        loop: the outermost `scan` around it, if there is one.
    """

    node: Node
    turns: int
    cost: Cost
    variant: str
    tasks: int
    threads: int
    loop: Node | None = None


@dataclass(frozen=True)
class KernelTime:
    """Nanoseconds and calls of one kernel, or of the copies between kernels, of all runs since the clock began."""

    ns: int = 0
    calls: int = 0


class KernelClock(ABC):
    """Measures every kernel of an executable from its making until `stop`."""

    @abstractmethod
    def kernels(self) -> dict[Node, KernelTime]:
        """The time of each kernel so far."""

    @abstractmethod
    def copies(self) -> KernelTime:
        """The time of copies between kernels so far."""

    @abstractmethod
    def stop(self) -> None:
        """Measure no longer; what was measured can still be read.  Runs are again as fast as before."""


@dataclass(frozen=True)
class Ceilings:
    """What this machine does at best, measured: a roofline (Williams, Waterman and Patterson, CACM 52(4), 2009) with a
    bandwidth for each level of the caches (Ilic, Pratas and Sousa, IEEE CAL 13(1), 2014).

    Attributes:
        cpu: its name.
        flops: threads -> operations on f32 a second, of a large matrix product.
        bandwidth: threads -> pairs (bytes of a working set, bytes a second), by size; of a kernel that reads an array
            and writes another one, both counted.
    """

    cpu: str
    flops: Mapping[int, float] = field(default_factory=dict)
    bandwidth: Mapping[int, tuple[tuple[int, float], ...]] = field(default_factory=dict)

    def bandwidth_of(self, size: float, threads: int) -> float:
        """Bytes a second for a working set of `size` bytes: of the largest one measured that is not larger."""
        table = self.bandwidth[self._threads(threads)]
        return next((speed for least, speed in reversed(table) if least <= size), table[0][1])

    def seconds(self, cost: Cost, calls: int, threads: int, *, wide: bool = False) -> float:
        """The least time that arithmetic and traffic of `calls` equal calls together take, the longer of the two.

        Args:
            cost: of all calls.
            calls: their number.
            threads: that may share the work.
            wide: the work is on f64, half as many to a vector.
        """
        arithmetic = cost.work * (2 if wide else 1) / self.flops[self._threads(threads)]
        traffic = cost.bytes / self.bandwidth_of(cost.bytes / max(1, calls), threads)
        return max(arithmetic, traffic)

    def __str__(self) -> str:
        """A line for each number of threads."""
        lines = [f"roofline: the best that was measured on {self.cpu}"]
        for threads, flops in self.flops.items():
            table = self.bandwidth[threads]
            speeds = " ".join(dict.fromkeys(f"{speed / 1e9:.0f}" for _, speed in table))
            label = "1 thread" if threads == 1 else f"{threads} threads"
            sizes = f"{amount(table[0][0])}B to {amount(table[-1][0])}B"
            lines.append(f"  {label}: {flops / 1e9:.0f} GFLOP/s; {speeds} GB/s from {sizes}")
        return "\n".join(lines)

    def _threads(self, threads: int) -> int:
        """The nearest number of threads, from below, that was measured."""
        return max((n for n in self.flops if n <= threads), default=min(self.flops))


@cache
def cpu_name() -> str:
    """The name of this machine's CPU as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def amount(number: float) -> str:
    """Three digits and a decimal prefix: 1.23M."""
    for factor, sign in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * factor:
            return f"{number / factor:.3g}{sign}" if number < 999.5 * factor else f"{number / factor:.0f}{sign}"
    return f"{number:.0f}"
