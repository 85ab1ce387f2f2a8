"""The rows of `model.summary()`; `kgraph.utils.summary` makes the table."""

from __future__ import annotations

import sys
from typing import Any

from kgraph.core.layer import Layer
from kgraph.core.node import origin
from kgraph.core.operation import Operation
from kgraph.errors import InvalidArgumentError
from kgraph.models.model import Model
from kgraph.models.sequential import Sequential
from kgraph.utils.summary import SummaryRow, format_summary

__all__ = ["summary_text"]


def summary_text(
    model: Model, line_length: int | None, expand_nested: bool, show_trainable: bool, layer_range: Any
) -> str:
    """The table as text."""
    weights = model.weights
    trainable = sum(v.size for v in model.trainable_weights)
    total = sum(v.size for v in weights)
    optimizer = model.optimizer
    slots = sum(v.size for v in getattr(optimizer, "variables", [])) if optimizer is not None else 0
    rows = _rows(model, expand_nested, 0)
    if layer_range is not None:
        rows = _ranged(rows, layer_range)
    bytes_used = sum(v.array.nbytes for v in weights)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return format_summary(
        rows,
        title=f'Model: "{model.name}"',
        trainable_params=trainable,
        non_trainable_params=total - trainable,
        optimizer_params=slots,
        bytes_per_param=bytes_used / total if total else 4.0,
        line_length=line_length,
        show_trainable=show_trainable,
        show_connections=False if isinstance(model, Sequential) else None,
        ascii_only=not encoding.lower().startswith("utf"),
    )


def _rows(model: Model, expand: bool, depth: int) -> list[SummaryRow]:
    functional = model._graph is not None and not isinstance(model, Sequential)
    nodes = {id(node) for node in model._graph.nodes} if functional and model._graph else set()
    rows: list[SummaryRow] = []
    for layer in model.operations if functional else model.layers:
        rows.append(
            SummaryRow(
                name=layer.name,
                class_name=type(layer).__name__ if isinstance(layer, Layer) else _title(layer),
                output_shape=_output_shape(layer),
                params=(layer.count_params() if layer.built or layer.weights else None)
                if isinstance(layer, Layer)
                else 0,
                connected_to=_connections(layer, nodes) if functional else (),
                trainable=getattr(layer, "trainable", True),
                depth=depth,
            )
        )
        if expand and isinstance(layer, Model):
            rows.extend(_rows(layer, expand, depth + 1))
    return rows


def _title(operation: Operation) -> str:
    return "".join(part.capitalize() for part in getattr(operation, "title", type(operation).__name__).split("_"))


def _output_shape(layer: Operation) -> str:
    if isinstance(layer, Model) and layer.outputs:
        shapes = [tensor.shape for tensor in layer.outputs]
    elif layer._inbound_nodes:
        shapes = [tensor.shape for tensor in layer._inbound_nodes[0].output_tensors]
    else:
        return "?"
    return ", ".join(str(shape) for shape in shapes)


def _connections(layer: Operation, nodes: set[int]) -> list[str]:
    found: list[str] = []
    for node in layer._inbound_nodes:
        if id(node) not in nodes:
            continue
        for tensor in node.input_tensors:
            base = tensor if tensor._mask_of is None else tensor._mask_of
            if origin(base) is not None and base._keras_history is not None:
                history = base._keras_history
                found.append(f"{history.operation.name}[{history.node_index}][{history.tensor_index}]")
    return found


def _ranged(rows: list[SummaryRow], layer_range: Any) -> list[SummaryRow]:
    first, last = layer_range
    names = [row.name for row in rows]
    if first not in names or last not in names:
        raise InvalidArgumentError("layer_range names a layer that the model has not", got=str(layer_range))
    low, high = sorted((names.index(first), names.index(last)))
    return rows[low : high + 1]
