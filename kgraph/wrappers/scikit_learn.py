"""`keras.wrappers.scikit_learn` of Keras 2: `KerasClassifier`, `KerasRegressor`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from kgraph.errors import CallError, InvalidArgumentError, NotCompiledError
from kgraph.utils.numeric import to_categorical
from kgraph.wrappers.estimator import Estimator, class_numbers

__all__ = ["BaseWrapper", "KerasClassifier", "KerasRegressor"]

Array = np.ndarray[Any, np.dtype[Any]]
_FIT = frozenset(
    "batch_size epochs nb_epoch verbose callbacks validation_split validation_data shuffle class_weight sample_weight "
    "initial_epoch steps_per_epoch validation_steps".split()
)
_PREDICT = frozenset("batch_size verbose steps".split())
_EVALUATE = _PREDICT | {"sample_weight"}


class BaseWrapper(Estimator):
    """A function that makes a compiled model, as an estimator.

    Args:
        build_fn: the function; or an object with `__call__`; None: the method `__call__` of a subclass.
        sk_params: arguments for `build_fn`, and for `fit`, `predict` and `score`: each goes where its name is known.

    Raises:
        CallError: neither the function nor `fit` knows a name.
    """

    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn, self.sk_params = build_fn, sk_params
        self.check_params(sk_params)

    def _builder(self) -> Callable[..., Any]:
        if self.build_fn is not None:
            return self.build_fn
        own: Callable[..., Any] | None = getattr(self, "__call__", None)  # noqa: B004 (the method of a subclass)
        if own is None:
            raise InvalidArgumentError(
                f"{type(self).__name__} has no function that makes a model", fix="pass build_fn="
            )
        return own

    def check_params(self, params: dict[str, Any]) -> None:
        """Refuse names that nothing takes."""
        signature = inspect.signature(self._builder()).parameters
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.values()):
            return
        for name in params:
            if name not in signature and name not in _FIT | _EVALUATE:
                raise CallError(
                    f"{name} is not a legal parameter",
                    needed="an argument of the function, of fit, predict or evaluate",
                )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name, `build_fn` among them."""
        return {**self.sk_params, "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> Any:
        """Set parameters; returns self."""
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.check_params(params)
        self.sk_params.update(params)
        return self

    def filter_sk_params(self, names: Any, override: dict[str, Any] | None = None) -> dict[str, Any]:
        """Of the parameters those with one of these names (or that a function takes), and `override`."""
        known = inspect.signature(names).parameters if callable(names) else names
        return {name: value for name, value in self.sk_params.items() if name in known} | (override or {})

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make a model, and train it; returns the history.

        Args:
            x: inputs.
            y: targets.
            kwargs: for `model.fit`.
        """
        self.model_ = self.model = self._builder()(**self.filter_sk_params(self._builder()))
        loss = self.model.loss
        if getattr(loss, "__name__", loss) == "categorical_crossentropy" and np.ndim(y) != 2:
            y = to_categorical(y)
        x = self._checked(x, reset=True)
        return self.model.fit(x, np.asarray(y), **self.filter_sk_params(_FIT, kwargs))

    def _predicted(self, x: Any, kwargs: dict[str, Any]) -> Array:
        model = self._fitted()
        return np.asarray(model.predict(self._checked(x), **self.filter_sk_params(_PREDICT, kwargs)))

    def _evaluated(self, x: Any, y: Any, kwargs: dict[str, Any]) -> dict[str, float]:
        options = self.filter_sk_params(_EVALUATE, kwargs)
        found: dict[str, float] = self._fitted().evaluate(self._checked(x), np.asarray(y), return_dict=True, **options)
        return found


class KerasClassifier(BaseWrapper):
    """A function that makes a classifying model, as a classifier; see `BaseWrapper` for the arguments.

    Attributes:
        classes_: the classes, in order.
        model: the trained model.
    """

    kind = "classifier"

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make a model, and train it; returns the history.

        Args:
            x: inputs.
            y: classes (numbers or names), or one-hot rows.
            kwargs: for `model.fit`.
        """
        self.classes_, numbers = class_numbers(y)
        self.n_classes_ = len(self.classes_)
        return super().fit(x, np.asarray(y) if np.ndim(y) == 2 and np.shape(y)[1] > 1 else numbers, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> Array:
        """The most probable class of each row."""
        scores = self._predicted(x, kwargs)
        numbers = scores.argmax(axis=-1) if scores.shape[-1] > 1 else (scores[:, 0] > 0.5).astype(int)
        return np.asarray(self.classes_[numbers])

    def predict_proba(self, x: Any, **kwargs: Any) -> Array:
        """A column for each class; a single output p gives 1 - p and p."""
        scores = self._predicted(x, kwargs)
        return np.hstack([1 - scores, scores]) if scores.shape[1] == 1 else scores

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The accuracy that the model's `evaluate` gives.

        Raises:
            NotCompiledError: the model was compiled without it.
        """
        self._fitted()
        single = not (np.ndim(y) == 2 and np.shape(y)[1] > 1)
        if single:
            y = np.searchsorted(self.classes_, np.ravel(y))
            loss = self.model.loss
            if getattr(loss, "__name__", loss) == "categorical_crossentropy":
                y = to_categorical(y, self.n_classes_)
        found = self._evaluated(x, y, kwargs)
        for name in ("accuracy", "acc"):
            if name in found:
                return float(found[name])
        raise NotCompiledError("score needs the accuracy", fix="compile the model with metrics=['accuracy']")


class KerasRegressor(BaseWrapper):
    """A function that makes a model, as a regressor; see `BaseWrapper` for the arguments."""

    kind = "regressor"

    def predict(self, x: Any, **kwargs: Any) -> Array:
        """The outputs, without axes of size 1."""
        return np.squeeze(self._predicted(x, kwargs), axis=-1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The loss that `evaluate` gives, negative: larger is better."""
        return -float(self._evaluated(x, y, kwargs)["loss"])
