"""Recorded calls of `kgraph.ops` in files: Keras' operation classes, and back to functions.

In Keras 3 every function has a class; its constructor takes the settings, its call the tensors.  The table below says
which argument is which; functions that are not in it can be saved for kgraph alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgraph import ops
from kgraph.core import tree
from kgraph.core.dispatch import OpOperation, trace_symbolically
from kgraph.core.node import Node
from kgraph.errors import UnknownNameError, UnsupportedError
from kgraph.ir.dims import Dim

__all__ = ["RevivedOperation", "describe_operation", "is_operation", "revive_operation"]

# module of Keras: function (call arguments | settings)
_TABLE = """
numpy abs x | ; absolute x | ; add x1,x2 | ; all x | axis,keepdims ; amax x | axis,keepdims ; amin x | axis,keepdims
numpy any x | axis,keepdims ; argmax x | axis,keepdims ; argmin x | axis,keepdims ; broadcast_to x | shape
numpy ceil x | ; clip x | x_min,x_max ; concatenate xs | axis ; cos x | ; cosh x | ; count_nonzero x | axis
numpy cumsum x | axis,dtype ; divide x1,x2 | ; divide_no_nan x1,x2 | ; dot x1,x2 | ; equal x1,x2 | ; exp x |
numpy expand_dims x | axis ; expm1 x | ; flip x | axis ; floor x | ; floor_divide x1,x2 |
numpy full_like x,fill_value | dtype ; get_item x,key | ; greater x1,x2 |
numpy greater_equal x1,x2 | ; isfinite x | ; isinf x | ; isnan x |
numpy less x1,x2 | ; less_equal x1,x2 | ; log x | ; log10 x | ; log1p x | ; log2 x | ; logaddexp x1,x2 |
numpy logical_and x1,x2 |
numpy logical_not x | ; logical_or x1,x2 | ; logical_xor x1,x2 | ; matmul x1,x2 | ; max x | axis,keepdims,initial
numpy maximum x1,x2 | ; mean x | axis,keepdims ; min x | axis,keepdims,initial ; minimum x1,x2 | ; mod x1,x2 |
numpy moveaxis x | source,destination ; multiply x1,x2 | ; negative x | ; not_equal x1,x2 | ; ones_like x | dtype
numpy outer x1,x2 | ; pad x,constant_values | pad_width,mode ; power x1,x2 | ; prod x | axis,keepdims,dtype ; ravel x |
numpy reciprocal x | ; repeat x | repeats,axis ; reshape x | newshape ; roll x | shift,axis ; round x | decimals
numpy sign x | ; sin x | ; sinh x | ; split x | indices_or_sections,axis ; sqrt x | ; square x | ; squeeze x | axis
numpy stack x | axis ; std x | axis,keepdims ; subtract x1,x2 | ; sum x | axis,keepdims ; swapaxes x | axis1,axis2
numpy take x,indices | axis ; take_along_axis x,indices | axis ; tan x | ; tanh x | ; tensordot x1,x2 | axes
numpy tile x | repeats ; transpose x | axes ; tril x | k ; triu x | k ; true_divide x1,x2 | ; trunc x |
numpy var x | axis,keepdims ; where condition,x1,x2 | ; zeros_like x | dtype
nn average_pool inputs | pool_size,strides,padding,data_format ; celu x | alpha ; elu x | alpha ; gelu x | approximate
nn conv inputs,kernel | strides,padding,data_format,dilation_rate ; hard_sigmoid x | ; hard_silu x | ; hard_tanh x |
nn depthwise_conv inputs,kernel | strides,padding,data_format,dilation_rate ; leaky_relu x | negative_slope
nn log_sigmoid x | ; log_softmax x | axis ; max_pool inputs | pool_size,strides,padding,data_format
nn moments x | axes,keepdims,synchronized ; normalize x | axis,order,epsilon ; one_hot x | num_classes,axis,dtype,sparse
nn relu x | ; relu6 x | ; selu x | ; sigmoid x | ; silu x | ; softmax x | axis ; softplus x | ; softsign x |
core cast x | dtype ; stop_gradient variable | ; unstack x | num,axis
math erf x | ; logsumexp x | axis,keepdims ; rsqrt x |
"""


def _read_table() -> dict[str, tuple[str, str, list[str], list[str]]]:
    table: dict[str, tuple[str, str, list[str], list[str]]] = {}
    for line in _TABLE.strip().splitlines():
        module, _, rest = line.partition(" ")
        for entry in rest.split(";"):
            left, _, settings = entry.partition("|")
            title, tensors = left.split()
            name = "".join(part.capitalize() for part in title.split("_"))
            table[title] = (module, name, tensors.split(","), [s for s in settings.strip().split(",") if s])
    return table


_OPERATIONS = _read_table()
_BY_CLASS = {(module, name): title for title, (module, name, _, _) in _OPERATIONS.items()}
_BY_NAME = {name: title for title, (_, name, _, _) in reversed(_OPERATIONS.items())}


def is_operation(config: dict[str, Any]) -> bool:
    """Whether a layer's description in a file is that of an operation."""
    module = config.get("module")
    if isinstance(module, str):
        return module.startswith(("keras.src.ops.", "kgraph.ops", "keras.ops"))
    inner = config.get("config")
    # Legacy files name no module; only layers say whether they are trainable.
    return isinstance(inner, dict) and "trainable" not in inner and config.get("class_name") in _BY_NAME


def describe_operation(operation: OpOperation, node: Node) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]:
    """(description, positional arguments, keyword arguments) of a recorded call.

    Raises:
        UnsupportedError: an argument cannot be written to a file.
    """
    import inspect

    title = operation.title
    names = list(inspect.signature(operation.function).parameters)
    given: dict[str, Any] = {**dict(zip(names, node.args)), **node.kwargs}
    entry = _OPERATIONS.get(title)
    if entry is None or any(name not in (*entry[2], *entry[3]) for name in given):
        description = {
            "module": "kgraph.ops",
            "class_name": title,
            "config": {"name": operation.name},
            "registered_name": None,
        }
        return (
            description,
            tuple(_plain(title, arg) for arg in node.args),
            {key: _plain(title, arg) for key, arg in node.kwargs.items()},
        )
    module, class_name, tensors, settings = entry
    config = {"name": operation.name}
    config.update({name: _plain(title, given[name]) for name in settings if name in given})
    description = {
        "module": f"keras.src.ops.{module}",
        "class_name": class_name,
        "config": config,
        "registered_name": class_name,
    }
    if title == "pad" and "constant_values" in given and given["constant_values"] is None:
        del given["constant_values"]
    args = [_plain(title, given[name]) for name in tensors if name in given]
    return description, tuple(args), {}


def _plain(title: str, value: Any) -> Any:
    """Symbolic sizes become -1 where a shape may hold one."""
    leaves = tree.flatten(value)
    dims = [leaf for leaf in leaves if isinstance(leaf, Dim)]
    if not dims:
        return value
    if title == "reshape" and len(dims) == 1 and not any(leaf == -1 for leaf in leaves if isinstance(leaf, int)):
        return tree.map_structure(lambda leaf: -1 if isinstance(leaf, Dim) else leaf, value)
    raise UnsupportedError(
        f"a call of ops.{title} with sizes that are not known cannot be saved",
        got=", ".join(str(dim) for dim in dims),
        fix="put it into a layer of your own",
    )


class RevivedOperation:
    """A recorded call read from a file: applied to symbolic tensors it is recorded again under its name."""

    def __init__(self, title: str, name: str, settings: dict[str, Any]) -> None:
        self.title, self.name, self.settings = title, name, settings
        function = getattr(ops, title)
        self.body: Callable[..., Any] = getattr(function, "__wrapped__", function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Record the call."""
        entry = _OPERATIONS.get(self.title)
        if entry is not None:
            kwargs = {**dict(zip(entry[2], args)), **kwargs, **self.settings}
            args = ()
            if entry[2]:
                args = (kwargs.pop(entry[2][0]),)
        outputs = trace_symbolically(self.body, args, kwargs)
        operation = OpOperation(self.body, self.title)
        operation.name = self.name
        Node(operation, args, kwargs, outputs)
        return outputs


def revive_operation(config: dict[str, Any]) -> RevivedOperation:
    """The operation of a description.

    Raises:
        UnknownNameError: kgraph has no such operation.
    """
    module, name = str(config.get("module") or ""), str(config.get("class_name"))
    inner = dict(config.get("config") or {})
    label = str(inner.pop("name", None) or config.get("name") or name)
    title = _BY_CLASS.get((module.rpartition(".")[2], name)) if module else None
    if title is None and module == "kgraph.ops" and name in ops.__all__:
        title = name
    if title is None and not module.startswith("kgraph"):
        title = _BY_NAME.get(name)
    if title is None or not hasattr(ops, title):
        raise UnknownNameError(
            f"the file holds an operation {name!r} that kgraph does not have", where=f"operation {label!r}, {module}"
        )
    wanted = _OPERATIONS[title][3] if title in _OPERATIONS else list(inner)
    settings = {key: value for key, value in inner.items() if key in wanted}
    if title == "one_hot" and not settings.get("sparse"):
        settings.pop("sparse", None)
    if title == "moments" and not settings.get("synchronized"):
        settings.pop("synchronized", None)
    return RevivedOperation(title, label, settings)
