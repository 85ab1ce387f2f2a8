"""`plot_model`: a picture of a model as SVG, with nothing installed, or as DOT source.

A layer is one box, however often it is called; each of its calls is an arrow into it.  A nested model is one box, or a
frame round its layers.  `kgraph.utils.plot` draws; here models are only translated to its boxes and arrows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kgraph.core.node import Node, origin
from kgraph.core.operation import Operation
from kgraph.core.tensors import SymbolicTensor
from kgraph.errors import InvalidArgumentError, KGraphError, NotBuiltError
from kgraph.models.graph import FunctionGraph
from kgraph.models.model import Model
from kgraph.models.sequential import Sequential
from kgraph.utils.plot import Cluster, DrawEdge, DrawNode, dot_text, layered_svg

__all__ = ["GraphvizMissingError", "ModelDrawing", "model_to_dot", "plot_model"]

_DRAWN = (".svg", ".dot", ".gv")

# Colours by the last words of a class name; the first that fits counts.
_KINDS = (
    ("InputLayer", "input"),
    ("Conv1D", "conv"),
    ("Conv2D", "conv"),
    ("Conv2DTranspose", "conv"),
    ("Conv3D", "conv"),
    ("Pooling1D", "pool"),
    ("Pooling2D", "pool"),
    ("Pooling3D", "pool"),
    ("Normalization", "norm"),
    ("Dropout", "dropout"),
    ("Dropout1D", "dropout"),
    ("Dropout2D", "dropout"),
    ("Noise", "dropout"),
    ("Embedding", "embedding"),
    ("EinsumDense", "dense"),
    ("Dense", "dense"),
    ("LSTM", "recurrent"),
    ("GRU", "recurrent"),
    ("RNN", "recurrent"),
    ("Bidirectional", "recurrent"),
    ("TimeDistributed", "recurrent"),
    ("Attention", "attention"),
    ("Concatenate", "merge"),
    ("Add", "merge"),
    ("Subtract", "merge"),
    ("Multiply", "merge"),
    ("Average", "merge"),
    ("Maximum", "merge"),
    ("Minimum", "merge"),
    ("Dot", "merge"),
    ("Flatten", "shape"),
    ("Reshape", "shape"),
    ("Permute", "shape"),
    ("RepeatVector", "shape"),
    ("Activation", "activation"),
    ("ReLU", "activation"),
    ("ELU", "activation"),
    ("Softmax", "activation"),
    ("Lambda", "op"),
)


class GraphvizMissingError(KGraphError, ImportError):
    """A picture in a format that only Graphviz makes was asked for, and there is no Graphviz."""


@dataclass(frozen=True)
class ModelDrawing:
    """Boxes, arrows and frames of one model; notebooks show it as a picture.

    Attributes:
        nodes, edges, clusters: what `kgraph.utils.plot` draws.
        rankdir: `"TB"` or `"LR"`.
        title: name of the model.
    """

    nodes: Sequence[DrawNode]
    edges: Sequence[DrawEdge]
    clusters: Sequence[Cluster]
    rankdir: str
    title: str

    def svg(self) -> str:
        """The picture as an SVG document."""
        return layered_svg(self.nodes, self.edges, rankdir=self.rankdir, clusters=self.clusters, title=self.title)

    def to_string(self) -> str:
        """Source for Graphviz."""
        return dot_text(self.nodes, self.edges, rankdir=self.rankdir, clusters=self.clusters, title=self.title)

    def create(self, prog: Any = None, format: str = "svg", dpi: int | None = None) -> bytes:
        """The picture as bytes, under the name that pydot gives it; `prog` says nothing here.

        Args:
            prog: ignored.
            format: `"svg"`, `"dot"` or `"gv"`; anything else goes through Graphviz.
            dpi: dots per inch of formats made of dots.

        Raises:
            GraphvizMissingError: another format, and Graphviz is not installed.
        """
        if format == "svg":
            return self.svg().encode()
        if format in ("dot", "gv", "raw"):
            return self.to_string().encode()
        return _by_graphviz(self.to_string(), format, dpi)

    def write(self, path: Any, prog: Any = None, format: str | None = None, dpi: int | None = None) -> None:
        """Write the picture to a file; the format is that of the file name unless given; errors as `create`."""
        file = Path(path)
        file.write_bytes(self.create(prog, format or file.suffix[1:].lower() or "svg", dpi))

    def _repr_svg_(self) -> str:
        return self.svg()


def plot_model(
    model: Any,
    to_file: Any = "model.svg",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int | None = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> ModelDrawing:
    """Draw a model and write the picture to a file.  SVG and DOT need nothing installed.

    Args:
        model: a model with shapes.  One without recorded layers (a subclass with `call`) is one box.
        to_file: `name.svg`, `name.dot` or `name.gv`; another ending (`name.png`) goes through Graphviz's program `dot`,
            when there is one.  None: write nothing.
        show_shapes: shapes of inputs and outputs, call by call.
        show_dtype: element type of the outputs.
        show_layer_names: the layer's name beside its class.
        rankdir: `"TB"`: from top to bottom; `"LR"`: from left to right.
        expand_nested: draw nested models as frames round their layers.
        dpi: dots per inch of formats made of dots.
        show_layer_activations: name of the activation of layers that have one.
        show_trainable: whether each layer with weights is trained or frozen.

    Returns:
        The drawing; notebooks show it.

    Raises:
        NotBuiltError: the model has no shapes yet.
        GraphvizMissingError: the format needs Graphviz, which is not installed; also an `ImportError`.
        InvalidArgumentError: `rankdir` is another word.
    """
    drawing = model_to_dot(
        model,
        show_shapes,
        show_dtype,
        show_layer_names,
        rankdir,
        expand_nested,
        dpi,
        False,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
    )
    if to_file is not None:
        drawing.write(to_file, dpi=dpi)
    return drawing


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int | None = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> ModelDrawing:
    """The drawing of a model, with the methods of pydot's graph that scripts use: `create`, `write`, `to_string`.

    Arguments and errors as `plot_model`; `subgraph` and `dpi` are accepted and change nothing here.

    Example:
        >>> import kgraph as keras
        >>> x = keras.Input((4,), name="x")
        >>> model = keras.Model(x, keras.layers.Dense(2, name="head")(x))
        >>> "head (Dense)" in model_to_dot(model).to_string()
        True
    """
    if not isinstance(model, Model):
        raise InvalidArgumentError("plot_model draws models", got=repr(model))
    if rankdir not in ("TB", "LR"):
        raise InvalidArgumentError(f"unknown rankdir {rankdir!r}", needed="'TB' (top to bottom) or 'LR'")
    shown = _Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable)
    graph = _graph_of(model)
    if graph is None:
        if not model.built:
            raise NotBuiltError(
                f"model {model.name!r} cannot be drawn: it has no shapes yet",
                fix="begin it with an Input, or call it on data or build(input_shape) first",
            )
        return ModelDrawing([shown.box(model, "m", [])], [], [], rankdir, model.name)
    picture = _Picture(shown, expand_nested)
    level = picture.add(graph, "")
    return ModelDrawing(picture.nodes, picture.edges, level.clusters, rankdir, model.name)


@dataclass(frozen=True)
class _Shown:
    """What the boxes say."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool

    def box(self, operation: Operation, key: str, calls: Sequence[Node]) -> DrawNode:
        kind = type(operation).__name__
        inner = getattr(operation, "layer", None)
        if isinstance(inner, Operation):
            kind = f"{kind}({type(inner).__name__})"
        title = f"{operation.name} ({kind})" if self.names else kind
        return DrawNode(key, title, tuple(self._lines(operation, calls)), _kind(operation))

    def _lines(self, operation: Any, calls: Sequence[Node]) -> list[str]:
        lines = []
        if self.activations and getattr(operation, "activation", None) is not None:
            function = operation.activation
            lines.append(f"activation\t{getattr(function, '__name__', type(function).__name__)}")
        if self.trainable and getattr(operation, "weights", None):
            lines.append("weights\t" + ("trained" if operation.trainable_weights else "frozen"))
        if self.dtype and calls:
            lines.append("dtype\t" + ", ".join(dict.fromkeys(tensor.dtype for tensor in calls[0].output_tensors)))
        if self.shapes:
            for number, call in enumerate(calls):
                mark = f" {number}" if len(calls) > 1 else ""
                if not call.is_input:
                    lines.append(f"input{mark}\t{_shapes(call.input_tensors)}")
                lines.append(f"output{mark}\t{_shapes(call.output_tensors)}")
        return lines


def _shapes(tensors: Sequence[SymbolicTensor]) -> str:
    return ", ".join(str(tensor.shape) for tensor in tensors)


def _kind(operation: Operation) -> str:
    if isinstance(operation, Model):
        return "model"
    name = type(operation).__name__
    return next((kind for ending, kind in _KINDS if name.endswith(ending)), "other")


def _graph_of(model: Any) -> FunctionGraph | None:
    """The recorded layers of a model, or None when it has none."""
    if isinstance(model, Sequential):
        return model._function_graph() if model.inputs else None
    found: FunctionGraph | None = model._graph
    return found


@dataclass
class _Level:
    """What one model became: who makes each of its tensors, and what lies directly in it.

    Attributes:
        makers: box that makes a tensor, by the tensor's identity.
        nodes: ids of the boxes directly in it.
        clusters: the frames directly in it.
    """

    makers: dict[int, str] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)


class _Picture:
    """Collects boxes and arrows, model within model."""

    def __init__(self, shown: _Shown, expand_nested: bool) -> None:
        self.shown, self.expand = shown, expand_nested
        self.nodes: list[DrawNode] = []
        self.edges: list[DrawEdge] = []

    def add(self, graph: FunctionGraph, prefix: str) -> _Level:
        """Add the boxes and arrows of one model; `prefix` keeps ids of equal layers in different models apart."""
        level = _Level()
        calls = _calls_of(graph)
        nested: dict[Operation, tuple[FunctionGraph, _Level]] = {}
        keys: dict[Operation, str] = {}
        for operation, nodes in calls.items():
            key = f"{prefix}{len(keys)}"
            keys[operation] = key
            inner = _graph_of(operation) if self.expand and isinstance(operation, Model) else None
            if inner is None:
                self.nodes.append(self.shown.box(operation, key, nodes))
                level.nodes.append(key)
            else:
                below = self.add(inner, f"{key}.")
                nested[operation] = (inner, below)
                level.clusters.append(Cluster(operation.name, below.nodes, below.clusters))
            for node in nodes:
                for position, tensor in enumerate(node.output_tensors):
                    level.makers[id(tensor)] = _maker(nested.get(operation), position, key)
        for tensor in graph.inputs:  # a model cut from the middle of another begins at tensors that nothing in it makes
            if id(tensor) not in level.makers:
                key = f"{prefix}cut{len(level.nodes)}"
                lines = (f"output\t{tensor.shape}",) if self.shown.shapes else ()
                self.nodes.append(DrawNode(key, tensor.name, lines, "input"))
                level.nodes.append(key)
                level.makers[id(tensor)] = key
        for operation, nodes in calls.items():
            for number, node in enumerate(nodes):
                self._arrows(node, str(number) if len(nodes) > 1 else "", level, nested.get(operation), keys[operation])
        return level

    def _arrows(
        self, node: Node, label: str, level: _Level, inside: tuple[FunctionGraph, _Level] | None, key: str
    ) -> None:
        for position, tensor in enumerate(node.input_tensors):
            base = tensor if tensor._mask_of is None else tensor._mask_of
            maker = level.makers.get(id(base))
            if maker is None:
                continue
            if inside is not None and position < len(inside[0].inputs):
                target = inside[1].makers[id(inside[0].inputs[position])]
            else:
                target = key
            self.edges.append(DrawEdge(maker, target, f"call {label}" if label else ""))


def _maker(inside: tuple[FunctionGraph, _Level] | None, position: int, key: str) -> str:
    if inside is None:
        return key
    graph, level = inside
    return level.makers[id(graph.outputs[position])]


def _calls_of(graph: FunctionGraph) -> dict[Operation, list[Node]]:
    """The calls of each operation within this model, operations in the order of `model.layers`."""
    calls: dict[Operation, list[Node]] = {operation: [] for operation in graph.operations}
    for tensor in graph.inputs:
        node = origin(tensor)
        if node is not None and node.is_input and node.operation in calls:
            calls[node.operation].append(node)
    for node in sorted(graph.nodes, key=lambda each: each.index):
        calls.setdefault(node.operation, []).append(node)
    return calls


def _by_graphviz(source: str, format: str, dpi: int | None) -> bytes:
    """The picture that Graphviz's `dot` makes of DOT source."""
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is None:
        raise GraphvizMissingError(
            f"a picture in the format {format!r} needs Graphviz, whose program `dot` is not on the path",
            needed="one of " + ", ".join(_DRAWN) + ", which need nothing",
            fix='plot_model(model, to_file="model.svg"), or install Graphviz',
        )
    command = [program, f"-T{format}"] + ([f"-Gdpi={dpi}"] if dpi else [])
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    if done.returncode:
        raise InvalidArgumentError(
            f"Graphviz makes no picture in the format {format!r}", got=done.stderr.decode(errors="replace").strip()
        )
    return done.stdout
