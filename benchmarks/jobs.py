"""Who is measured on what, and what is asked of kgraph (issue "CPU speed: twice the best of the field")."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Contender:
    """The package it needs and the file in `benchmarks.contenders` that runs it."""

    package: str
    runner: str


CONTENDERS = {
    "kgraph": Contender("kgraph", "keras_like"),
    "keras-jax": Contender("jax", "keras_like"),
    "keras-tf": Contender("tensorflow", "keras_like"),
    "keras-torch": Contender("torch", "keras_like"),
    "jax-scan": Contender("jax", "jax_scan"),
    "jax": Contender("jax", "jax_scan"),
    "torch": Contender("torch", "torch_eager"),
    "torch-compile": Contender("torch", "torch_eager"),
    "onnxruntime": Contender("onnxruntime", "onnx_runtime"),
    "openvino": Contender("openvino", "openvino_runtime"),
}
KERAS_BACKENDS = {"keras-jax": "jax", "keras-tf": "tensorflow", "keras-torch": "torch"}

TRAINED = (
    "binary_mlp",
    "mlp",
    "wide_mlp",
    "residual_gelu",
    "siamese",
    "lstm_multi",
    "gru_series",
    "transformer",
    "conv",
    "conv_autoencoder",
    "video",
    "resnet20",
    "resnet50",
)
PREDICTED = ("binary_mlp", "lstm_multi", "conv", "resnet50")
STARTED = ("binary_mlp", "resnet50")

KINDS = {
    "train": ("kgraph", "keras-jax", "keras-tf", "keras-torch", "jax-scan", "torch", "torch-compile"),
    "predict": ("kgraph", "keras-jax", "keras-tf", "jax", "torch", "onnxruntime", "openvino"),
    "row": ("kgraph", "keras-jax", "jax", "torch", "onnxruntime", "openvino"),
    "start": ("kgraph", "keras-jax", "keras-tf", "jax", "torch"),
    "import": ("kgraph", "keras-jax", "keras-tf", "jax", "torch", "onnxruntime", "openvino"),
}
HEADINGS = {
    "train": "time per training step of fit",
    "predict": "time per row, a test set in batches of 256",
    "row": "time for one row",
    "start": "start of the process to first training step done",
    "import": "start of the process to import done",
}
# Parts of a run, as --only names them.
PARTS = {"train": ("train",), "predict": ("predict", "row"), "start": ("start", "import")}

# How many times as fast as the best peer.
ASKED = {
    ("train", "binary_mlp"): 2.0,
    ("train", "mlp"): 2.0,
    ("train", "lstm_multi"): 2.0,
    ("train", "conv"): 2.0,
    ("train", "resnet20"): 2.0,
    ("train", "transformer"): 1.8,
    ("train", "resnet50"): 1.6,
    ("row", "binary_mlp"): 2.0,
    ("row", "lstm_multi"): 2.0,
    ("row", "conv"): 2.0,
    ("row", "resnet50"): 1.2,
}
# Seconds, per state of the caches.
LIMITS = {
    ("start", "binary_mlp", "cold"): 0.74,
    ("start", "binary_mlp", "warm"): 0.35,
    ("start", "resnet50", "warm"): 1.0,
}


@dataclass(frozen=True)
class Job:
    """One table: a kind of measurement on a workload ("" for `import`)."""

    kind: str
    workload: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.workload}".rstrip()

    @property
    def title(self) -> str:
        model = f"{self.module().TITLE}: " if self.workload else ""
        return model + HEADINGS[self.kind]

    def module(self) -> ModuleType:
        """The module imports NumPy: a process that measures memory should not have started from one that holds much."""
        return importlib.import_module(f"benchmarks.workloads.{self.workload}")


def jobs() -> list[Job]:
    """All of them, in the order of the tables."""
    found = [Job("train", name) for name in TRAINED]
    for name in PREDICTED:
        found += [Job("predict", name), Job("row", name)]
    return [*found, *[Job("start", name) for name in STARTED], Job("import", "")]
