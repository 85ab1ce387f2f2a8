"""`SwapEMAWeights`: validate (and save) with the moving averages of the weights."""

from __future__ import annotations

from typing import Any

from kgraph.callbacks.base import Callback, Logs
from kgraph.errors import InvalidArgumentError

__all__ = ["SwapEMAWeights"]


class SwapEMAWeights(Callback):
    """Exchange weights and their moving averages before an evaluation, and back after it.

    Args:
        swap_on_epoch: also at the end of each epoch, so that callbacks that come later save the averages.

    Raises:
        InvalidArgumentError: the optimizer keeps no averages (`use_ema=True`).
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def _optimizer(self) -> Any:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        if not getattr(optimizer, "use_ema", False):
            raise InvalidArgumentError(
                "SwapEMAWeights needs moving averages of the weights",
                got=f"{type(optimizer).__name__} with use_ema=False",
                fix="make the optimizer with use_ema=True",
            )
        return optimizer

    def _swap(self, swapped: bool) -> None:
        if self._swapped == swapped:
            return
        self._optimizer().swap_averages()
        self._swapped = swapped

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Train on the weights themselves."""
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Leave the averages in the model until the next epoch."""
        if self.swap_on_epoch and not self._swapped:
            self._swap(True)
            if epoch == self.params["epochs"] - 1:
                self._optimizer().keep_weights_as_averages()  # training ends with them

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Evaluate the averages."""
        self._swap(True)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._swap(False)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Predict with the averages."""
        self._swap(True)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._swap(False)
