"""The methods of a model that hand over to `kgraph.trainer`."""

from __future__ import annotations

from typing import Any

from kgraph.errors import LayerAttributeError, NotCompiledError, UnsupportedError
from kgraph.models.steps import StepMethods

__all__ = ["TrainingMethods"]


class TrainingMethods(StepMethods):
    """compile, fit, evaluate, predict and their kin."""

    name: str

    def _init_training(self) -> None:
        self.trainer: Any = None
        self._predictor: Any = None
        self.stop_training = False
        self.history: Any = None

    def compile(self, *args: Any, **kwargs: Any) -> Any:
        """Choose optimizer, loss and metrics; returns the trainer, which compiles the step when it first sees data.

        Takes the arguments of Keras 3 (and the order of Keras 2), and `target="cpu"` or `"reference"`;
        see `kgraph.trainer.compile_model`.
        """
        from kgraph import trainer

        self.trainer = trainer.compile_model(self, *args, **kwargs)
        return self.trainer

    def _require_trainer(self, what: str) -> Any:
        if self.trainer is None:
            raise NotCompiledError(
                f"You must call `compile()` before using the model: {what}() of {self.name!r} needs a loss and "
                f"an optimizer",
                fix="call model.compile(optimizer=..., loss=...) first",
            )
        return self.trainer

    def _require_predictor(self) -> Any:
        if self.trainer is not None:
            return self.trainer
        if self._predictor is None:
            from kgraph import trainer

            self._predictor = trainer.predictor(self)
        return self._predictor

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self.trainer is not None

    @property
    def optimizer(self) -> Any:
        """The optimizer object; None before `compile`."""
        return None if self.trainer is None else self.trainer.optimizer

    @property
    def loss(self) -> Any:
        """What was given to `compile` as loss."""
        return None if self.trainer is None else self.trainer.loss

    @property
    def metrics(self) -> list[Any]:
        """Metric objects, that of the loss first."""
        return [] if self.trainer is None else list(self.trainer.metrics)

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` returns."""
        return [] if self.trainer is None else list(self.trainer.metrics_names)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train for some epochs; see `kgraph.trainer.Trainer.fit`.  Returns the history."""
        return self._require_trainer("fit").fit(*args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics on data; see `kgraph.trainer.Trainer.evaluate`."""
        return self._require_trainer("evaluate").evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Outputs for data, batch by batch; see `kgraph.trainer.Trainer.predict`."""
        return self._require_predictor().predict(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """One training step; see `kgraph.trainer.Trainer.train_on_batch`."""
        return self._require_trainer("train_on_batch").train_on_batch(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics of one batch; see `kgraph.trainer.Trainer.test_on_batch`."""
        return self._require_trainer("test_on_batch").test_on_batch(*args, **kwargs)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch; see `kgraph.trainer.Trainer.predict_on_batch`."""
        # For one row every call counts: a small model takes a microsecond or two in all.
        return (self.trainer or self._require_predictor()).predict_on_batch(x)

    def reset_metrics(self) -> None:
        """Set all metrics to their start."""
        self._require_trainer("reset_metrics").reset_metrics()

    def export(self, filepath: Any = None, *args: Any, **kwargs: Any) -> None:
        """Not there: there is no format of a server to write.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            f"export of model {self.name!r} is not supported",
            fix="model.save('model.keras') and kgraph.models.load_model, or model.save_weights for Keras",
        )

    def quantize(self, mode: Any = None, *args: Any, **kwargs: Any) -> None:
        """Not there: kernels compute in floating point.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            f"quantize of model {self.name!r} is not supported", fix="use dtype='float16' in the layers to save memory"
        )

    # -- Keras 2 --------------------------------------------------------------------------------------------------
    def fit_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`fit` on a generator (Keras 2), with the arguments of the time; see `kgraph.trainer.generators`."""
        from kgraph.trainer.generators import fit_arguments

        return self.fit(generator, **fit_arguments(generator, args, kwargs))

    def evaluate_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`evaluate` on a generator (Keras 2), which writes nothing unless `verbose=1`."""
        from kgraph.trainer.generators import evaluate_arguments

        return self.evaluate(generator, **{"verbose": 0, **evaluate_arguments(generator, args, kwargs)})

    def predict_generator(self, generator: Any, *args: Any, **kwargs: Any) -> Any:
        """`predict` on a generator (Keras 2), which writes nothing unless `verbose=1`."""
        from kgraph.trainer.generators import predict_arguments

        return self.predict(generator, **{"verbose": 0, **predict_arguments(generator, args, kwargs)})

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """`predict` (Keras 2)."""
        return self.predict(x, batch_size=batch_size, verbose=verbose)

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: Any = 0) -> Any:
        """The most probable class of each sample (Keras 2).

        Raises:
            AttributeError: the model has several outputs.
        """
        scores = self.predict(x, batch_size=batch_size, verbose=verbose)
        if isinstance(scores, (list, dict)):
            raise LayerAttributeError(f"predict_classes needs a model with one output; {self.name!r} has several")
        if scores.shape[-1] > 1:
            return scores.argmax(axis=-1)
        return (scores > 0.5).astype("int32")
