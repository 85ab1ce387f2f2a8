"""`ResNet50` where older programs look for it; see `kgraph.applications.resnet`."""

from __future__ import annotations

from kgraph.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
