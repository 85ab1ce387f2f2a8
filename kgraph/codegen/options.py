"""What a compilation may be told: `CompileOptions`.

Holds values only.  The environment (`kgraph.config`) gives the defaults; what is set here goes before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kgraph.codegen.dump import Dump
from kgraph.config import Convolution, Guard, settings

__all__ = ["CompileOptions"]


@dataclass(frozen=True)
class CompileOptions:
    """Choices of one compilation; None means what the environment says.

    Attributes:
        label: names the compilation in files and messages, e.g. `mlp.train`; empty: the name of the graph.
        verify: verify the graph before and after each pass (`KGRAPH_VERIFY`).
        num_threads: 1 keeps the program to the calling thread; else it uses the process's threads
            (`kgraph.set_num_threads`, `KGRAPH_NUM_THREADS`).  Results do not depend on it.
        convolution: how 3 x 3 convolutions at stride 1 are computed (`KGRAPH_CONV`): `"direct"` sums, `"winograd"`
            takes Winograd's F(2 x 2, 3 x 3) wherever it can, `"auto"` where it is faster.  Winograd rounds otherwise,
            and may make NaN of infinity (`kgraph.codegen.cpu.winograd`).
        guard: run kernel by kernel in memory with red zones (`KGRAPH_GUARD`): `"zones"`, `"pages"`, or `""`.
        dump: where stages and kernels are written (`KGRAPH_DUMP`).
        optimize: run the optimising passes; off only to find a fault in them.
    """

    label: str = ""
    verify: bool | None = None
    num_threads: int | None = None
    convolution: Convolution | None = None
    guard: Guard | None = None
    dump: Dump | None = None
    optimize: bool = True

    def resolved(self, name: str) -> CompileOptions:
        """The same with each None replaced by what the environment says; `name` labels a nameless compilation.

        Raises:
            SettingError: an environment variable has a value that means nothing.
        """
        env = settings()
        label = self.label or name
        return replace(
            self,
            label=label,
            verify=env.verify if self.verify is None else self.verify,
            num_threads=env.num_threads if self.num_threads is None else self.num_threads,
            convolution=env.convolution if self.convolution is None else self.convolution,
            guard=env.guard if self.guard is None else self.guard,
            dump=Dump(env.dump, label) if self.dump is None else self.dump,
        )
