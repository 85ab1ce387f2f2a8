"""Metrics: sums that grow over batches, kept in variables, and the numbers made of them.  Written in `kgraph.ops`.

`update_state` may be called on arrays or inside a trace; the sums live in float32 variables as in Keras.
The function forms give one value per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kgraph import losses, ops
from kgraph.core import Variable
from kgraph.core.session import unique_name
from kgraph.errors import InvalidArgumentError
from kgraph.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mask_of,
    match_ranks,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from kgraph.registry import Registry, serialize

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "get",
    "get_metric",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "resolve_accuracy",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]


# -- functions ------------------------------------------------------------------------------------------------------
def accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where targets and outputs are equal."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, y_pred.dtype), y_pred)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1.0 where the target equals (p > threshold)."""
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = match_ranks(ops.cast(y_true, "float32"), y_pred)
    return ops.cast(ops.equal(y_true, ops.cast(ops.greater(y_pred, threshold), "float32")), "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where the largest entries of targets and outputs stand at one place."""
    y_true, y_pred = ops.argmax(y_true, axis=-1), ops.argmax(y_pred, axis=-1)
    return ops.cast(ops.equal(y_true, y_pred), "float32")


def _class_ids(y_true: Any, rank: int) -> Any:
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return ops.cast(y_true, "int32")


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1.0 where the integer label is the place of the largest output."""
    y_pred = ops.convert_to_tensor(y_pred)
    labels = _class_ids(y_true, len(y_pred.shape))
    return ops.cast(ops.equal(labels, ops.cast(ops.argmax(y_pred, axis=-1), "int32")), "float32")


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1.0 where fewer than `k` outputs are larger than that of the right class (integer labels)."""
    y_pred = ops.convert_to_tensor(y_pred)
    labels = _class_ids(y_true, len(y_pred.shape))
    picked = ops.one_hot(labels, int(y_pred.shape[-1]), dtype=y_pred.dtype)
    score = ops.sum(picked * y_pred, axis=-1, keepdims=True)
    larger = ops.sum(ops.cast(ops.greater(y_pred, score), "float32"), axis=-1)
    return ops.cast(ops.less(larger, float(k)), "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1.0 where fewer than `k` outputs are larger than that of the right class (one-hot targets)."""
    return sparse_top_k_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred, k)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Cosine between targets and outputs: 1 for equal directions (the loss of that name is its negative)."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


# -- base -----------------------------------------------------------------------------------------------------------
class Metric:
    """Base of the metrics: `update_state` adds a batch, `result` gives the number, `reset_state` starts again.

    Args:
        dtype: type of the sums, float32 unless given.
        name: key in the history.
    """

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(type(self).__name__)
        self.dtype = dtype or "float32"
        self._variables: list[Variable] = []

    def add_variable(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a variable that `reset_state` sets to zero."""
        name = name or f"variable_{len(self._variables)}"
        variable = Variable(
            initializer or "zeros",
            shape=tuple(shape),
            dtype=dtype or self.dtype,
            trainable=False,
            name=name,
            path=f"{self.name}/{name}",
        )
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = "zeros", dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Another name of `add_variable`; Keras 2's `add_weight(name, ...)` is understood too."""
        if isinstance(shape, str):
            shape, name = (), shape
        return self.add_variable(shape, initializer, dtype, name)

    @property
    def variables(self) -> list[Variable]:
        """The sums, with those of metrics held as attributes."""
        found = list(self._variables)
        for value in vars(self).values():
            if isinstance(value, Metric):
                found.extend(value.variables)
        return found

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} does not define update_state")

    def result(self) -> Any:
        """The number (or dict of numbers) so far."""
        raise NotImplementedError(f"{type(self).__name__} does not define result")

    def reset_state(self) -> None:
        """Set every sum to zero."""
        for variable in self.variables:
            variable.assign(ops.zeros(variable.shape, dtype=variable.dtype))

    def reset_states(self) -> None:
        """Keras 2's name of `reset_state`."""
        self.reset_state()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and return the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"


def _per_sample(values: Any, weight: Any, reduce: Callable[..., Any], dtype: str) -> tuple[Any, Any]:
    """Values (B,) and weights (B,) or None, as Keras reduces them."""
    values = ops.cast(values, dtype)
    if weight is not None:
        values, weight = match_ranks(values, ops.cast(weight, dtype))
        have, want = len(weight.shape), len(values.shape)
        if want > have:
            values = reduce(values, axis=tuple(range(have, want)))
        values = values * weight
        if have > 1:
            weight = reduce(ops.broadcast_to(weight, ops.shape(values)), axis=tuple(range(1, have)))
    rank = len(values.shape)
    if rank > 1:
        values = reduce(values, axis=tuple(range(1, rank)))
    return values, weight


class Sum(Metric):
    """Weighted sum of all values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch."""
        values, _ = _per_sample(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Any:
        """The sum."""
        return ops.convert_to_tensor(self.total)


class Mean(Metric):
    """Weighted mean of all values; 0 before the first."""

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch; each sample counts once, or by its weight."""
        values, weight = _per_sample(values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        if weight is not None:
            count = ops.sum(weight)
        elif len(values.shape) > 0:
            count = ops.cast(ops.shape(values)[0], self.dtype)
        else:
            count = 1.0
        self.count.assign_add(count)

    def result(self) -> Any:
        """The mean."""
        empty = ops.equal(self.count, 0.0)
        return ops.where(empty, 0.0, ops.divide(self.total, ops.where(empty, 1.0, self.count)))


class MeanMetricWrapper(Mean):
    """Mean of a function `fn(y_true, y_pred, **kwargs)`; any function of the user will do."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self._fn = fn
        self._kwargs = kwargs

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the function's values of a batch; samples off the mask of `y_pred` do not count."""
        mask = mask_of(y_pred)
        values = ops.convert_to_tensor(losses.called(self._fn, "metric", y_true, y_pred, self._kwargs))
        if mask is not None:
            factor = ops.cast(mask, self.dtype)
            if sample_weight is None:
                sample_weight = factor
            else:
                factor, sample_weight = match_ranks(factor, ops.cast(sample_weight, self.dtype))
                for _ in range(len(factor.shape) - len(sample_weight.shape)):
                    sample_weight = ops.expand_dims(sample_weight, -1)
                sample_weight = factor * sample_weight
        super().update_state(values, sample_weight)

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        config = super().get_config()
        if type(self) is MeanMetricWrapper:
            config["fn"] = serialize(self._fn)
        return {**config, **self._kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        values = dict(config)
        if isinstance(values.get("fn"), (str, dict)):
            values["fn"] = get(values["fn"])
        return cls(**values)


class _Plain(MeanMetricWrapper):
    """A wrapper whose function and name are fixed by the class and that has no arguments."""

    function: Callable[..., Any] = staticmethod(accuracy)
    default_name = ""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        function = type(self).function
        super().__init__(function, name or self.default_name or function.__name__, dtype)


class Accuracy(_Plain):
    """How often outputs equal targets."""

    function = staticmethod(accuracy)


class CategoricalAccuracy(_Plain):
    """How often the largest output stands where the one-hot target has its 1."""

    function = staticmethod(categorical_accuracy)


class SparseCategoricalAccuracy(_Plain):
    """How often the largest output stands at the integer label."""

    function = staticmethod(sparse_categorical_accuracy)


class MeanSquaredError(_Plain):
    """Mean of (t - p)²."""

    function = staticmethod(mean_squared_error)


class MeanAbsoluteError(_Plain):
    """Mean of |t - p|."""

    function = staticmethod(mean_absolute_error)


class MeanAbsolutePercentageError(_Plain):
    """100 times the mean of |t - p| / |t|."""

    function = staticmethod(mean_absolute_percentage_error)


class MeanSquaredLogarithmicError(_Plain):
    """Mean of the squared difference of log(1 + x)."""

    function = staticmethod(mean_squared_logarithmic_error)


class LogCoshError(_Plain):
    """Mean of log(cosh(p - t))."""

    function = staticmethod(log_cosh)
    default_name = "logcosh"


class Hinge(_Plain):
    """Mean of max(1 - t · p, 0)."""

    function = staticmethod(hinge)


class SquaredHinge(_Plain):
    """Mean of max(1 - t · p, 0)²."""

    function = staticmethod(squared_hinge)


class CategoricalHinge(_Plain):
    """Mean of the categorical hinge loss."""

    function = staticmethod(categorical_hinge)


class KLDivergence(_Plain):
    """Mean of Σ t · log(t / p)."""

    function = staticmethod(kl_divergence)


class Poisson(_Plain):
    """Mean of p - t · log p."""

    function = staticmethod(poisson)


class Huber(MeanMetricWrapper):
    """Mean of the Huber loss."""

    def __init__(self, delta: float = 1.0, name: str | None = "huber", dtype: Any = None) -> None:
        super().__init__(huber, name, dtype, delta=delta)


class BinaryAccuracy(MeanMetricWrapper):
    """How often (p > threshold) equals the target."""

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` largest outputs; one-hot targets."""

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` largest outputs; integer labels."""

    def __init__(self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k)
        self.k = k


class CosineSimilarity(MeanMetricWrapper):
    """Mean cosine between targets and outputs."""

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class BinaryCrossentropy(MeanMetricWrapper):
    """Mean binary cross-entropy."""

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(MeanMetricWrapper):
    """Mean categorical cross-entropy."""

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            categorical_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
        )


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """Mean sparse categorical cross-entropy."""

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis
        )


class RootMeanSquaredError(Mean):
    """Root of the mean of (t - p)²."""

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add the squared errors of a batch."""
        y_true, y_pred = match_ranks(ops.cast(y_true, self.dtype), ops.cast(y_pred, self.dtype))
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """The root of the mean."""
        return ops.sqrt(super().result())


# -- counts of right and wrong decisions ----------------------------------------------------------------------------
class _Confusion(Metric):
    """Sums of decisions at one threshold or several; which (target, decision) pairs are summed is up to the class."""

    def __init__(self, thresholds: float | Sequence[float] | None, name: str | None, dtype: Any) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        given = [0.5] if thresholds is None else thresholds
        self.thresholds = [float(t) for t in given] if isinstance(given, (list, tuple)) else [float(given)]  # type: ignore[arg-type]
        if any(not 0.0 <= threshold <= 1.0 for threshold in self.thresholds):
            raise InvalidArgumentError(f"{name}: thresholds {self.thresholds}", needed="numbers from 0 to 1")

    def _counter(self, name: str) -> Variable:
        return self.add_variable((len(self.thresholds),), name=name)

    def _add(
        self, y_true: Any, y_pred: Any, sample_weight: Any, counters: Mapping[tuple[bool, bool], Variable]
    ) -> None:
        y_pred = ops.cast(y_pred, self.dtype)
        y_true, y_pred = match_ranks(ops.cast(y_true, self.dtype), y_pred)
        weight = None
        if sample_weight is not None:
            weight = ops.cast(sample_weight, self.dtype)
            for _ in range(len(y_pred.shape) - len(weight.shape)):
                weight = ops.expand_dims(weight, -1)
        positive = ops.cast(ops.greater(y_true, 0.0), self.dtype)
        for (target, decision), counter in counters.items():
            sums = []
            for threshold in self.thresholds:
                yes = ops.cast(ops.greater(y_pred, threshold), self.dtype)
                hits = (positive if target else 1.0 - positive) * (yes if decision else 1.0 - yes)
                sums.append(ops.reshape(ops.sum(hits if weight is None else hits * weight), (1,)))
            counter.assign_add(sums[0] if len(sums) == 1 else ops.concatenate(sums, axis=0))

    def _scalar(self, value: Any) -> Any:
        return ops.reshape(value, ()) if len(self.thresholds) == 1 else value

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class _ConfusionCount(_Confusion):
    """One sum of one kind of decisions."""

    kind: tuple[bool, bool] = (True, True)
    default_name = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name or self.default_name, dtype)
        self.accumulator = self._counter("accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        self._add(y_true, y_pred, sample_weight, {self.kind: self.accumulator})

    def result(self) -> Any:
        """The sum; one per threshold if several."""
        return self._scalar(ops.convert_to_tensor(self.accumulator))


class TruePositives(_ConfusionCount):
    """Sum of positives that were found."""

    kind, default_name = (True, True), "true_positives"


class TrueNegatives(_ConfusionCount):
    """Sum of negatives that were left out."""

    kind, default_name = (False, False), "true_negatives"


class FalsePositives(_ConfusionCount):
    """Sum of negatives that were taken for positives."""

    kind, default_name = (False, True), "false_positives"


class FalseNegatives(_ConfusionCount):
    """Sum of positives that were missed."""

    kind, default_name = (True, False), "false_negatives"


class _Ratio(_Confusion):
    """True positives / (true positives + something)."""

    other: tuple[bool, bool] = (False, True)
    other_name = ""
    default_name = ""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        if top_k is not None:
            raise InvalidArgumentError(f"{self.default_name}: argument `top_k` is not supported yet")
        super().__init__(thresholds, name or self.default_name, dtype)
        self.class_id = class_id
        self.true_positives = self._counter("true_positives")
        self._others = self._counter(self.other_name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch of decisions."""
        if self.class_id is not None:
            y_true = ops.convert_to_tensor(y_true)[..., self.class_id]
            y_pred = ops.convert_to_tensor(y_pred)[..., self.class_id]
        self._add(y_true, y_pred, sample_weight, {(True, True): self.true_positives, self.other: self._others})

    def result(self) -> Any:
        """The quotient, 0 where there is nothing to divide by."""
        whole = ops.add(self.true_positives, self._others)
        empty = ops.equal(whole, 0.0)
        return self._scalar(ops.where(empty, 0.0, ops.divide(self.true_positives, ops.where(empty, 1.0, whole))))

    def get_config(self) -> dict[str, Any]:
        """Arguments from which `from_config` makes an equal metric."""
        return {**super().get_config(), "class_id": self.class_id}


class Precision(_Ratio):
    """Share of the positives found that are right."""

    other, other_name, default_name = (False, True), "false_positives", "precision"


class Recall(_Ratio):
    """Share of the positives that were found."""

    other, other_name, default_name = (True, False), "false_negatives", "recall"


# -- names ----------------------------------------------------------------------------------------------------------
_REGISTRY = Registry("metric")
_REGISTRY.add_all(
    (Metric, Mean, Sum, MeanMetricWrapper, Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy)
    + (
        TopKCategoricalAccuracy,
        SparseTopKCategoricalAccuracy,
        MeanSquaredError,
        MeanAbsoluteError,
        RootMeanSquaredError,
    )
    + (MeanAbsolutePercentageError, MeanSquaredLogarithmicError, LogCoshError, Hinge, SquaredHinge, CategoricalHinge)
    + (KLDivergence, Poisson, Huber, CosineSimilarity, BinaryCrossentropy, CategoricalCrossentropy)
    + (SparseCategoricalCrossentropy, TruePositives, TrueNegatives, FalsePositives, FalseNegatives, Precision, Recall)
    + (accuracy, binary_accuracy, categorical_accuracy, sparse_categorical_accuracy, top_k_categorical_accuracy)
    + (sparse_top_k_categorical_accuracy, mean_squared_error, mean_absolute_error, mean_absolute_percentage_error)
    + (mean_squared_logarithmic_error, log_cosh, hinge, squared_hinge, categorical_hinge, kl_divergence, poisson, huber)
    + (cosine_similarity, binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy)
    + (binary_focal_crossentropy, categorical_focal_crossentropy),
    # By string Keras makes the stateful class, whose mean goes over samples; for these the function's mean is the same.
    {
        "mse": MeanSquaredError,
        "MSE": MeanSquaredError,
        "mae": MeanAbsoluteError,
        "MAE": MeanAbsoluteError,
        "mape": MeanAbsolutePercentageError,
        "MAPE": MeanAbsolutePercentageError,
        "msle": MeanSquaredLogarithmicError,
        "MSLE": MeanSquaredLogarithmicError,
        "rmse": RootMeanSquaredError,
        "RMSE": RootMeanSquaredError,
        "bce": BinaryCrossentropy,
        "BCE": BinaryCrossentropy,
        "kld": KLDivergence,
        "KLD": KLDivergence,
        "kullback_leibler_divergence": KLDivergence,
        "logcosh": LogCoshError,
        "cosine_proximity": cosine_similarity,
        "cosine": cosine_similarity,
        "root_mean_squared_error": RootMeanSquaredError,
        "precision": Precision,
        "recall": Recall,
    },
)

mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
kld = KLD = kullback_leibler_divergence = kl_divergence
logcosh = log_cosh
cosine_proximity = cosine_similarity


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric that `serialize` described, or that a name stands for."""
    return _REGISTRY.deserialize(config, custom_objects)


def get(identifier: Any) -> Any:
    """A metric function or `Metric` from a name, a function, a class, an instance or a description; None stays None.

    Raises:
        UnknownNameError: no metric has that name.
        InvalidArgumentError: the argument is none of these.
    """
    if identifier is None:
        return None
    found: Any = deserialize(identifier) if isinstance(identifier, (str, Mapping)) else identifier
    if isinstance(found, type):
        found = found()
    if not callable(found):
        raise InvalidArgumentError(
            f"cannot use {identifier!r} as a metric", needed="a name, a Metric, or f(y_true, y_pred)"
        )
    return found


def resolve_accuracy(y_true_shape: Sequence[Any], y_pred_shape: Sequence[Any]) -> type[MeanMetricWrapper]:
    """The class that "accuracy" means for an output of this shape (batch axis included).

    Last axis 1: `BinaryAccuracy`; targets of lower rank or with last axis 1: `SparseCategoricalAccuracy`; else
    `CategoricalAccuracy`, also for several labels with binary cross-entropy, as in Keras 3.
    """
    binary, sparse = losses.binary_or_sparse(y_true_shape, y_pred_shape)
    return BinaryAccuracy if binary else SparseCategoricalAccuracy if sparse else CategoricalAccuracy


def get_metric(identifier: Any, y_true_shape: Sequence[Any] = (), y_pred_shape: Sequence[Any] = ()) -> Metric:
    """The `Metric` for one output in `compile`; functions are wrapped, a name is kept as it was spelled.

    Raises:
        UnknownNameError: no metric has that name.
        InvalidArgumentError: the argument is no metric.
    """
    if isinstance(identifier, str) and identifier.lower() in ("accuracy", "acc"):
        kind: Any = resolve_accuracy(y_true_shape, y_pred_shape)
        accuracy_metric: Metric = kind(name=identifier)
        return accuracy_metric
    if isinstance(identifier, str) and identifier.lower() in ("crossentropy", "ce"):
        loss = losses.get_loss(identifier, y_true_shape, y_pred_shape)
        return MeanMetricWrapper(
            loss.fn if isinstance(loss, losses.LossFunctionWrapper) else get(loss), name=identifier
        )
    found = get(identifier)
    if found is None:
        raise InvalidArgumentError("a metric is None", needed="a name, a Metric, or f(y_true, y_pred)")
    if isinstance(found, losses.LossFunctionWrapper):
        found = MeanMetricWrapper(found.call, name=found.name)
    elif not isinstance(found, Metric):
        found = MeanMetricWrapper(found, name=getattr(found, "__name__", type(found).__name__))
    if isinstance(identifier, str):
        found.name = identifier
    metric: Metric = found
    return metric
