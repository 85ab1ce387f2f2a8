"""Arguments of layers as Keras 1 named them, in terms of today's: the one table of those names.

A name is only read as one of Keras 1 where the layer has no argument of that name itself (`Embedding(output_dim=)`).
What is not named keeps today's default.  Also here: errors for calls that a constructor cannot take.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache, wraps
from typing import Any

from kgraph.errors import CallError, InvalidArgumentError, UnsupportedError

__all__ = ["OLD_NAMES", "joined_sizes", "modern_arguments", "wrapped_init"]

# Name of Keras 1: today's names, of which those are set that the layer has.
_RENAMED: dict[str, tuple[str, ...]] = {
    "output_dim": ("units",),
    "nb_filter": ("filters",),
    "filter_length": ("kernel_size",),
    "init": ("kernel_initializer", "embeddings_initializer", "alpha_initializer"),
    "inner_init": ("recurrent_initializer",),
    "beta_init": ("beta_initializer",),
    "gamma_init": ("gamma_initializer",),
    "depthwise_init": ("depthwise_initializer",),
    "pointwise_init": ("pointwise_initializer",),
    "forget_bias_init": ("unit_forget_bias",),
    "W_regularizer": ("kernel_regularizer", "embeddings_regularizer"),
    "b_regularizer": ("bias_regularizer",),
    "U_regularizer": ("recurrent_regularizer",),
    "W_constraint": ("kernel_constraint", "embeddings_constraint"),
    "b_constraint": ("bias_constraint",),
    "U_constraint": ("recurrent_constraint",),
    "bias": ("use_bias",),
    "p": ("rate",),
    "sigma": ("stddev",),
    "border_mode": ("padding",),
    "subsample": ("strides",),
    "subsample_length": ("strides",),
    "atrous_rate": ("dilation_rate",),
    "dim_ordering": ("data_format",),
    "pool_length": ("pool_size",),
    "stride": ("strides",),
    "length": ("size",),
    "inner_activation": ("recurrent_activation",),
    "dropout_W": ("dropout",),
    "dropout_U": ("recurrent_dropout",),
    "input_dtype": ("dtype",),
}
# Parts of `kernel_size`, in order.
_SIZES = ("nb_row", "nb_col", "kernel_dim1", "kernel_dim2", "kernel_dim3")
# Arguments that are gone: of which layer, values that change nothing, and what to use for others.
_GONE: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "mode": ("BatchNormalization", (0, 2), "LayerNormalization for mode=1, which was per sample"),
    "dropout": ("Embedding", (0, 0.0, None), "a SpatialDropout1D after the Embedding"),
}
OLD_NAMES = frozenset((*_RENAMED, *_SIZES, *_GONE))


def _dim_ordering(value: Any) -> Any:
    known = {"tf": "channels_last", "th": "channels_first", "default": None, None: None}
    if value not in known:
        raise InvalidArgumentError("dim_ordering has no such value", got=repr(value), needed="'tf', 'th' or 'default'")
    return known[value]


def _forget_bias(value: Any) -> bool:
    name = str(value if isinstance(value, str) else type(value).__name__).lower().rstrip("s")
    if name not in ("one", "zero"):
        raise InvalidArgumentError("forget_bias_init has no such value", got=repr(value), needed="'one' or 'zero'")
    return name == "one"


# Values that changed with their names.
_VALUES: dict[str, Callable[[Any], Any]] = {
    "dim_ordering": _dim_ordering,
    "forget_bias_init": _forget_bias,
    # It was clip(0.2 x + 0.5, 0, 1); today it is relu6(x + 3) / 6.
    "inner_activation": lambda value: "keras2_hard_sigmoid" if value == "hard_sigmoid" else value,
}


@cache
def _accepted(made: type[Any], maker: type[Any]) -> frozenset[str]:
    """Arguments of `maker.__init__` and what it passes on to, for an object of class `made`."""
    mro = made.__mro__[made.__mro__.index(maker) :]
    classes = [*mro, *getattr(getattr(made, "cell_type", None), "__mro__", ())]
    makers = [vars(cls)["__init__"] for cls in classes if "__init__" in vars(cls) and cls is not object]
    return frozenset(name for make in makers for name in inspect.signature(make).parameters) | _passed_on(made)


@cache
def _own(maker: type) -> frozenset[str]:
    """Arguments that stand in the signature of a class itself; its bases may have others, for their own use."""
    return frozenset(inspect.signature(vars(maker)["__init__"]).parameters)


def _passed_on(made: type) -> frozenset[str]:
    """Arguments that reach a recurrent layer through **kwargs and stand in no signature."""
    cell = getattr(getattr(made, "cell_type", None), "__name__", "")
    if not cell:
        return frozenset()
    names = "input_shape input_dim input_length batch_input_shape batch_shape batch_size weights implementation "
    names += "consume_less use_cudnn " + ("unit_forget_bias" if "LSTM" in cell else "reset_after")
    return frozenset(names.split())


def modern_arguments(made: type, maker: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Positional and keyword arguments of a constructor with the names of Keras 1 replaced.

    Args:
        made: class of the object.
        maker: class whose `__init__` is called.
        args, kwargs: as given.

    Raises:
        InvalidArgumentError: an argument is given under both names, or has no meaning today.
        UnsupportedError: it asks for what there is no more; the message names what to use.
    """
    known, own = _accepted(made, maker), _own(maker)
    result: dict[str, Any] = {}
    sizes = []
    for name, value in kwargs.items():
        targets = [] if name in own else [target for target in _RENAMED.get(name, ()) if target in known]
        if name not in own and name in _SIZES and "kernel_size" in known:
            sizes.append((_SIZES.index(name), value))
        elif name in _GONE and _GONE[name][0] == maker.__name__:
            _check_gone(name, value)
        elif name == "input_dtype" and made.__name__ != "InputLayer":
            pass  # the type of the input, which is known from it
        elif targets:
            for target in targets:
                _set_once(made, result, kwargs, name, target, _VALUES.get(name, lambda same: same)(value))
        else:
            result[name] = value
    if sizes:
        _set_once(made, result, kwargs, "nb_row", "kernel_size", tuple(value for _, value in sorted(sizes)))
    elif "kernel_size" in known and len(result) == len(kwargs) and result.keys() != kwargs.keys():
        args = joined_sizes(getattr(made, "rank", 1), args)
    return args, result


def _check_gone(name: str, value: Any) -> None:
    layer, harmless, instead = _GONE[name]
    if value not in harmless:
        raise UnsupportedError(
            f"{layer}: argument {name!r} of Keras 1 is not supported with this value",
            got=f"{name}={value!r}",
            fix=f"use {instead}",
        )


def _set_once(made: type, result: dict[str, Any], kwargs: dict[str, Any], old: str, target: str, value: Any) -> None:
    if target in kwargs or target in result:
        raise InvalidArgumentError(
            f"{made.__name__}: {old!r} is the name of {target!r} in Keras 1, and both are given",
            fix=f"leave out {old}=",
        )
    result[target] = value


def joined_sizes(rank: int, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`(filters, rows, columns, ...)` as `(filters, (rows, columns), ...)`."""
    sizes = args[1 : 1 + rank]
    if rank < 2 or len(sizes) != rank or not all(hasattr(size, "__index__") for size in sizes):
        return args
    return (args[0], tuple(sizes), *args[1 + rank :])


def wrapped_init(maker: type, init: Callable[..., None]) -> Callable[..., None]:
    """`init` of a built-in layer, taking names of Keras 1 too, and naming the layer when it cannot take a call."""
    around_cell = hasattr(maker, "cell_type")

    @wraps(init)
    def run(self: Any, *args: Any, **kwargs: Any) -> None:
        if not OLD_NAMES.isdisjoint(kwargs):
            args, kwargs = modern_arguments(type(self), maker, args, kwargs)
        made: Any = type(self)
        if around_cell and not _accepted(made, maker).issuperset(kwargs):
            _refuse_unknown(made, maker, kwargs)
        try:
            init(self, *args, **kwargs)
        except TypeError as error:
            wrong = _call_error(type(self), maker, init, (self, *args), kwargs)
            if wrong is None or isinstance(error, CallError):
                raise
            raise wrong from None

    return run


def _refuse_unknown(made: type, maker: type, kwargs: dict[str, Any]) -> None:
    """Raise for what neither a recurrent layer nor its cell takes; the cell itself would name the wrong class."""
    known = _accepted(made, maker)
    unknown = [name for name in kwargs if name not in known]
    near = get_close_matches(unknown[0], sorted(known), 1)
    raise InvalidArgumentError(
        f"Unrecognized keyword arguments passed to {made.__name__}: { {name: kwargs[name] for name in unknown} }",
        fix=f"write {near[0]}=" if near else "",
    )


def _call_error(
    made: type, maker: type, init: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> CallError | None:
    """What is wrong with a call, when it is that its arguments do not fit the signature."""
    signature = inspect.signature(init)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        names = [name for name, one in signature.parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD][1:]
        near = [close for name in kwargs for close in get_close_matches(name, names, 1) if name not in names]
        return CallError(
            f"layer {made.__name__} cannot be made: {error}",
            needed=f"{made.__name__}({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})",
            fix=f"write {near[0]}=" if near else "",
        )
    return None
