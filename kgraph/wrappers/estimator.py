"""What all estimators share: parameters, the tags of scikit-learn, data checks, classes, scores."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from kgraph.errors import DataError, InvalidArgumentError, NotBuiltError, ShapeError
from kgraph.utils.image import MissingLibraryError

__all__ = ["Estimator", "accuracy", "as_matrix", "class_numbers", "r2"]

Array = np.ndarray[Any, np.dtype[Any]]


class NotFittedError(NotBuiltError, AttributeError):
    """An estimator was used before `fit`; scikit-learn's error of this name inherits the same two built-ins."""


class Estimator:
    """Parameters are the arguments of `__init__`, kept under their names.

    Attributes:
        kind: `"classifier"`, `"regressor"` or `"transformer"`.
    """

    kind = ""

    @property
    def _estimator_type(self) -> str:  # what scikit-learn below 1.6 asks for
        return self.kind

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls).parameters]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Any:
        """Set parameters; returns self.

        Raises:
            InvalidArgumentError: there is no such parameter.
        """
        known = self._parameter_names()
        for name, value in params.items():
            if name not in known:
                raise InvalidArgumentError(
                    f"{type(self).__name__} has no parameter {name!r}", needed="one of " + ", ".join(known)
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = _tags_module()
        kinds = {
            "classifier": tags.ClassifierTags,
            "regressor": tags.RegressorTags,
            "transformer": tags.TransformerTags,
        }
        own = {f"{self.kind}_tags": kinds[self.kind]()}
        required = tags.TargetTags(required=True)
        found = tags.Tags(estimator_type=self.kind, target_tags=required, **own)
        found.non_deterministic = True
        return found

    def _more_tags(self) -> dict[str, Any]:  # of scikit-learn below 1.6
        return {"non_deterministic": True, "requires_y": True}

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _fitted(self) -> Any:
        """The trained model.

        Raises:
            NotFittedError: `fit` was not called.
        """
        model = getattr(self, "model_", None)
        if model is None:
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet", fix="call fit(X, y) first")
        return model

    def _checked(self, X: Any, reset: bool = False) -> Array:
        """X as an array with the features that `fit` saw."""
        matrix = as_matrix(X)
        count = matrix.shape[-1] if matrix.ndim > 1 else 1
        if reset:
            self.n_features_in_ = count
        elif count != self.n_features_in_:
            raise ShapeError(
                f"X has {count} features, but {type(self).__name__} is expecting {self.n_features_in_} features",
                fix="give the columns that fit() saw",
            )
        return matrix

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items() if value is not None)
        return f"{type(self).__name__}({inner})"


def _tags_module() -> Any:
    try:
        import sklearn.utils
    except ImportError:
        raise MissingLibraryError(
            "scikit-learn asks for the tags of an estimator, and is not installed", fix="pip install scikit-learn"
        ) from None
    return sklearn.utils


def as_matrix(X: Any) -> Array:
    """An array of numbers with at least one row.

    Raises:
        ShapeError: a single number.
        DataError: no rows, or a NaN.
    """
    matrix = np.asarray(X)
    if matrix.ndim == 0:
        raise ShapeError("X is a single number", needed="an array with a row for each sample")
    if not len(matrix):
        raise DataError("found array with 0 sample(s)", needed="at least one row")
    if matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        raise DataError("Input X contains NaN or infinity.", fix="drop these rows, or fill them")
    return matrix


def class_numbers(y: Any) -> tuple[Array, Array]:
    """The distinct classes in order, and the number of each row's class: of names, numbers or one-hot rows."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] > 1:
        return np.arange(labels.shape[1]), labels.argmax(axis=1)
    classes, numbers = np.unique(labels.ravel(), return_inverse=True)
    return classes, numbers


def accuracy(truth: Any, found: Any, sample_weight: Any = None) -> float:
    """The share of rows whose class was found."""
    return float(np.average(np.ravel(truth) == np.ravel(found), weights=sample_weight))


def r2(truth: Any, found: Any, sample_weight: Any = None) -> float:
    """1 - residual sum of squares / total sum of squares, the mean over the outputs; 1 is perfect.

    A constant target gives 1 where it is found exactly, else 0, as in scikit-learn.
    """
    true, guess = (np.asarray(one, np.float64).reshape(len(truth), -1) for one in (truth, found))
    weight = np.ones(len(true)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    left = weight @ np.square(true - guess)
    total = weight @ np.square(true - np.average(true, axis=0, weights=weight))
    scores = np.where(total > 0, 1 - left / np.where(total > 0, total, 1), np.where(left == 0, 1.0, 0.0))
    return float(scores.mean())
