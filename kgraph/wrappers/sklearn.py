"""`SKLearnClassifier`, `SKLearnRegressor`, `SKLearnTransformer` of Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.errors import DataError, InvalidArgumentError, NotCompiledError
from kgraph.models import Model, clone_model
from kgraph.wrappers.estimator import Estimator, accuracy, r2

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]

Array = np.ndarray[Any, np.dtype[Any]]


class _Wrapped(Estimator):
    """A model, or a function that makes one, as an estimator.

    Args:
        model: a compiled Model, of which each `fit` trains a copy; or a function `f(X, y, **model_kwargs)` that gives a
            compiled model for these data.
        warm_start: `fit` goes on with the model of the last one.
        model_kwargs: for the function.
        fit_kwargs: for `model.fit`.

    Attributes:
        model_: the trained model.
        history_: what its `fit` returned.
        n_features_in_: size of the last axis of X.
    """

    def __init__(
        self,
        model: Model | Callable[..., Model],
        warm_start: bool = False,
        model_kwargs: dict[str, Any] | None = None,
        fit_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.warm_start = model, warm_start
        self.model_kwargs, self.fit_kwargs = model_kwargs, fit_kwargs

    def __sklearn_clone__(self) -> Any:
        # The model given is never trained, so that copies can share it.
        return type(self)(**self.get_params(deep=False))

    @property
    def epoch_(self) -> list[int]:
        """Numbers of the epochs done."""
        return list(getattr(getattr(self, "history_", None), "epoch", ()))

    def fit(self, X: Any, y: Any, **kwargs: Any) -> Any:
        """Train a new model.

        Args:
            X: inputs.
            y: targets.
            kwargs: for `model.fit`; they go before `fit_kwargs`.

        Raises:
            NotCompiledError: the model is not compiled.
            DataError, ShapeError: the data do not fit.
        """
        matrix = self._checked(X, reset=True)
        targets = self._targets(y)
        if len(targets) != len(matrix):
            raise DataError(f"X has {len(matrix)} rows, y has {len(targets)}", needed="as many rows in each")
        before = getattr(self, "model_", None) if self.warm_start else None
        model = self._made(matrix, targets) if before is None else before
        if not model.compiled or model.loss is None or model.optimizer is None:
            raise NotCompiledError(
                f"{type(self).__name__} needs a compiled model", fix="call model.compile(optimizer=..., loss=...) first"
            )
        self.history_ = model.fit(matrix, targets, **{**(self.fit_kwargs or {}), **kwargs})
        self.model_ = model
        return self

    def _made(self, X: Array, y: Array) -> Any:
        if not isinstance(self.model, Model):
            return self.model(X=X, y=y, **(self.model_kwargs or {}))
        copy = clone_model(self.model)
        trainer = self.model.trainer
        if trainer is not None:
            optimizer = type(trainer.optimizer).from_config(trainer.optimizer.get_config())
            copy.compile(optimizer=optimizer, **trainer.arguments)
        return copy

    def _targets(self, y: Any) -> Array:
        if y is None:
            raise InvalidArgumentError(
                f"{type(self).__name__} requires y to be passed, but the target y is None",
                needed="a target for each row",
            )
        targets = np.asarray(y)
        if targets.dtype.kind == "f" and not np.isfinite(targets).all():
            raise DataError("Input y contains NaN or infinity.")
        self._rank = targets.ndim
        return targets.reshape(-1, 1) if targets.ndim == 1 else targets

    def _outputs(self, X: Any) -> Array:
        model = self._fitted()
        return np.asarray(model.predict(self._checked(X), verbose=0))

    def predict(self, X: Any) -> Array:
        """The model's outputs; of one output a row, when the targets were so."""
        found = self._outputs(X)
        return found[:, 0] if self._rank == 1 and found.ndim == 2 and found.shape[1] == 1 else found


class SKLearnRegressor(_Wrapped):
    """A model as a regressor; see `SKLearnClassifier` for the arguments."""

    kind = "regressor"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination, 1 for perfect predictions."""
        return r2(np.asarray(y), self.predict(X), sample_weight)


class SKLearnClassifier(_Wrapped):
    """A model as a classifier; it learns one-hot rows, so its last layer has a softmax of one unit for each class.

    Args:
        model: a compiled Model, of which each `fit` trains a copy; or a function `f(X, y, **model_kwargs)` that gives a
            compiled model for these data.
        warm_start: `fit` goes on with the model of the last one.
        model_kwargs: for the function.
        fit_kwargs: for `model.fit`.

    Attributes:
        classes_: the classes, in the order of the outputs.
        model_: the trained model.
        history_: what its `fit` returned.
        n_features_in_: size of the last axis of X.
    """

    kind = "classifier"

    def _targets(self, y: Any) -> Array:
        labels = super()._targets(y)
        if labels.ndim != 2 or labels.shape[1] != 1 or (labels.dtype.kind == "f" and (labels % 1).any()):
            raise DataError(
                "Only binary and multiclass target types are supported.",
                got=f"y of shape {labels.shape}, {labels.dtype}",
            )
        classes, numbers = np.unique(labels[:, 0], return_inverse=True)
        if len(classes) == 1:
            raise DataError("Classifier can't train when only one class is present.", got=f"class {classes[0]} alone")
        known: Array | None = getattr(self, "classes_", None) if self.warm_start else None
        self.classes_: Array = classes if known is None or not np.isin(classes, known).all() else known
        return np.eye(len(self.classes_))[np.searchsorted(self.classes_, classes)[numbers]]

    def decision_function(self, X: Any) -> Array:
        """The model's outputs, a column for each class."""
        return self._outputs(X)

    predict_proba = decision_function

    def predict(self, X: Any) -> Array:
        """The class with the largest output for each row."""
        return np.asarray(self.classes_[self._outputs(X).argmax(axis=1)] if self._fitted() else None)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose class is found."""
        return accuracy(y, self.predict(X), sample_weight)


class SKLearnTransformer(_Wrapped):
    """A model as a transformer: `transform` gives its outputs; see `SKLearnClassifier` for the arguments."""

    kind = "transformer"

    def transform(self, X: Any) -> Array:
        """The model's outputs."""
        return self._outputs(X)

    def fit_transform(self, X: Any, y: Any = None, **kwargs: Any) -> Array:
        """`fit`, then `transform`."""
        return np.asarray(self.fit(X, y, **kwargs).transform(X))
