"""Prediction for one row with the small classifier: what is left when there is next to nothing to compute."""

from benchmarks.workloads.binary_mlp import build_keras, build_torch, data, init_jax, predict_jax

__all__ = ["CALLS", "build_keras", "build_torch", "data", "init_jax", "predict_jax"]

CALLS = 1000
