"""`Trainer`: what `model.compile` returns.  It compiles steps when they are first needed, and runs them.

A step (train, eval, predict) is compiled once for each form of the targets; every batch size runs the same code.  It is
compiled again only when layers are frozen or released.  Loops over epochs stand in `kgraph.trainer.fit`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgraph.codegen import Executable, check_target
from kgraph.config import settings
from kgraph.core import Variable
from kgraph.core.session import floatx
from kgraph.core.trace import user_location
from kgraph.core.tree import flatten, pack_like
from kgraph.errors import KGraphError, NotBuiltError, NotCompiledError
from kgraph.trainer import fit as loops
from kgraph.trainer import own
from kgraph.trainer.arguments import OutputPlan, plan_outputs
from kgraph.trainer.bounds import check_bounds
from kgraph.trainer.data import Port, input_arrays, rows_of, target_arrays, weight_arrays
from kgraph.trainer.diagnose import run_watched
from kgraph.trainer.feed import Feed
from kgraph.trainer.host import HostStage, host_stage
from kgraph.trainer.inspection import Inspection
from kgraph.trainer.report import Report
from kgraph.trainer.signature import Signature, signature_of, target_name, weight_name
from kgraph.trainer.steps import Step, build_step
from kgraph.trainer.tally import Tally, attribute_metrics, number, reset_metric

__all__ = ["Trainer"]

Array = np.ndarray[Any, np.dtype[Any]]


class Trainer(Inspection):
    """Runs training, evaluation and prediction of one model.

    Attributes:
        model: the model.
        optimizer: the optimizer object; None when the model was not compiled.
        target: where steps run.
        tally: losses, metrics and their running sums.
        compiled_at: the user's file and line of `compile`: that of losses, metrics and updates in the IR.
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
        self.compiled_at = user_location()
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
        self.host: HostStage | None = None
        self._planned: Any = None
        self._layers: list[Any] = []
        self._steps: dict[tuple[str, Signature], tuple[tuple[Any, ...], Step]] = {}
        self._last: dict[str, Signature] = {}
        self._quick: dict[Any, tuple[Array, Executable, Array]] = {}
        self._reports: dict[str, tuple[Step, Report]] = {}
        self._ran: tuple[Step, Executable] | None = None  # the last step of the user's own
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

    def plan_outputs(self, shapes: Sequence[tuple[Any, ...]]) -> None:
        """Plan the outputs of a model without symbolic ones, as a step of the user's own first makes them."""
        if not self.tally.outputs:
            names = [f"output_{number + 1}" for number in range(len(shapes))]
            self.tally.outputs = plan_outputs(names, **self.arguments)

    def plan(self) -> None:
        """Read inputs and outputs of the model; again when it was changed since."""
        symbols = (*_tensors(self.model, "inputs"), *_tensors(self.model, "outputs"))
        key = tuple([id(symbol) for symbol in symbols])
        if key == self._planned:
            return
        self._planned = key
        self._symbols = symbols  # keeps the ids taken
        self.host = host_stage(self.model)
        self._ports = [
            Port(name, tuple(tensor.shape), tensor.dtype)
            for name, tensor in zip(_names(self.model, "input"), _tensors(self.model, "inputs"))
        ]
        if self.host is not None:
            self._ports = self.host.ports
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
        return list(zip(self._ports, self.host.border if self.host else _tensors(self.model, "inputs")))

    def call_model(self, inputs: Sequence[Any], training: bool) -> Any:
        """Apply the model to tensors in the order of its inputs."""
        if self.host is not None:
            return self.host.call(inputs, training)
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

    def all_entries(self) -> list[tuple[str, Any]]:
        """(key, metric): those of the model's class when it says which, else ours and those kept as attributes."""
        kind = type(self.model).metrics
        if kind.fget is not None and kind.fget.__module__.split(".")[0] != "kgraph":
            return [(metric.name, metric) for metric in self.model.metrics]
        return self.tally.entries()

    @property
    def metrics(self) -> list[Any]:
        """Metric objects in the order of `metrics_names`; those of outputs exist after the first data."""
        self.tally.extra = attribute_metrics(self.model)
        return [metric for _, metric in self.tally.entries()]

    @property
    def metrics_names(self) -> list[str]:
        """Keys in the order in which `evaluate` and `train_on_batch` list values."""
        return [key for key, _ in self.all_entries()]

    def reset_metrics(self) -> None:
        """Set all running sums to zero."""
        self.tally.reset()
        for _, metric in self.all_entries():
            reset_metric(metric)

    def logs(self) -> dict[str, float]:
        """Running values as floats, keys sorted as in Keras; of a step of the user's own what it returned last."""
        if self._ran is None:
            return self.tally.logs()
        step, executable = self._ran
        return {key: number(executable.output(k)) for k, key in enumerate(step.form.keys)}

    def listed(self, logs: Mapping[str, float]) -> Any:
        """`logs` as Keras returns them: the loss alone, or a list in the order of `metrics_names`."""
        order = [name for name in dict.fromkeys(self.metrics_names) if name in logs]
        values = [logs[name] for name in [*order, *(name for name in logs if name not in order)]]
        return values[0] if len(values) == 1 else values

    # -- data ---------------------------------------------------------------------------------------------------------
    def feed(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None, mode: str = "train"
    ) -> Feed:
        """Check data and name them as the graph's inputs.

        Raises:
            DataError, ShapeError, DtypeError: the data do not fit the model; names the input, row and fix.
        """
        if own.has_own_step(self.model, mode):
            self._build_for_own(x)
            return own.own_feed(self, x, y, sample_weight, class_weight, mode)
        self.ensure_built(x)
        if self.host is not None:
            x = self.host.apply(x)
        arrays = input_arrays(self._ports, x, check_nan=mode != "predict")
        if mode == "predict":
            return Feed(arrays, rows_of({"input": arrays}), Signature())
        names = [plan.name for plan in self.outputs if plan.has_target]
        targets = target_arrays(names, [plan.name for plan in self.outputs], y, floatx())
        weights = weight_arrays(names, targets, sample_weight, class_weight)
        rows = rows_of({"input": arrays, "target": targets, "sample_weight": weights})
        return self._joined(arrays, targets, weights, rows)

    def _build_for_own(self, x: Any) -> None:
        """Build a model whose `call` says how; one without is built by its own step."""
        if not self._is_built() and type(self.model).call.__module__.split(".")[0] != "kgraph":
            try:
                self.ensure_built(x)
            except KGraphError:  # its own step may call it on something else than x
                return
        elif self._is_built():
            self.plan()

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
        if feed.signature.data is not None:
            return own.own_feed(self, *own.parts(feed), class_weight, "train")
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
            self.tally.extra = attribute_metrics(self.model)
            if mode != "predict" and signature.data is None:
                self.resolve(signature)
            step = build_step(self, mode, signature)
            self.tally.extra = attribute_metrics(self.model)
            self._layers = list(self.model._flatten_layers())  # the step may have made some
            self._steps[mode, signature] = (() if mode == "predict" else self._state(), step)
            self._last[mode] = signature
            self.compile_seconds += step.seconds
        if self.says:
            again = " again, since layers were frozen or released" if found is not None else ""
            print(f"compiled the {mode} step for target {self.target}{again} in {step.seconds:.2f} s")
        return step

    def _state(self) -> tuple[Any, ...]:
        """What a step depends on beside its signature."""
        flags = [layer._trainable for layer in self._layers]
        optimizers = own.optimizers_of(self.model) or [self.optimizer]
        return (
            *[item for optimizer in optimizers for item in (id(optimizer), optimizer.generation)],
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
            self.ran(step, executable)
            return [executable.output(k).copy() for k in range(len(step.graph.outputs))]

    def ran(self, step: Step, executable: Executable) -> None:
        """Note that a step ran: one of the user's own leaves its logs in the outputs."""
        self._ran = (step, executable) if step.form is not None and step.form.keys else None

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
            self.ran(step, executable)
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
        if type(x) is np.ndarray and len(self._ports) == len(outputs) == 1 and not step.bounds and self.host is None:
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
        known = self._last.get("predict")
        if known is not None and known.data is not None:
            return self._steps["predict", known][1].form.structure
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

    def __getstate__(self) -> dict[str, Any]:
        """Without compiled code and locks; both come again when needed."""
        state = dict(self.__dict__)
        state.update(_ran=None, _reports={}, _steps={}, _quick={}, _last={})
        state.update(_planned=None, _symbols=(), _layers=[], lock=None)
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
