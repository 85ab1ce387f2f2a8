"""Attention with one head: `Attention` (Luong) and `AdditiveAttention` (Bahdanau)."""

from __future__ import annotations

from typing import Any

from kgraph import ops, random
from kgraph.core import Layer, Variable
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.layers.common import check_rate

__all__ = ["AdditiveAttention", "Attention"]


def causal_mask(queries: Any, keys: Any) -> Any:
    """bool[1, queries, keys]: whether the key stands no later than the query."""
    row = ops.reshape(ops.arange(queries), (1, queries, 1))
    return ops.greater_equal(row, ops.reshape(ops.arange(keys), (1, 1, keys)))


class Attention(Layer):
    """softmax(query · keyᵀ) · value, called with [query, value] or [query, value, key].

    query: f32[B, Tq, N], value: f32[B, Tv, N], key: f32[B, Tv, N] -> f32[B, Tq, N].

    Args:
        use_scale: multiply the scores by a trained number.
        score_mode: "dot", or "concat" for a sum of tanh(query + key).
        dropout: share of the weights to drop in training.
        seed: an int makes the masks reproducible.
    """

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise InvalidArgumentError(
                f"{type(self).__name__}: argument `score_mode` is {score_mode!r}",
                needed="dot or concat",
                where=self.name,
            )
        self.use_scale, self.score_mode = use_scale, score_mode
        self.dropout, self.seed = check_rate(self, dropout), seed
        self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self.scale: Variable | None = None
        self.concat_score_weight: Variable | None = None

    def _check(self, inputs: Any) -> None:
        if not isinstance(inputs, (list, tuple)) or len(inputs) not in (2, 3):
            raise InvalidArgumentError(
                f"{type(self).__name__} {self.name!r} must be called on a list", needed="[query, value(, key)]"
            )

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        if not isinstance(input_shape[0], (list, tuple)):
            self._check(None)
        self._build_scale(input_shape)
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(shape=(), initializer="ones", name="concat_score_weight")

    def _build_scale(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def _scores(self, query: Any, key: Any) -> Any:
        if self.score_mode == "dot":
            scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
            return scores if self.scale is None else ops.multiply(scores, self.scale)
        pairs = ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3))
        if self.scale is not None:
            pairs = ops.multiply(pairs, self.scale)
        return ops.multiply(ops.sum(ops.tanh(pairs), axis=-1), self.concat_score_weight)

    def call(
        self,
        inputs: Any,
        mask: Any = None,
        training: Any = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        """Attend."""
        self._check(inputs)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        if query.shape[-1] != key.shape[-1]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: query and key differ in their last size",
                got=f"{tuple(query.shape)} and {tuple(key.shape)}",
            )
        masks = list(mask) if isinstance(mask, (list, tuple)) else [None, None]
        scores = self._scores(query, key)
        allowed = None if masks[1] is None else ops.expand_dims(ops.cast(masks[1], "bool"), -2)
        if use_causal_mask:
            sizes = tuple(ops.shape(scores))
            causal = causal_mask(sizes[-2], sizes[-1])
            allowed = causal if allowed is None else ops.logical_and(allowed, causal)
        if allowed is not None:
            scores = ops.where(allowed, scores, scores - 1e9)
        weights = ops.softmax(scores, axis=-1)
        if training and self.dropout > 0.0:
            weights = random.dropout(weights, self.dropout, seed=self.seed_generator)
        result = ops.matmul(weights, value)
        if masks[0] is not None:
            result = ops.where(ops.expand_dims(ops.cast(masks[0], "bool"), -1), result, 0.0)
        return (result, weights) if return_attention_scores else result

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The query's mask."""
        return previous_mask[0] if isinstance(previous_mask, (list, tuple)) else None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal, unbuilt layer."""
        own = {"use_scale": self.use_scale, "score_mode": self.score_mode, "dropout": self.dropout, "seed": self.seed}
        return {**super().get_config(), **own}


class AdditiveAttention(Attention):
    """softmax(Σ scale · tanh(query + key)) · value, called with [query, value] or [query, value, key].

    Args:
        use_scale: give each feature a trained weight.
        dropout: share of the weights to drop in training.
        seed: an int makes the masks reproducible.
    """

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, seed: int | None = None, **kwargs: Any) -> None:
        kwargs.pop("score_mode", None)
        super().__init__(use_scale=use_scale, dropout=dropout, seed=seed, **kwargs)

    def _build_scale(self, input_shape: Any) -> None:
        if self.use_scale:
            self.scale = self.add_weight(shape=(input_shape[0][-1],), initializer="glorot_uniform", name="scale")

    def _scores(self, query: Any, key: Any) -> Any:
        pairs = ops.tanh(ops.add(ops.expand_dims(query, -2), ops.expand_dims(key, -3)))
        return ops.sum(pairs if self.scale is None else ops.multiply(pairs, self.scale), axis=-1)
