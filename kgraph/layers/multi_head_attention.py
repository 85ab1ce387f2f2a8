"""Attention with several heads: `MultiHeadAttention`, `GroupQueryAttention`."""

from __future__ import annotations

import math
from typing import Any

from kgraph import ops
from kgraph.core import Layer
from kgraph.errors import InvalidArgumentError, UnsupportedError
from kgraph.layers.activation import Softmax
from kgraph.layers.attention import causal_mask
from kgraph.layers.common import check_rate, positive, set_weight_settings, weight_config
from kgraph.layers.einsum_dense import EinsumDense
from kgraph.layers.regularization import Dropout

__all__ = ["GroupQueryAttention", "MultiHeadAttention"]

_LABELS = "abcdefghijklmnopqrstuvw"


class _Heads(Layer):
    """Settings of the projections, and the mask of an attention.

    Args:
        dropout: share of the attention's weights to drop in training.
        use_bias: whether the projections have a bias.
        sliding_window: attend no further than this from the query's place.
        use_gate: multiply the heads by a sigmoid of the query before the last projection.
        seed: an int makes dropout reproducible.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
        flash_attention: bool | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        use_gate: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if flash_attention:
            raise UnsupportedError(
                f"{type(self).__name__}: argument `flash_attention` is not supported", fix="leave it out: same numbers"
            )
        self._rate, self._use_bias = check_rate(self, dropout), use_bias
        self._window = None if sliding_window is None else positive(self, "sliding_window", sliding_window)
        self._use_gate, self.seed = use_gate, seed
        set_weight_settings(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_weight_settings(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.supports_masking = True

    @property
    def dropout(self) -> float:
        """Share of the attention's weights to drop."""
        return self._rate

    @property
    def use_bias(self) -> bool:
        """Whether the projections have a bias."""
        return self._use_bias

    def _projection(self, name: str, equation: str, shape: Any, bias: str, activation: Any = None) -> EinsumDense:
        settings = {
            f"{weight}_{key}": _fresh(getattr(self, f"{weight}_{key}"))
            for weight in ("kernel", "bias")
            for key in ("initializer", "regularizer", "constraint")
        }
        axes = bias if self._use_bias else None
        layer = EinsumDense(
            equation, shape, activation=activation, bias_axes=axes, name=name, dtype=self.dtype_policy, **settings
        )
        layer.supports_masking = True  # the mask is the attention's matter; none is lost here
        return layer

    def _allowed(
        self, query: Any, value: Any, masks: tuple[Any, Any, Any], attention_mask: Any, use_causal_mask: bool
    ) -> Any:
        """bool[B, Tq, Tv] (or broadcast to it): which pairs attend; None for all."""
        of_query, of_value, of_key = masks
        parts = [] if of_query is None else [ops.expand_dims(ops.cast(of_query, "bool"), -1)]
        parts += [ops.expand_dims(ops.cast(mask, "bool"), -2) for mask in (of_value, of_key) if mask is not None]
        queries, keys = tuple(ops.shape(query))[1], tuple(ops.shape(value))[1]
        if use_causal_mask:
            parts.append(causal_mask(queries, keys))
        if self._window is not None:
            row, column = (
                ops.reshape(ops.arange(size), shape)
                for size, shape in ((queries, (1, queries, 1)), (keys, (1, 1, keys)))
            )
            parts.append(ops.less(ops.abs(ops.subtract(row, column)), self._window))
        if attention_mask is not None:
            parts.append(ops.cast(attention_mask, "bool"))
        allowed = None
        for part in parts:
            allowed = part if allowed is None else ops.logical_and(allowed, part)
        return allowed

    def call(
        self,
        query: Any,
        value: Any,
        key: Any = None,
        query_mask: Any = None,
        value_mask: Any = None,
        key_mask: Any = None,
        attention_mask: Any = None,
        return_attention_scores: bool = False,
        training: Any = None,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend."""
        masks = (query_mask, value_mask, key_mask)
        allowed = self._allowed(query, value, masks, attention_mask, use_causal_mask)
        parts: Any = self
        gate = parts._gate_dense(query) if self._use_gate else None
        q, k = parts._query_dense(query), self._shared(parts._key_dense(value if key is None else key))
        v = self._shared(parts._value_dense(value))
        scores = ops.einsum(parts._score_equation, ops.multiply(q, 1.0 / math.sqrt(q.shape[-1])), k)
        if allowed is not None:
            place = -2 * len(parts._axes) - 1
            for _ in range(len(scores.shape) - len(allowed.shape)):
                allowed = ops.expand_dims(allowed, place)
        plain = not self._rate and not return_attention_scores and len(q.shape) == 4
        weights = _weights(parts._softmax, scores, allowed, plain)
        dropped = parts._dropout_layer(weights, training=training) if self._rate else weights
        heads = ops.einsum(parts._combine_equation, dropped, v)
        result = parts._output_dense(heads if gate is None else ops.multiply(heads, gate))
        return (result, weights) if return_attention_scores else result

    def _shared(self, x: Any) -> Any:
        """Keys or values with one head for each head of the query."""
        return x

    def compute_mask(self, query: Any, previous_mask: Any = None) -> Any:
        """The query's mask."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else previous_mask

    def _own_config(self) -> dict[str, Any]:
        return {
            "dropout": self._rate,
            "use_bias": self._use_bias,
            "sliding_window": self._window,
            "use_gate": self._use_gate,
            "seed": self.seed,
            **weight_config(self, "kernel", "bias"),
        }


def _fresh(thing: Any) -> Any:
    """A copy of an initializer, so that layers that share one draw different numbers."""
    return type(thing).from_config(thing.get_config()) if hasattr(thing, "get_config") else thing


def _weights(softmax: Softmax, scores: Any, allowed: Any, plain: bool) -> Any:
    """The softmax of the scores of allowed pairs.

    As in Keras a query with no allowed pair gets the mean of all values on the plain road (no dropout, no scores
    asked for), and zeros on the other.
    """
    if allowed is None:
        return softmax(scores)
    if plain:
        return softmax(ops.where(allowed, scores, -1e30))
    return softmax(scores, mask=ops.broadcast_to(allowed, ops.shape(scores)))


class MultiHeadAttention(_Heads):
    """Attention of `num_heads` heads (Vaswani et al. 2017), called with query, value and perhaps key.

    query: f32[B, Tq, N], value: f32[B, Tv, M], key: f32[B, Tv, M] -> f32[B, Tq, N].
    Weights: kernel and bias of query, key, value (N, heads, dim), and of the output (heads, dim, N).

    Args:
        num_heads: number of heads.
        key_dim: size of a head of query and key; the scores are divided by its root.
        value_dim: size of a head of the value; `key_dim` by default.
        output_shape: sizes of the output after the query's other axes; the query's last size by default.
        attention_axes: axes between batch and features over which to attend; all by default.
        kwargs: `dropout`, `use_bias`, `sliding_window`, `use_gate`, settings of kernels and biases, `seed`.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: Any = None,
        attention_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout=dropout, use_bias=use_bias, **kwargs)
        self.num_heads, self.key_dim = positive(self, "num_heads", num_heads), positive(self, "key_dim", key_dim)
        self.value_dim = self.key_dim if value_dim is None else positive(self, "value_dim", value_dim)
        self._output_sizes = (
            None if not output_shape else (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        )
        if isinstance(attention_axes, int):
            attention_axes = (attention_axes,)
        self._attention_axes = None if attention_axes is None else tuple(attention_axes)

    @property
    def attention_axes(self) -> tuple[int, ...] | None:
        """Axes over which to attend, as given."""
        return self._attention_axes

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the projections."""
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise InvalidArgumentError(
                f"MultiHeadAttention {self.name!r}: value and key differ in more than the last size",
                got=f"{tuple(value_shape)} and {tuple(key_shape)}",
            )
        rank = len(query_shape)
        # The head's two axes come last: [B, ..., heads, dim].
        free = _LABELS[: rank - 1]
        for name, shape, size in (
            ("query", query_shape, self.key_dim),
            ("key", key_shape, self.key_dim),
            *((("gate", query_shape, self.value_dim),) if self._use_gate else ()),
            ("value", value_shape, self.value_dim),
        ):
            wanted = (*(None,) * (rank - 2), self.num_heads, size)
            layer = self._projection(
                name, f"{free}x,xyz->{free}yz", wanted, "yz", "sigmoid" if name == "gate" else None
            )
            layer.build(shape)
            setattr(self, f"_{name}_dense", layer)
        sizes = self._output_sizes or (query_shape[-1],)
        out = _LABELS[rank - 1 : rank - 1 + len(sizes)]
        self._output_dense = self._projection(
            "attention_output", f"{free}yz,yz{out}->{free}{out}", (*(None,) * (rank - 2), *sizes), out
        )
        self._output_dense.build((*query_shape[:-1], self.num_heads, self.value_dim))
        given = self._attention_axes or tuple(range(1, rank - 1))
        self._axes = tuple(axis if axis >= 0 else rank + axis for axis in given)
        inner = len(self._axes)
        self._softmax = Softmax(axis=tuple(range(-inner, 0)), dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self._rate, seed=self.seed, dtype=self.dtype_policy)
        # Equations: batch-like axes and heads first, then the query's places, then the value's.
        source = "".join(_LABELS[rank + self._axes.index(i)] if i in self._axes else free[i] for i in range(rank - 1))
        batch = "".join(free[i] for i in range(rank - 1) if i not in self._axes)
        pairs = batch + "y" + "".join(free[i] for i in self._axes) + "".join(source[i] for i in self._axes)
        self._score_equation = f"{free}yz,{source}yz->{pairs}"
        self._combine_equation = f"{pairs},{source}yz->{free}yz"

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "output_shape": self._output_sizes,
            "attention_axes": self._attention_axes,
            **self._own_config(),
        }


class GroupQueryAttention(_Heads):
    """Attention in which groups of query heads share a key and value head (Ainslie et al. 2023).

    query: f32[B, Tq, N], value: f32[B, Tv, M], key: f32[B, Tv, M] -> f32[B, Tq, N].

    Args:
        head_dim: size of a head.
        num_query_heads: number of heads of the query, a multiple of `num_key_value_heads`.
        num_key_value_heads: number of heads of key and value.
        kwargs: `sliding_window`, `use_gate`, settings of kernels and biases, `seed`.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout=dropout, use_bias=use_bias, **kwargs)
        self.head_dim = positive(self, "head_dim", head_dim)
        self.num_query_heads = positive(self, "num_query_heads", num_query_heads)
        self.num_key_value_heads = positive(self, "num_key_value_heads", num_key_value_heads)
        if self.num_query_heads % self.num_key_value_heads:
            raise InvalidArgumentError(
                "GroupQueryAttention: `num_query_heads` must be a multiple of `num_key_value_heads`",
                got=f"{num_query_heads} and {num_key_value_heads}",
                where=self.name,
            )

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Make the projections."""
        for name, shape, heads in (
            ("query", query_shape, self.num_query_heads),
            ("key", value_shape if key_shape is None else key_shape, self.num_key_value_heads),
            *((("gate", query_shape, self.num_query_heads),) if self._use_gate else ()),
            ("value", value_shape, self.num_key_value_heads),
        ):
            activation = "sigmoid" if name == "gate" else None
            layer = self._projection(name, "bqm,muh->bquh", (None, heads, self.head_dim), "uh", activation)
            layer.build(shape)
            setattr(self, f"_{name}_dense", layer)
        self._output_dense = self._projection("attention_output", "bquh,uhm->bqm", (None, query_shape[-1]), "m")
        self._output_dense.build((None, None, self.num_query_heads, self.head_dim))
        self._score_equation, self._combine_equation, self._axes = "bquh,bkuh->buqk", "buqk,bkuh->bquh", (1,)
        self._softmax = Softmax(axis=-1, dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self._rate, seed=self.seed, dtype=self.dtype_policy)

    def _shared(self, x: Any) -> Any:
        return ops.repeat(x, self.num_query_heads // self.num_key_value_heads, axis=2)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        return {
            **super().get_config(),
            "head_dim": self.head_dim,
            "num_query_heads": self.num_query_heads,
            "num_key_value_heads": self.num_key_value_heads,
            **self._own_config(),
        }
