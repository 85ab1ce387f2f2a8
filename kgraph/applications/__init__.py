"""Image classifiers of the literature: `ResNet50`, `MobileNetV2`, `EfficientNetB0`, ..., with the layer names of Keras.

Each module holds one family, with its `preprocess_input` and `decode_predictions`.  Nothing is downloaded: weights are
None (random), a file, or `"imagenet"`, which is looked for where Keras keeps it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from kgraph.errors import UnsupportedError

_MODULES: dict[str, str] = {
    "densenet": "DenseNet121 DenseNet169 DenseNet201",
    "efficientnet": " ".join(f"EfficientNetB{i}" for i in range(8)),
    "efficientnet_v2": " ".join(f"EfficientNetV2{kind}" for kind in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "imagenet_utils": "",
    "inception_resnet_v2": "InceptionResNetV2",
    "inception_v3": "InceptionV3",
    "mobilenet": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    "mobilenet_v3": "MobileNetV3Small MobileNetV3Large",
    "resnet": "ResNet50 ResNet101 ResNet152",
    "resnet50": "",
    "resnet_v2": "ResNet50V2 ResNet101V2 ResNet152V2",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "xception": "Xception",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
_LEFT_OUT = {
    "NASNetLarge": "EfficientNetB7",
    "NASNetMobile": "MobileNetV3Large",
    "nasnet": "kgraph.applications.efficientnet",
    "convnext": "kgraph.applications.efficientnet_v2",
    **{f"ConvNeXt{size}": "EfficientNetV2S" for size in ("Tiny", "Small", "Base", "Large", "XLarge")},
}

__all__ = sorted([*_HOMES, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"kgraph.applications.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"kgraph.applications.{name}")
    elif name in _LEFT_OUT:
        raise UnsupportedError(f"kgraph.applications.{name} is not there", fix=f"use {_LEFT_OUT[name]}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
