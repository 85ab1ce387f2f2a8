"""Graph to graph: the runner, the passes, and the pipelines that the compiler runs."""

from kgraph.ir.passes.base import FileDump, Pass, PassContext, Pattern, Rewriter, pipeline_text, rewrite, run_passes
from kgraph.ir.passes.pipeline import BEFORE_GRADIENTS, OPTIMIZE, PASSES, parse_pipeline

__all__ = [
    "BEFORE_GRADIENTS",
    "OPTIMIZE",
    "PASSES",
    "FileDump",
    "Pass",
    "PassContext",
    "Pattern",
    "Rewriter",
    "parse_pipeline",
    "pipeline_text",
    "rewrite",
    "run_passes",
]
