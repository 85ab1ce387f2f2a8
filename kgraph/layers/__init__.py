"""All layers, under the names of Keras 3 and Keras 2."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from kgraph.core import InputSpec, Layer
from kgraph.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax, ThresholdedReLU
from kgraph.layers.convolutional import Conv1D, Conv2D, DepthwiseConv2D, SeparableConv2D
from kgraph.layers.core import Activation, ActivityRegularization, Dense, Identity, Lambda, Masking, Rescaling
from kgraph.layers.embedding import Embedding
from kgraph.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from kgraph.layers.normalization import BatchNormalization, LayerNormalization, UnitNormalization
from kgraph.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    MaxPooling1D,
    MaxPooling2D,
)
from kgraph.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from kgraph.layers.recurrent_cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from kgraph.layers.regularization import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
)
from kgraph.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Flatten,
    Permute,
    RepeatVector,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    ZeroPadding1D,
    ZeroPadding2D,
)
from kgraph.layers.wrappers import Bidirectional, TimeDistributed, Wrapper
from kgraph.registry import Registry, serialize

Convolution1D, Convolution2D = Conv1D, Conv2D
SeparableConvolution2D, DepthwiseConvolution2D = SeparableConv2D, DepthwiseConv2D
MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D

_REGISTRY = Registry("layer")
_REGISTRY.add_all(
    [thing for thing in list(globals().values()) if inspect.isclass(thing) and issubclass(thing, Layer)],
    {name: thing for name, thing in list(globals().items()) if inspect.isclass(thing) and issubclass(thing, Layer)},
)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The layer that `serialize` described."""
    return _REGISTRY.deserialize(config, custom_objects)


def __getattr__(name: str) -> Any:
    # `Input` belongs to the models, which are built on the layers; loaded when asked for.
    if name in ("Input", "InputLayer"):
        from kgraph import models

        return getattr(models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
