"""`Layer`: `build` and `call`, written in `kgraph.ops`; everything else follows.

A call on symbolic tensors infers the outputs by tracing `call` into a graph that is thrown away, and records a node.
A call inside a trace emits IR.  A call on arrays traces and runs the interpreter, with the weights' present values.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from kgraph.core import tree
from kgraph.core.call_spec import CallSignature, build_arguments, signature_of, tensor_arguments
from kgraph.core.dispatch import has_symbolic, run_eagerly, trace_symbolically
from kgraph.core.dtypes import is_float_dtype
from kgraph.core.input_spec import check_inputs
from kgraph.core.keras1 import wrapped_init
from kgraph.core.layer_state import LayerState, forbid_unknown
from kgraph.core.node import Node
from kgraph.core.policy import DTypePolicy
from kgraph.core.scope import call_training, layer_scope, training_scope
from kgraph.core.tensors import SymbolicTensor, TracedTensor
from kgraph.core.trace import Trace, current_trace, eager_scope, located, user_location
from kgraph.errors import CallError, InternalError, InvalidArgumentError, KGraphError, ShapeError, UnsupportedError

__all__ = ["Layer"]

Self = TypeVar("Self", bound="Layer")


def _wrapped_build(build: Callable[..., Any]) -> Callable[..., Any]:
    """`build` with its weights named below the layer, the flag `built` set, and the shape and the line remembered."""

    @wraps(build)
    def run(self: Layer, *args: Any, **kwargs: Any) -> None:
        outermost = not self.__dict__.get("_building", False)
        self._building = True
        try:
            with layer_scope(self):
                build(self, *args, **kwargs)
        finally:
            if outermost:
                self._building = False
        self.built = True
        if outermost:
            shape = args[0] if args else next(iter(kwargs.values()), None)
            file, line = user_location()
            self._built_at = (shape, f"{file}:{line}" if file else "")

    return run


class Layer(LayerState):
    """A reusable function with weights.

    Subclass it with `call(self, inputs)` and, where there are weights, `build(self, input_shape)`.

    Args:
        activity_regularizer: function or name, applied to the outputs and divided by the batch size.
        trainable: whether training changes the weights.
        dtype: `"float32"` and the like, or a `DTypePolicy`.
        autocast: cast float inputs to the layer's type.
        name: automatic when not given.
        kwargs: `input_shape`, `input_dim`, `batch_input_shape`, `batch_size`, `weights` of Keras 2.

    Example:
        >>> class Scale(Layer):
        ...     def build(self, input_shape):
        ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")
        ...     def call(self, x):
        ...         return x * self.factor
    """

    supports_masking: bool
    built: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            type.__setattr__(cls, "build", _wrapped_build(cls.__dict__["build"]))
        if "__init__" in cls.__dict__ and cls.__module__.startswith("kgraph."):
            type.__setattr__(cls, "__init__", wrapped_init(cls, cls.__dict__["__init__"]))

    def __new__(cls: type[Self], *args: Any, **kwargs: Any) -> Self:
        """Keep the constructor's arguments, for `get_config`."""
        layer = object.__new__(cls)
        layer._init_arguments = (args, kwargs)
        return layer

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._init_arguments: tuple[tuple[Any, ...], dict[str, Any]]
        self._policy = DTypePolicy(dtype)
        super().__init__(name, trainable, self._policy.variable_dtype)
        batch = kwargs.pop("batch_size", None)
        shape = kwargs.pop("batch_input_shape", kwargs.pop("batch_shape", None))
        if "input_shape" in kwargs or "input_dim" in kwargs:
            size = kwargs.pop("input_dim", None)
            given = kwargs.pop("input_shape", None)
            shape = (batch, *(_as_shape(given) if given is not None else (size,)))
        self._batch_input_shape: tuple[int | None, ...] | None = tuple(shape) if shape is not None else None
        self._initial_weights = kwargs.pop("weights", None)
        if kwargs:
            makers = [vars(cls)["__init__"] for cls in type(self).__mro__ if "__init__" in vars(cls)]
            known = [name for make in makers for name in inspect.signature(make).parameters]
            forbid_unknown(type(self).__name__, kwargs, [*known, "input_shape", "input_dim", "weights"])
        if activity_regularizer is not None:
            from kgraph import regularizers

            activity_regularizer = regularizers.get(activity_regularizer)
        self.activity_regularizer = activity_regularizer
        self.autocast = autocast
        self.supports_masking = _is_default(type(self).compute_mask, Layer.compute_mask) is False
        self.input_spec: Any = None
        self.built = False
        self._building = False
        self._built_at: tuple[Any, str] | None = None
        self._warned_mask = False

    # -- types ----------------------------------------------------------------------------------------------------
    @property
    def dtype(self) -> str:
        """Type of the weights."""
        return self._policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """Type in which the layer computes."""
        return self._policy.compute_dtype

    @property
    def variable_dtype(self) -> str:
        """Type of the weights."""
        return self._policy.variable_dtype

    @property
    def dtype_policy(self) -> DTypePolicy:
        """The policy behind `dtype`."""
        return self._policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._policy = DTypePolicy(value)
        self._variable_dtype = self._policy.variable_dtype

    # -- to be overridden -----------------------------------------------------------------------------------------
    def build(self, input_shape: Any) -> None:
        """Create the weights.  By default: build the sub-layers by tracing `call`."""
        if any(not layer.built for layer in self._flatten_layers(include_self=False)) and not _is_default(
            type(self).call, Layer.call
        ):
            inputs = tree_of_shapes(input_shape, lambda shape: SymbolicTensor(shape, self.compute_dtype))
            self.built = True
            trace_symbolically(lambda x: self._call_traced((x,), {}), (inputs,), {})
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs, in `kgraph.ops`."""
        raise UnsupportedError(f"Layer {type(self).__name__} does not have a `call()` method implemented.")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The mask of the outputs; the mask of the inputs by default, when `supports_masking` is set."""
        return previous_mask

    # -- calling --------------------------------------------------------------------------------------------------
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the layer to symbolic tensors, traced tensors or arrays.

        Raises:
            ShapeError: the inputs do not fit; names layer, call and shapes.
        """
        if "_own_weights" not in self.__dict__:
            raise InvalidArgumentError(
                f"In layer {type(self).__name__}, `super().__init__()` was not called",
                fix="call super().__init__(**kwargs) first in __init__",
            )
        if current_trace() is not None:
            return self._call_traced(args, kwargs)
        if has_symbolic(args) or has_symbolic(kwargs):
            return self._call_symbolically(args, kwargs)
        return self._call_eagerly(args, kwargs)

    def _call_symbolically(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        outputs = trace_symbolically(lambda *a, **k: self._call_traced(a, k), args, kwargs)
        Node(self, args, kwargs, outputs)
        return outputs

    def _call_eagerly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if (
            args
            and isinstance(args[0], (list, tuple))
            and all(isinstance(x, (bool, int, float)) for x in tree.flatten(args[0]))
        ):
            args = (np.asarray(args[0]), *args[1:])  # a list of numbers is one tensor
        elif args and isinstance(args[0], (int, float, np.generic)):
            args = (np.asarray(args[0]), *args[1:])
        for layer in self._flatten_layers():
            layer._eager_losses = []
        owners: list[Any] = []

        def body(*a: Any, **k: Any) -> Any:
            outputs = self._call_traced(a, k)
            trace = current_trace()
            assert trace is not None
            owners.extend(trace.loss_owners)
            return outputs, list(trace.losses)

        outputs, losses = run_eagerly(body, self.name, args, kwargs, training=False)
        for owner, loss in zip(owners, losses):
            owner._eager_losses.append(loss)
        return outputs

    def _call_traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        trace = current_trace()
        if trace is None:
            raise InternalError("a layer was to be traced outside a trace")
        signature = signature_of(type(self).call)
        args, kwargs = self._prepared(args, kwargs)
        training = self._pass_training(signature, args, kwargs, trace)
        bound = signature.bind(args, kwargs)
        _check_call(self, signature, bound)
        first = bound.get(signature.first) if signature.first != "*args" else None
        with self._trace_layer(trace), layer_scope(self), training_scope(training):
            try:
                self._pass_masks(signature, bound, kwargs)
                if self.built:
                    check_inputs(self.input_spec, first, self, str(trace.location()))
                else:
                    check_inputs(self.input_spec, first, self, str(trace.location()))
                    self._maybe_build(bound)
                    check_inputs(self.input_spec, first, self, str(trace.location()))
                outputs = self.call(*args, **kwargs)
            except KGraphError as error:
                raise located(error, trace) from None
            if outputs is None:
                raise InvalidArgumentError(
                    f"call() of layer {self.name!r} ({type(self).__name__}) returned None",
                    where=str(trace.location()),
                    needed="the output tensor",
                    fix="end call() with `return ...`",
                )
            outputs = _own_outputs(outputs, args, kwargs)
            self._regularize_activity(outputs, trace)
            self._set_masks(first, outputs)
        return outputs

    def _trace_layer(self, trace: Trace) -> AbstractContextManager[None]:
        """How the layer appears in the locations of what it emits."""
        return trace.layer(self.name)

    def _prepared(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arrays as tensors, floats in the layer's type."""
        from kgraph import ops
        from kgraph.ops.convert import as_tensor

        def prepare(leaf: Any) -> Any:
            if isinstance(leaf, np.ndarray):
                leaf = as_tensor(leaf)
            if (
                self.autocast
                and isinstance(leaf, TracedTensor)
                and is_float_dtype(leaf.dtype)
                and leaf.dtype != self.compute_dtype
            ):
                mask = leaf._keras_mask
                leaf = ops.cast(leaf, self.compute_dtype)
                leaf._keras_mask = mask
            return leaf

        return tree.map_structure(prepare, args), tree.map_structure(prepare, kwargs)

    def _pass_training(
        self, signature: Any, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace
    ) -> bool | None:
        """Find `training`: the argument, else the call around, else the trace; put it into `kwargs` where `call`
        takes it.
        """
        given = signature.bind(args, kwargs).get("training")
        training = given if given is not None else call_training()
        if training is None:
            training = trace.training
        if training is None:
            default = signature.defaults.get("training")
            training = default if isinstance(default, bool) else None
        if signature.takes_training:
            if "training" not in signature.positional[: len(args)]:
                kwargs["training"] = training
        elif "training" in kwargs and not signature.has_varkw:
            del kwargs["training"]  # every Keras layer may be called with training=
        return training

    def _pass_masks(self, signature: Any, bound: dict[str, Any], kwargs: dict[str, Any]) -> None:
        """Fill `mask` (or `<argument>_mask`) from the masks that the tensors carry."""
        for position, (name, value) in enumerate(tensor_arguments(bound).items()):
            target = f"{name}_mask"
            if position == 0 and target not in signature.names:
                target = "mask"
            if target not in signature.names or bound.get(target) is not None:
                continue
            masks = tree.map_structure(lambda leaf: getattr(leaf, "_keras_mask", None), value)
            if any(mask is not None for mask in tree.flatten(masks)):
                kwargs[target] = bound[target] = masks

    def _maybe_build(self, bound: dict[str, Any]) -> None:
        arguments = build_arguments(self.build, bound)
        if isinstance(arguments, dict):
            self.build(**arguments)
        elif _is_default(type(self).build, Layer.build):
            self.built = True  # sub-layers build themselves in `call`
        else:
            if arguments == (None,) and bound:
                name, value = next(iter(bound.items()))
                raise CallError(
                    f"layer {self.name!r} was called without a tensor",
                    got=f"{name}={value!r}",
                    needed="a tensor or an array",
                )
            self.build(*arguments)
        self.built = True
        if self._initial_weights is not None:
            with eager_scope():
                self.set_weights(self._initial_weights)
            self._initial_weights = None

    def _regularize_activity(self, outputs: Any, trace: Trace) -> None:
        if self.activity_regularizer is None:
            return
        from kgraph import ops

        for output in tree.flatten(outputs):
            if isinstance(output, TracedTensor):
                loss = self.activity_regularizer(output)
                if output.dims:
                    # Per sample, so that the strength does not depend on the batch size (as Keras 3).
                    loss = ops.divide(loss, ops.cast(ops.shape(output)[0], loss.dtype))
                trace.add_loss(loss, self)

    def _set_masks(self, inputs: Any, outputs: Any) -> None:
        previous = tree.map_structure(lambda leaf: getattr(leaf, "_keras_mask", None), inputs)
        some = any(mask is not None for mask in tree.flatten(previous))
        if not self.supports_masking:
            trace = current_trace()
            takes_mask = "mask" in signature_of(type(self).call).names
            if some and not takes_mask and not self._warned_mask and trace is not None and trace.scratch:
                self._warned_mask = True
                warnings.warn(
                    f"Layer {self.name!r} (of type {type(self).__name__}) was passed an input with a mask "
                    f"attached to it. However, "
                    "this layer does not support masking and will therefore destroy the mask information. "
                    "Downstream layers "
                    "will not see the mask.",
                    stacklevel=2,
                )
            return
        tensors = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, TracedTensor)]
        if not tensors or all(tensor._keras_mask is not None for tensor in tensors):
            return
        if not some and _is_default(type(self).compute_mask, Layer.compute_mask):
            return
        masks = self.compute_mask(inputs, previous if some else None)
        if masks is None:
            return
        flat = [masks] if isinstance(masks, TracedTensor) else tree.flatten(masks)
        for tensor, mask in zip(tensors, flat):
            if tensor._keras_mask is None and mask is not None:
                tensor._keras_mask = mask

    # -- shapes ---------------------------------------------------------------------------------------------------
    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Shape of the output for a shape (or nested shapes) of the input, None for unknown sizes.

        The layer itself is not built; an unbuilt layer is tried on a copy of it.
        """
        shapes = [*args, *kwargs.values()]
        if not shapes:
            raise InvalidArgumentError(f"compute_output_shape of {self.name!r} needs an input shape")
        layer = self if self.built else self._twin()
        inputs = [tree_of_shapes(shape, lambda s: SymbolicTensor(s, self._input_dtype())) for shape in shapes]
        outputs = trace_symbolically(lambda *x: layer._call_traced(x, {}), tuple(inputs), {})
        return tree.map_structure(lambda leaf: leaf.shape if isinstance(leaf, SymbolicTensor) else None, outputs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Symbolic tensors that the layer would return for symbolic tensors; nothing is recorded."""
        return trace_symbolically(lambda *a, **k: self._call_traced(a, k), args, kwargs)

    def _input_dtype(self) -> str:
        return self.compute_dtype

    def _twin(self: Self) -> Self:
        """An unbuilt copy, or the layer itself when it cannot be copied."""
        try:
            return type(self).from_config(self.get_config())
        except Exception:
            # A layer without a config: it is built in place.
            return self

    # -- configuration --------------------------------------------------------------------------------------------
    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer.

        Raises:
            UnsupportedError: the class takes arguments and does not override this method.
        """
        config: dict[str, Any] = {"name": self.name, "trainable": self.trainable, "dtype": self._policy.name}
        if self.activity_regularizer is not None:
            from kgraph import regularizers

            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        if self._batch_input_shape is not None:
            config["batch_input_shape"] = self._batch_input_shape
        if not _is_default(type(self).get_config, Layer.get_config):
            return config
        return self._automatic_config(config)

    def _automatic_config(self, base: dict[str, Any]) -> dict[str, Any]:
        """Constructor arguments of a user's class that has no `get_config` of its own, when they are plain values."""
        args, kwargs = self._init_arguments
        signature = inspect.signature(type(self).__init__)
        own = dict(signature.bind_partial(self, *args, **kwargs).arguments)
        parameters = list(signature.parameters.values())
        own.pop(parameters[0].name, None)
        takes_any = False
        for parameter in parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_any = True
                own.update(own.pop(parameter.name, {}))
        if not takes_any:
            base = {key: value for key, value in base.items() if key in signature.parameters}
        plain = (str, int, float, bool, type(None))
        own = {key: value for key, value in own.items() if key not in base}
        if all(isinstance(leaf, plain) for leaf in tree.flatten(own)):
            return {**base, **own}
        raise UnsupportedError(
            f"Object {type(self).__name__} was created by passing arguments in `__init__()` that are not plain "
            f"values, and "
            "therefore must override method `get_config()`.",
            got=", ".join(own),
            fix="return super().get_config() with these arguments added",
        )

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any]) -> Self:
        """A new layer from `get_config()`."""
        return cls(**config)

    def get_build_config(self) -> dict[str, Any] | None:
        """The input shape that the layer was built with."""
        return None if self._built_at is None else {"input_shape": self._built_at[0]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build from `get_build_config()`."""
        if config and "input_shape" in config:
            self.build(config["input_shape"])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


# The base class's own `build` is wrapped like every other.
type.__setattr__(Layer, "build", _wrapped_build(Layer.build))


def _is_default(method: Any, base: Any) -> bool:
    return method is base or getattr(method, "__wrapped__", method) is getattr(base, "__wrapped__", base)


def _as_shape(given: Any) -> tuple[int | None, ...]:
    return (int(given),) if isinstance(given, (int, np.integer)) else tuple(given)


def is_shape(value: Any) -> bool:
    """Whether this is one shape: a tuple or list of sizes and Nones."""
    return isinstance(value, (tuple, list)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in value
    )


def tree_of_shapes(structure: Any, make: Callable[[Sequence[Any]], Any]) -> Any:
    """`make(shape)` for every shape in a structure of shapes."""
    if is_shape(structure):
        return make(structure)
    if isinstance(structure, dict):
        return {key: tree_of_shapes(value, make) for key, value in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [tree_of_shapes(item, make) for item in structure]
    raise ShapeError(
        "this is not a shape", got=repr(structure), needed="a tuple of sizes and None, or a list or dict of them"
    )


def _check_call(layer: Layer, signature: CallSignature, bound: dict[str, Any]) -> None:
    """Refuse arguments that `call` does not take, as Python would, but on the user's line and naming the layer."""
    unknown = [name for name in bound if name not in signature.names and name not in ("*args", "mask", "training")]
    if unknown and not signature.has_varkw:
        near = get_close_matches(unknown[0], signature.names, 1)
        raise CallError(
            f"layer {layer.name!r} ({type(layer).__name__}) takes no argument {unknown[0]!r}",
            needed=", ".join(signature.names),
            fix=f"write {near[0]}=" if near else "",
        )
    if signature.first and signature.first not in bound and signature.first not in signature.defaults:
        raise CallError(
            f"layer {layer.name!r} ({type(layer).__name__}) was called without {signature.first!r}",
            needed="a tensor or an array",
        )


def _own_outputs(outputs: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Arrays among the outputs become tensors; an input handed through becomes a tensor of its own (masks differ)."""
    from kgraph.ops.convert import as_tensor

    given = {id(leaf) for leaf in tree.flatten([list(args), kwargs]) if isinstance(leaf, TracedTensor)}

    def own(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return as_tensor(leaf)
        if isinstance(leaf, TracedTensor) and id(leaf) in given:
            return TracedTensor(leaf.value, leaf.trace)
        return leaf

    return tree.map_structure(own, outputs)
