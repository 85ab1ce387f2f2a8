"""`keras.utils.conv_utils` of Keras 2: arguments and output lengths of convolutions, for layers of one's own."""

from __future__ import annotations

from typing import Any

from kgraph.errors import InvalidArgumentError
from kgraph.utils.image import check_layout

__all__ = [
    "conv_input_length",
    "conv_output_length",
    "deconv_length",
    "normalize_data_format",
    "normalize_padding",
    "normalize_tuple",
]

_PADDINGS = ("valid", "same", "causal", "full")


def normalize_tuple(value: Any, n: int, name: str) -> tuple[int, ...]:
    """`n` whole numbers from one, or from a list or tuple of as many.

    Raises:
        InvalidArgumentError: they are not; names the argument.
    """
    values = (value,) * n if isinstance(value, int) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if len(values) != n or not all(isinstance(one, int) for one in values):
        raise InvalidArgumentError(f"{name}={value!r}", needed=f"a whole number, or {n} of them")
    return values


def normalize_padding(value: str) -> str:
    """`"valid"`, `"same"` or `"causal"` in lower case.

    Raises:
        InvalidArgumentError: it is none of these.
    """
    padding = str(value).lower()
    if padding not in _PADDINGS[:3]:
        raise InvalidArgumentError(f"padding={value!r}", needed="'valid', 'same' or 'causal'")
    return padding


def normalize_data_format(value: str | None) -> str:
    """`"channels_last"` or `"channels_first"`; None is the default."""
    return check_layout(None if value is None else value.lower())


def conv_output_length(
    input_length: int | None, filter_size: int, padding: str, stride: int, dilation: int = 1
) -> int | None:
    """Length of one axis after a convolution; None when that before it is not known.

    Raises:
        InvalidArgumentError: an unknown padding.
    """
    _check_padding(padding)
    if input_length is None:
        return None
    reach = (filter_size - 1) * dilation
    grown = {"same": 0, "causal": 0, "valid": -reach, "full": reach}[padding]
    return (input_length + grown + stride - 1) // stride


def conv_input_length(output_length: int | None, filter_size: int, padding: str, stride: int) -> int | None:
    """The reverse of `conv_output_length`: the least length that gives this one.

    Raises:
        InvalidArgumentError: an unknown padding.
    """
    _check_padding(padding)
    if output_length is None:
        return None
    cut = {"same": filter_size // 2, "causal": filter_size // 2, "valid": 0, "full": filter_size - 1}[padding]
    return (output_length - 1) * stride - 2 * cut + filter_size


def deconv_length(
    dim_size: int | None,
    stride_size: int,
    kernel_size: int,
    padding: str,
    output_padding: int | None = None,
    dilation: int = 1,
) -> int | None:
    """Length of one axis after a transposed convolution.

    Raises:
        InvalidArgumentError: an unknown padding.
    """
    _check_padding(padding)
    if dim_size is None:
        return None
    kernel = kernel_size + (kernel_size - 1) * (dilation - 1)
    if output_padding is None:
        extra = {"valid": max(kernel - stride_size, 0), "full": -(stride_size + kernel - 2)}.get(padding, 0)
        return dim_size * stride_size + extra
    cut = {"same": kernel // 2, "full": kernel - 1}.get(padding, 0)
    return (dim_size - 1) * stride_size + kernel - 2 * cut + output_padding


def _check_padding(padding: str) -> None:
    if padding not in _PADDINGS:
        raise InvalidArgumentError(f"padding={padding!r}", needed="one of " + ", ".join(_PADDINGS))
