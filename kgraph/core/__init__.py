"""Variables, tensors without values, tracing, layers and the nodes they record: what everything in the front end
stands on.
"""

from __future__ import annotations

from kgraph.core.input_layer import Input, InputLayer
from kgraph.core.input_spec import InputSpec
from kgraph.core.layer import Layer
from kgraph.core.node import Node
from kgraph.core.operation import Operation
from kgraph.core.policy import DTypePolicy
from kgraph.core.session import clear_session
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import Trace, current_trace, eager_scope
from kgraph.core.variable import Variable

__all__ = [
    "DTypePolicy",
    "Input",
    "InputLayer",
    "InputSpec",
    "Layer",
    "Node",
    "Operation",
    "SymbolicTensor",
    "Trace",
    "TracedTensor",
    "Variable",
    "clear_session",
    "current_trace",
    "eager_scope",
]
