"""VGG19 (Simonyan and Zisserman 2014)."""

from __future__ import annotations

from kgraph.applications.building import Classifier, application, decode_predictions, preprocessor
from kgraph.applications.vgg16 import files, stacks, top

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]

VGG19 = application(
    "VGG19",
    Classifier(stacks(2, 2, 4, 4, 4), top, files=files("vgg19"), pooling_names=False),
    "vgg19",
    "Sixteen convolutions and three dense layers.",
)
preprocess_input = preprocessor("caffe")
