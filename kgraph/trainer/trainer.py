"""`Trainer`: what `model.compile` returns.  It compiles steps when they are first needed, and runs them.

A step (train, eval, predict) is compiled once for each form of the targets; every batch size runs the same code.  It is
compiled again only when layers are frozen or released.  Loops over epochs stand in `kgraph.trainer.fit`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np

from kgraph.codegen import Executable, check_target
from kgraph.config import settings
from kgraph.core import Variable
from kgraph.core.session import floatx
from kgraph.core.tree import flatten, pack_like
from kgraph.errors import InvalidArgumentError, NotBuiltError, NotCompiledError, UnsupportedError
from kgraph.trainer import fit as loops
from kgraph.trainer.arguments import OutputPlan, plan_outputs, sort_third_and_fourth
from kgraph.trainer.bounds import check_bounds
from kgraph.trainer.data import Port, input_arrays, rows_of, target_arrays, weight_arrays
from kgraph.trainer.diagnose import run_watched
from kgraph.trainer.feed import Feed
from kgraph.trainer.steps import (
    Signature,
    Step,
    build_step,
    record,
    signature_of,
    target_name,
    weight_name,
)
from kgraph.trainer.tally import Tally

__all__ = ["Trainer", "compile_model", "predictor"]

Array = np.ndarray[Any, np.dtype[Any]]

MODES = ("train", "eval", "predict")
STAGES = ("graph", "grad", "optimized", "schedule")


def compile_model(
    model: Any,
    optimizer: Any = "rmsprop",
    loss: Any = None,
    third: Any = None,
    fourth: Any = None,
    *,
    metrics: Any = None,
    loss_weights: Any = None,
    weighted_metrics: Any = None,
    target: str = "cpu",
    run_eagerly: bool = False,
    steps_per_execution: int = 1,
    jit_compile: Any = "auto",
    auto_scale_loss: bool = True,
    sample_weight_mode: Any = None,
    **kwargs: Any,
) -> Trainer:
    """The trainer for `model.compile(...)`.

    Args:
        model: built or not; an unbuilt one is built by its first data.
        optimizer: name or object.
        loss: for all outputs, or a list, or a dict by output name; names, functions, objects, None.
        third: metrics in the order of Keras 2, loss weights in that of Keras 3.
        fourth: the other one.
        metrics: list for all outputs, a list of lists, or a dict by output name.
        loss_weights: list or dict by output name.
        weighted_metrics: as `metrics`; these take sample weights.
        target: `"cpu"` or `"reference"`.
        run_eagerly: runs op by op: the reference target.
        steps_per_execution: batches between two calls of callbacks on batches.
        jit_compile: accepted for Keras; every step is compiled.
        auto_scale_loss: accepted for Keras.
        sample_weight_mode: accepted for Keras 2; weights of any rank that fits are taken.
        kwargs: none.

    Raises:
        UnknownNameError: a name of a loss, metric, optimizer or output is unknown.
        InvalidArgumentError: counts do not fit, or an argument is unknown.
        TargetError: the target is unknown, or cannot be used on this machine.
    """
    if kwargs:
        wrong = next(iter(kwargs))
        near = get_close_matches(wrong, inspect.signature(compile_model).parameters, 1)
        raise InvalidArgumentError(f"compile() has no argument {wrong!r}", fix=f"write {near[0]}=" if near else "")
    if isinstance(steps_per_execution, bool) or not isinstance(steps_per_execution, int) or steps_per_execution < 1:
        raise InvalidArgumentError(f"steps_per_execution={steps_per_execution!r}", needed="a whole number, 1 or more")
    from kgraph import optimizers

    _refuse_own_steps(model)
    metrics, loss_weights = sort_third_and_fourth(third, fourth, metrics, loss_weights)
    return Trainer(
        model,
        optimizers.get(optimizer),
        loss=loss,
        metrics=metrics,
        loss_weights=loss_weights,
        weighted_metrics=weighted_metrics,
        target="reference" if run_eagerly else target,
        steps_per_execution=steps_per_execution,
    )


def _refuse_own_steps(model: Any) -> None:
    """A method that would be passed over in silence is refused.

    Raises:
        UnsupportedError: the model's class defines a step of its own.
    """
    for name in ("train_step", "test_step", "predict_step", "make_train_function", "compute_loss", "compute_metrics"):
        owner = next((cls for cls in type(model).__mro__ if name in vars(cls)), None)
        if owner is not None and owner.__module__.split(".")[0] != "kgraph":
            raise UnsupportedError(
                f"{type(model).__name__}.{name} is not supported: the whole step is compiled from loss and optimizer",
                fix="pass loss= and metrics= as functions of kgraph.ops, or call self.add_loss(...) in call(); "
                "for several optimizers train several models with train_on_batch",
            )


def predictor(model: Any, target: str = "cpu") -> Trainer:
    """A trainer for a model that was not compiled: it predicts, and says so when asked for more."""
    return Trainer(model, None, target=target)


class Trainer:
    """Runs training, evaluation and prediction of one model.

    Attributes:
        model: the model.
        optimizer: the optimizer object; None when the model was not compiled.
        target: where steps run.
        tally: losses, metrics and their running sums.
        compile_seconds: wall time spent on tracing and compiling so far.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        *,
        loss: Any = None,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        target: str = "cpu",
        steps_per_execution: int = 1,
    ) -> None:
        check_target(target)
        self.model = model
        self.optimizer = optimizer
        self.target = target
        self.steps_per_execution = steps_per_execution
        self.compile_seconds = 0.0
        self.arguments = {
            "loss": loss,
            "metrics": metrics,
            "loss_weights": loss_weights,
            "weighted_metrics": weighted_metrics,
        }
        self.tally = Tally([])
        self.seed_step = _seed_and_step()
        self._ports: list[Port] = []
        self._planned: Any = None
        self._layers: list[Any] = []
        self._steps: dict[tuple[str, Signature], tuple[tuple[Any, ...], Step]] = {}
        self._last: dict[str, Signature] = {}
        self._quick: dict[Any, tuple[Array, Executable, Array]] = {}
        self.lock = threading.RLock()
        self.says = False
        if self._is_built():
            self.plan()

    @property
    def outputs(self) -> list[OutputPlan]:
        """What is asked of each output."""
        return self.tally.outputs

    @property
    def loss(self) -> Any:
        """The loss as it was given."""
        return self.arguments["loss"]

    # -- the model ----------------------------------------------------------------------------------------------------
    def _is_built(self) -> bool:
        return bool(getattr(self.model, "built", False)) and bool(_tensors(self.model, "inputs"))

    def ensure_built(self, x: Any) -> None:
        """Build a model whose shapes are not known yet from data, and plan its outputs.

        Raises:
            NotBuiltError: the model cannot be built from these data.
        """
        if not self._is_built():
            shapes = [(None, *np.shape(array)[1:]) for array in flatten(x)]
            if not shapes or any(len(shape) < 1 for shape in shapes):
                raise NotBuiltError(f"model {self.model.name!r} has no shapes yet", fix="begin it with an Input layer")
            self.model.build(shapes[0] if len(shapes) == 1 else shapes)
            if not self._is_built():
                raise NotBuiltError(f"model {self.model.name!r} has no shapes yet", fix="begin it with an Input layer")
        self.plan()

    def plan(self) -> None:
        """Read inputs and outputs of the model; again when it was changed since."""
        symbols = (*_tensors(self.model, "inputs"), *_tensors(self.model, "outputs"))
        key = tuple([id(symbol) for symbol in symbols])
        if key == self._planned:
            return
        self._planned = key
        self._symbols = symbols  # keeps the ids taken
        self._ports = [
            Port(name, tuple(tensor.shape), tensor.dtype)
            for name, tensor in zip(_names(self.model, "input"), _tensors(self.model, "inputs"))
        ]
        self.tally = Tally(plan_outputs(_names(self.model, "output"), **self.arguments))
        self._layers = list(self.model._flatten_layers())
        self._steps.clear()
        self._quick.clear()
        self._last.clear()

    @property
    def ports(self) -> list[Port]:
        """The inputs."""
        return self._ports

    def input_tensors(self) -> list[tuple[Port, Any]]:
        """Each input with its symbolic tensor."""
        return list(zip(self._ports, _tensors(self.model, "inputs")))

    def call_model(self, inputs: Sequence[Any], training: bool) -> Any:
        """Apply the model to tensors in the order of its inputs."""
        structure = getattr(self.model, "_inputs_struct", None)
        if structure is None:
            packed: Any = inputs[0] if len(inputs) == 1 else list(inputs)
        else:
            packed = pack_like(structure, inputs)
        return self.model(packed, training=training)

    def regularization(self) -> list[Any]:
        """Penalties on weights, as traced scalars."""
        return list(self.model.regularization_losses())

    @property
    def fixed_batch(self) -> int | None:
        """The batch size, when the inputs fix it."""
        return self._ports[0].shape[0] if self._ports and self._ports[0].shape else None

    # -- losses and metrics -------------------------------------------------------------------------------------------
    def resolve(self, signature: Signature) -> None:
        """Make loss and metric objects, now that the shapes of the targets are known; only once."""
        self.tally.resolve(signature, [tuple(tensor.shape) for tensor in _tensors(self.model, "outputs")])

    @property
    def metrics(self) -> list[Any]:
        """Metric objects in the order of `metrics_names`; those of outputs exist after the first data."""
        return [metric for _, metric in self.tally.entries()]

    @property
    def metrics_names(self) -> list[str]:
        """Keys in the order in which `evaluate` and `train_on_batch` list values."""
        return [key for key, _ in self.tally.entries()]

    def reset_metrics(self) -> None:
        """Set all running sums to zero."""
        self.tally.reset()

    def logs(self) -> dict[str, float]:
        """Running values as floats, keys sorted as in Keras."""
        return self.tally.logs()

    def listed(self, logs: Mapping[str, float]) -> Any:
        """`logs` as Keras returns them: the loss alone, or a list in the order of `metrics_names`."""
        return self.tally.listed(logs)

    # -- data ---------------------------------------------------------------------------------------------------------
    def feed(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, mode: str = "train"
    ) -> Feed:
        """Check data and name them as the graph's inputs.

        Raises:
            DataError, ShapeError, DtypeError: the data do not fit the model; names the input, row and fix.
        """
        self.ensure_built(x)
        arrays = input_arrays(self._ports, x, check_nan=mode != "predict")
        if mode == "predict":
            return Feed(arrays, rows_of({"input": arrays}), Signature())
        names = [plan.name for plan in self.outputs if plan.has_target]
        targets = target_arrays(names, [plan.name for plan in self.outputs], y, floatx())
        weights = weight_arrays(names, targets, sample_weight, class_weight)
        rows = rows_of({"input": arrays, "target": targets, "sample_weight": weights})
        return self._joined(arrays, targets, weights, rows)

    def _joined(
        self, arrays: dict[str, Array], targets: dict[str, Array], weights: dict[str, Array], rows: int
    ) -> Feed:
        dims = {plan.name: tensor.dims for plan, tensor in zip(self.outputs, _tensors(self.model, "outputs"))}
        joined = dict(arrays)
        joined.update({target_name(name): array for name, array in targets.items()})
        joined.update({weight_name(name): array for name, array in weights.items()})
        return Feed(joined, rows, signature_of(dims, targets, weights))

    def with_class_weight(self, feed: Feed, class_weight: Any) -> Feed:
        """The same feed with class weights multiplied into its sample weights."""
        if class_weight is None:
            return feed
        names = [name for name, _, _ in feed.signature.targets]
        targets = {name: feed.arrays[target_name(name)] for name in names}
        given = {name: feed.arrays[weight_name(name)] for name in names if weight_name(name) in feed.arrays}
        weights = weight_arrays(names, targets, given or None, class_weight)
        arrays = {port.name: feed.arrays[port.name] for port in self._ports}
        return self._joined(arrays, targets, weights, feed.rows)

    # -- steps --------------------------------------------------------------------------------------------------------
    def step_for(self, mode: str, signature: Signature) -> Step:
        """The compiled step of a mode; compiled now when it is not there, or when layers were frozen or released since.

        Raises:
            NotCompiledError: the model was not compiled, and the mode is not `"predict"`.
        """
        if mode != "predict" and self.optimizer is None:
            raise NotCompiledError(
                f"model {self.model.name!r} was not compiled", fix="call model.compile(optimizer=..., loss=...) first"
            )
        state = () if mode == "predict" else self._state()
        found = self._steps.get((mode, signature))
        if found is not None and found[0] == state:
            self._last[mode] = signature
            return found[1]
        with self.lock:
            if mode != "predict":
                self.resolve(signature)
            step = build_step(self, mode, signature)
            self._steps[mode, signature] = (state, step)
            self._last[mode] = signature
            self.compile_seconds += step.seconds
        if self.says:
            again = " again, since layers were frozen or released" if found is not None else ""
            print(f"compiled the {mode} step for target {self.target}{again} in {step.seconds:.2f} s")
        return step

    def _state(self) -> tuple[Any, ...]:
        """What a step depends on beside its signature."""
        flags = [layer._trainable for layer in self._layers]
        return (
            id(self.optimizer),
            self.optimizer.generation,
            *flags,
            *[v.trainable for layer in self._layers for v in layer._own_weights],
        )

    def check(self, step: Step, feed: Feed) -> None:
        """Check the row numbers of a feed against their tables.

        Raises:
            DataError: one is out of range; names layer, input, row and value.
        """
        for name, bounds in step.bounds.items():
            check_bounds(name, feed.arrays[name], bounds)

    def run_once(self, mode: str, feed: Feed) -> list[Array]:
        """Run one step on all rows of a feed; the outputs, copied."""
        step = self.step_for(mode, feed.signature)
        self.check(step, feed)
        executable = step.bind(step.sizes(feed.arrays))
        with self.lock:
            for name, array in feed.arrays.items():
                executable.input(name)[...] = array
            self._run(step, executable, feed, mode)
            return [executable.output(k).copy() for k in range(len(step.graph.outputs))]

    def _run(self, step: Step, executable: Executable, feed: Feed, mode: str) -> None:
        if mode != "predict" and settings().check_nan:
            run_watched(step, executable, lambda: feed.arrays, executable.run)
        else:
            executable.run()

    def step(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, float]:
        """One training step on one batch.

        Returns:
            Loss and metrics of this batch.
        """
        logs: dict[str, float] = self.train_on_batch(x, y, sample_weight, return_dict=True)
        return logs

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """One training step on one batch; the loss, or `[loss, metrics...]`, or a dict."""
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, in inference mode."""
        return self._on_batch("eval", x, y, sample_weight, None, return_dict)

    def _on_batch(self, mode: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
        self.require_compiled()
        feed = self.feed(x, y, sample_weight, class_weight, mode)
        step = self.step_for(mode, feed.signature)
        self.check(step, feed)
        executable = step.bind(step.sizes(feed.arrays))
        with self.lock:
            self.reset_metrics()
            for name, array in feed.arrays.items():
                executable.input(name)[...] = array
            self._run(step, executable, feed, mode)
            logs = self.logs()
        return logs if return_dict else self.listed(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch: an array, or a list for several outputs.

        A batch shape seen before takes one copy in, the run, and one copy out.
        """
        if type(x) is np.ndarray:
            quick = self._quick.get((x.shape, x.dtype))
            if quick is not None:
                buffer, executable, output = quick
                with self.lock:
                    buffer[...] = x
                    executable.run()
                    return output.copy()
        return self._predict_slowly(x)

    def _predict_slowly(self, x: Any) -> Any:
        feed = self.feed(x, mode="predict")
        outputs = self.run_once("predict", feed)
        step = self.step_for("predict", feed.signature)
        array = feed.arrays[self._ports[0].name]
        if type(x) is np.ndarray and len(self._ports) == 1 and len(outputs) == 1 and not step.bounds:
            # The shape fits as it is: from now on nothing has to be checked for it.
            if array.shape == x.shape and array.dtype == x.dtype and not isinstance(self._output_structure(), dict):
                executable = step.bind(step.sizes(feed.arrays))
                if len(self._quick) > 64:
                    self._quick.clear()
                self._quick[x.shape, x.dtype] = (
                    executable.input(self._ports[0].name),
                    executable,
                    executable.output(0),
                )
        return self.packed(outputs)

    def packed(self, outputs: Sequence[Array]) -> Any:
        """Arrays in the form of the model's outputs."""
        structure = self._output_structure()
        if structure is not None:
            return pack_like(structure, outputs)
        return outputs[0] if len(outputs) == 1 else list(outputs)

    def _output_structure(self) -> Any:
        return getattr(self.model, "_outputs_struct", None)

    def require_compiled(self) -> None:
        """Check that there is an optimizer.

        Raises:
            NotCompiledError: there is none.
        """
        if self.optimizer is None:
            raise NotCompiledError(
                "You must call `compile()` before using the model.",
                where=f"model {self.model.name!r}",
                fix="call model.compile(optimizer=..., loss=...) first",
            )

    # -- loops --------------------------------------------------------------------------------------------------------
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train; see `kgraph.trainer.fit.fit`."""
        return loops.fit(self, *args, **kwargs)

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Loss and metrics over data; see `kgraph.trainer.fit.evaluate`."""
        return loops.evaluate(self, *args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Outputs for data; see `kgraph.trainer.fit.predict`."""
        return loops.predict(self, *args, **kwargs)

    # -- looking inside -----------------------------------------------------------------------------------------------
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
            self.resolve(signature)
            return record(self, mode, signature, backward=False).graph
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

    def _known_signature(self, mode: str) -> Signature:
        """The signature last used in a mode, or in training, or the one that the losses suggest."""
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
        for plan, tensor in zip(self.outputs, _tensors(self.model, "outputs")):
            if plan.has_target:
                name = plan.loss if isinstance(plan.loss, str) else getattr(plan.loss, "name", "") or ""
                sparse = "sparse" in name or "sparse" in getattr(plan.loss, "__name__", "")
                dims = tuple(tensor.dims[1:])
                targets.append((plan.name, dims[:-1] if sparse else dims, "int32" if sparse else floatx()))
        return Signature(tuple(targets))

    def __getstate__(self) -> dict[str, Any]:
        """Without compiled code and locks; both come again when needed."""
        state = dict(self.__dict__)
        state.update(_steps={}, _quick={}, _last={}, _planned=None, _symbols=(), _layers=[], lock=None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.lock = threading.RLock()


def _seed_and_step() -> tuple[Variable, Variable]:
    """The pair that drives random ops: seed of the run, and the number of training steps done."""
    from kgraph.random import make_default_seed

    seed = Variable(np.int64(make_default_seed()), dtype="int64", trainable=False, name="seed", path="trainer/seed")
    step = Variable(np.int64(0), dtype="int64", trainable=False, name="step", path="trainer/step")
    return seed, step


def _tensors(model: Any, which: str) -> list[Any]:
    return flatten(getattr(model, which, None) or [])


def _names(model: Any, which: str) -> list[str]:
    """Names of inputs or outputs, made unique: two outputs of one layer get numbers."""
    taken: dict[str, int] = {}
    names: list[str] = []
    for name in getattr(model, f"{which}_names"):
        taken[name] = taken.get(name, 0) + 1
        names.append(name if taken[name] == 1 else f"{name}_{taken[name] - 1}")
    return names
