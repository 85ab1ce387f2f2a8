"""Looking inside a trainer: the graph of a step at each stage, the emitted source, memory, why kernels end, and what
each kernel costs and takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kgraph.core.session import floatx
from kgraph.core.tree import flatten
from kgraph.errors import InvalidArgumentError, NotBuiltError
from kgraph.trainer import profiling
from kgraph.trainer.own import has_own_step
from kgraph.trainer.report import Report
from kgraph.trainer.signature import Signature
from kgraph.trainer.steps import Step, record

if TYPE_CHECKING:
    from kgraph.trainer.trainer import Trainer

__all__ = ["Inspection"]

MODES = ("train", "eval", "predict")
STAGES = ("graph", "grad", "optimized", "schedule")


class Inspection:
    """The part of `Trainer` that shows what was compiled."""

    model: Any
    outputs: Any
    _last: dict[str, Signature]
    _reports: dict[str, tuple[Step, Report]]

    def _is_built(self) -> bool:
        raise NotImplementedError

    def plan(self) -> None:
        """See `Trainer`."""

    def require_compiled(self) -> None:
        """See `Trainer`."""

    def resolve(self, signature: Signature) -> None:
        """See `Trainer`."""

    def step_for(self, mode: str, signature: Signature) -> Step:
        """See `Trainer`."""
        raise NotImplementedError

    def ir(self, stage: str = "graph", mode: str = "train") -> Any:
        """The step at a stage of the compilation; `str()` of it is text.

        Args:
            stage: `"graph"` (forward, loss, metrics), `"grad"` (with backward and update), `"optimized"`, `"schedule"`.
            mode: `"train"`, `"eval"` or `"predict"`.

        Raises:
            InvalidArgumentError: no such stage or mode.
            NotBuiltError: the model has no shapes yet.
        """
        if stage not in STAGES or mode not in MODES:
            wrong, needed = (f"stage {stage!r}", STAGES) if stage not in STAGES else (f"mode {mode!r}", MODES)
            raise InvalidArgumentError(f"ir(): unknown {wrong}", needed="one of " + ", ".join(needed))
        if stage == "grad" and mode != "train":
            raise InvalidArgumentError(f"mode {mode!r} has no gradients", fix="use mode='train', or stage='graph'")
        signature = self._known_signature(mode)
        if stage == "graph" and mode == "train":
            if signature.data is None:
                self.resolve(signature)
            return record(cast("Trainer", self), mode, signature, backward=False).graph
        step = self.step_for(mode, signature)
        return step.graph if stage in ("graph", "grad") else step.program.stages[stage]

    def source(self, name: str | None = None, mode: str = "train") -> str:
        """The emitted source of the kernels of a step, in the order they run.

        Args:
            name: of one kernel; None for all.
            mode: `"train"`, `"eval"` or `"predict"`.

        Raises:
            InvalidArgumentError: there is no such kernel.
        """
        sources = self.step_for(mode, self._known_signature(mode)).program.sources()
        if name is None:
            return "\n".join(sources.values())
        if name not in sources:
            raise InvalidArgumentError(
                f"there is no kernel {name!r}",
                needed="one of " + ", ".join(sources) if sources else "",
                fix="" if sources else "target 'reference' emits no source: compile with target='cpu'",
            )
        return sources[name]

    def memory(self, mode: str = "train") -> str:
        """The memory plan: each buffer with its size as a function of the batch, its life and what lies in it."""
        return self.step_for(mode, self._known_signature(mode)).program.memory()

    def explain(self, mode: str = "train") -> str:
        """For each boundary between kernels why it is there."""
        return self.step_for(mode, self._known_signature(mode)).program.explain()

    def profile(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        steps: int | None = None,
        *,
        mode: str = "train",
        sample_weight: Any = None,
        by: str = "kernel",
    ) -> Report:
        """Run steps with every kernel timed; weights, optimizer, metrics and seeds are put back afterwards.

        The steps are those of `fit`, `evaluate` or `predict`, batch after batch without shuffling, after a few that
        are not measured.  The first call on a machine measures its ceilings too, which takes half a second.

        Args:
            x: arrays as in `fit`.
            y: targets, likewise.
            batch_size: rows a step, 32 by default, at most those of `x`; rows left over are not used.
            steps: to measure; by default as many as take about half a second.  They begin anew after the last batch.
            mode: `"train"`, `"test"` or `"predict"`.
            sample_weight: as in `fit`.
            by: what the report shows: `"kernel"`, `"layer"`, `"part"` (forward, backward, update) or `"family"`.

        Returns:
            The report: `str()` of it is a table, `.rows` are its rows, `.to_json()` is all of it.

        Raises:
            InvalidArgumentError: an argument has a value that means nothing, or `x` is a generator.
            NotCompiledError: the model was not compiled.
            DataError, ShapeError: the data do not fit the model or each other.
            UnsupportedError: the target has no kernels.
        """
        return profiling.profile(cast("Trainer", self), x, y, batch_size, steps, mode, sample_weight, by)

    def report(self, mode: str = "train", by: str = "kernel", batch_size: int | None = None) -> Report:
        """What each kernel of a step costs, with the times of the last `profile` if there was one.

        Args:
            mode: `"train"`, `"test"` or `"predict"`.
            by: `"kernel"`, `"layer"`, `"part"` or `"family"`.
            batch_size: rows a step, 32 by default, for a report without times; None takes the last profile.

        Raises:
            InvalidArgumentError: an argument has a value that means nothing.
            NotBuiltError: the model has no shapes yet.
            UnsupportedError: the target has no kernels.
        """
        inner = profiling.inner_mode(mode)
        step = self.step_for(inner, self._known_signature(inner))
        measured = self._reports.get(inner)
        if measured is not None and measured[0] is step and batch_size in (None, measured[1].batch_size):
            return measured[1].grouped(by)
        return profiling.cost_report(cast("Trainer", self), inner, step, batch_size, by)

    def _known_signature(self, mode: str) -> Signature:
        """The signature last used in a mode, or in training, or the one that the losses suggest."""
        if has_own_step(self.model, mode):
            return self._own_signature(mode)
        if not self._is_built():
            raise NotBuiltError(f"model {self.model.name!r} has no shapes yet", fix="begin it with an Input layer")
        self.plan()
        if mode == "predict":
            return Signature()
        self.require_compiled()
        for known in (mode, "train", "eval"):
            if known in self._last:
                return self._last[known]
        targets = []
        for plan, tensor in zip(self.outputs, flatten(self.model.outputs)):
            if plan.has_target:
                name = plan.loss if isinstance(plan.loss, str) else getattr(plan.loss, "name", "") or ""
                sparse = "sparse" in name or "sparse" in getattr(plan.loss, "__name__", "")
                dims = tuple(tensor.dims[1:])
                targets.append((plan.name, dims[:-1] if sparse else dims, "int32" if sparse else floatx()))
        return Signature(tuple(targets))

    def _own_signature(self, mode: str) -> Signature:
        """That of the data that a step of the user's own has seen."""
        if mode not in self._last:
            raise NotBuiltError(
                f"the {mode} step of model {self.model.name!r} is its own, and has not seen data yet",
                fix="call "
                + {"train": "train_on_batch", "eval": "test_on_batch"}.get(mode, "predict_on_batch")
                + " first",
            )
        return self._last[mode]
