"""One contender on one workload, in this process: prints one line of JSON.  Started by `benchmarks.run`.

`start`: import, build and take one training step, nothing else; `import`: import only.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from typing import Any

# contender -> module that must be there
NEEDS = {"kgraph": "kgraph", "keras-jax": "keras", "jax-scan": "jax", "torch": "torch", "onnxruntime": "onnxruntime"}


def keras_module(contender: str) -> Any:
    return importlib.import_module("kgraph" if contender == "kgraph" else "keras")


def measure(contender: str, name: str, quick: bool) -> dict[str, Any]:
    workload = importlib.import_module(f"benchmarks.workloads.{name}")
    if name == "predict_one":
        calls = 50 if quick else workload.CALLS
        if contender in ("kgraph", "keras-jax"):
            from benchmarks.contenders import keras_like

            return keras_like.predict_one(keras_module(contender), workload, calls)
        return _contender(contender).predict_one(workload, calls)
    # quick: three full batches and a ragged one
    samples = 3 * workload.BATCH + workload.BATCH // 4 if quick else workload.SAMPLES
    epochs = 1 if quick else workload.EPOCHS
    return _train(contender, workload, epochs, samples)


def _train(contender: str, workload: Any, epochs: int, samples: int) -> dict[str, Any]:
    if contender in ("kgraph", "keras-jax"):
        from benchmarks.contenders import keras_like

        return keras_like.train(keras_module(contender), workload, epochs, samples)
    return _contender(contender).train(workload, epochs, samples)


def _contender(contender: str) -> Any:
    name = {"jax-scan": "jax_scan", "torch": "torch_eager", "onnxruntime": "onnx_runtime"}[contender]
    return importlib.import_module(f"benchmarks.contenders.{name}")


def first_step(contender: str) -> dict[str, Any]:
    """Import, build the small classifier, take one step on one batch."""
    from benchmarks.workloads import binary_mlp

    if contender in ("kgraph", "keras-jax"):
        import numpy as np

        model = binary_mlp.build_keras(keras_module(contender))
        x, y = binary_mlp.data(np.random.default_rng(0), binary_mlp.BATCH)
        model.train_on_batch(x[0], y[0])
        return {}
    if contender == "torch":
        return _torch_step()
    # The second step, which train() times, adds some microseconds only.
    _train(contender, binary_mlp, 1, binary_mlp.BATCH)
    return {}


def _torch_step() -> dict[str, Any]:
    import numpy as np
    import torch

    from benchmarks.workloads import binary_mlp

    model, loss_of = binary_mlp.build_torch(torch)
    x, y = binary_mlp.data(np.random.default_rng(0), binary_mlp.BATCH)
    loss, _ = loss_of(model(torch.from_numpy(x[0])), [torch.from_numpy(y[0])])
    loss.backward()
    torch.optim.RMSprop(model.parameters(), lr=1e-3).step()
    return {}


def versions(contender: str) -> dict[str, str]:
    """Versions of what this contender has loaded."""
    names = ("kgraph", "keras", "jax", "jaxlib", "torch", "onnxruntime", "numpy", "numba", "llvmlite")
    found = {name: getattr(sys.modules[name], "__version__", "?") for name in names if name in sys.modules}
    return {"python": sys.version.split()[0], **found}


def main(arguments: list[str]) -> int:
    contender, name, *rest = arguments
    if importlib.util.find_spec(NEEDS[contender]) is None:
        print(json.dumps({"missing": f"{NEEDS[contender]} is not installed for {sys.executable}"}))
        return 0
    if name == "import":
        importlib.import_module(NEEDS[contender])
        result: dict[str, Any] = {}
    elif name == "start":
        result = first_step(contender)
    else:
        result = measure(contender, name, "--quick" in rest)
    print(json.dumps({**result, "versions": versions(contender)}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
