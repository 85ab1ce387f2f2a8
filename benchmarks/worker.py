"""One contender on one workload, in this process: prints one line of JSON.  Started by `benchmarks.processes`.

    python -m benchmarks.worker CONTENDER KIND WORKLOAD [--quick]

KIND `start`: import, build and take one training step, nothing else; `import`: import only.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import resource
import sys
from typing import Any

from benchmarks.jobs import CONTENDERS, KERAS_BACKENDS

NAMED = (
    "kgraph",
    "keras",
    "jax",
    "jaxlib",
    "tensorflow",
    "torch",
    "onnxruntime",
    "openvino",
    "numpy",
    "numba",
    "llvmlite",
)


def measure(contender: str, kind: str, name: str, quick: bool) -> dict[str, Any]:
    if kind == "import":
        importlib.import_module("keras" if contender in KERAS_BACKENDS else CONTENDERS[contender].package)
        return {}
    workload = importlib.import_module(f"benchmarks.workloads.{name}")
    runner = importlib.import_module(f"benchmarks.contenders.{CONTENDERS[contender].runner}")
    if kind == "start":
        runner.first_step(contender, workload)
        return {}
    from benchmarks.contenders.common import Plan

    return getattr(runner, kind)(contender, workload, Plan.of(workload, kind, quick))


def missing(contender: str) -> str:
    packages = [CONTENDERS[contender].package, *(["keras"] if contender in KERAS_BACKENDS else [])]
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def versions() -> dict[str, str]:
    """Versions of what this contender has loaded."""
    found = {name: str(getattr(sys.modules[name], "__version__", "?")) for name in NAMED if name in sys.modules}
    return {"python": sys.version.split()[0], **found}


def peak_memory() -> float:
    """The largest resident size of this process so far, MiB (Linux counts in KiB, macOS in bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(arguments: list[str]) -> int:
    contender, kind, name, *rest = arguments
    absent = missing(contender)
    if absent:
        print(json.dumps({"missing": absent}))
        return 0
    result = measure(contender, kind, name, "--quick" in rest)
    print(json.dumps({**result, "memory": peak_memory(), "versions": versions()}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
