"""Runs a script of `scripts/` under Keras or under kgraph, with the weights and losses of each training kept.

The scripts are written for Keras, as a user writes them: flat, with `fit` in the middle.  Only the package that they
import is another under kgraph.  So that two runs can be compared step by step, `fit` and `train_on_batch` are wrapped:
before the first step of a model its weights are kept (or set to those kept), the order of the data stays as it is,
and the loss of every batch is noted.  `predict` is wrapped for models that are first used untrained.  `exact` also
takes the dropout out of the text.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SCRIPTS = Path(__file__).parent / "scripts"

# Spellings of Keras 2 that Keras 3 has dropped, and how it says them now; kgraph takes them as they are.
_KERAS_3 = (
    ("from keras import backend as K", "from keras import ops as K"),
    ("(lr=", "(learning_rate="),
    ("nb_epoch=", "epochs="),
    ("fit_generator(", "fit("),
    ("import Sequence\n", "import PyDataset as Sequence\n"),
    ("from keras.preprocessing.sequence import", "from keras.utils import"),
    ("from keras.preprocessing import sequence\n", "from keras import utils as sequence\n"),
    ("from keras.layers.merge import", "from keras.layers import"),
    (", input_length=maxlen", ""),
    ("reset_states()", "reset_state()"),
    ("predict_generator(", "predict("),
)
_IMPORT = re.compile(r"^( *)(import|from) keras(?=[. \n])", re.MULTILINE)
_BATCH_SHAPE = re.compile(r"model\.add\((\w+)\((.*), batch_input_shape=(\(.*?\))")
_DROPOUT = re.compile(r"((?:Dropout|Dropout1D|Dropout2D)\(|dropout=)0?\.\d+")


@dataclass
class Run:
    """What one run of a script left behind.

    Attributes:
        names: the script's variables at its end.
        weights: before the first step of each model, in order: those that no model before it has.
        losses: of every step: the mean of the epoch so far, as `fit` gives it to callbacks.
    """

    names: dict[str, Any] = field(default_factory=dict)
    weights: list[list[Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def text_of(name: str, under_keras: bool, exact: bool) -> str:
    """The script as it is run."""
    text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")
    if exact:
        text = _DROPOUT.sub(r"\g<1>0.0", text)
    if not under_keras:
        text = text.replace("import keras\n", "import kgraph as keras\n")
        return _IMPORT.sub(r"\1\2 kgraph", text)
    for old, new in _KERAS_3:
        text = text.replace(old, new)
    return _BATCH_SHAPE.sub(r"model.add(__import__('keras').Input(batch_shape=\3))\nmodel.add(\1(\2", text)


def run(name: str, package: Any, start: Run | None = None, exact: bool = True) -> Run:
    """Run the script under `package` (keras or kgraph), from the weights of `start` where given."""
    done = Run()
    text = text_of(name, package.__name__ == "keras", exact)
    module = types.ModuleType(f"{package.__name__}_{name}")
    package.utils.set_random_seed(7)
    with _watched(package, done, start, exact):
        exec(compile(text, str(SCRIPTS / f"{name}.py"), "exec"), module.__dict__)
    done.names = module.__dict__
    return done


@contextmanager
def _watched(package: Any, done: Run, start: Run | None, exact: bool) -> Iterator[None]:
    """`fit` and `train_on_batch` wrapped as the module says."""
    kept = {name: getattr(package.Model, name) for name in ("fit", "train_on_batch", "predict")}
    seen: dict[int, Any] = {}

    class Losses(package.callbacks.Callback):  # type: ignore[name-defined, misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            done.losses.append(float(logs["loss"]))

    def begin(model: Any, x: Any) -> None:
        if not model.built:
            model(x[:1])
        new = [variable for variable in model.weights if id(variable) not in seen]
        seen.update({id(variable): variable for variable in new})
        if not new:
            return
        if start is not None:
            for variable, value in zip(new, start.weights[len(done.weights)], strict=True):
                variable.assign(value)
        done.weights.append([np.array(variable) for variable in new])

    def watched_fit(model: Any, x: Any = None, y: Any = None, **options: Any) -> Any:
        begin(model, x)
        if exact:
            options["shuffle"] = False
        options["verbose"] = 0
        options["callbacks"] = [*options.get("callbacks", []), Losses()]
        return kept["fit"](model, x, y, **options)

    def watched_step(model: Any, x: Any, y: Any = None, **options: Any) -> Any:
        begin(model, x)
        model.reset_metrics()  # Keras 3 goes on averaging over the batches otherwise
        logs = kept["train_on_batch"](model, x, y, **options)
        done.losses.append(float(np.ravel(logs)[0]))
        return logs

    def watched_predict(model: Any, x: Any, **options: Any) -> Any:
        begin(model, x)
        return kept["predict"](model, x, **{**options, "verbose": 0})

    package.Model.fit, package.Model.train_on_batch, package.Model.predict = watched_fit, watched_step, watched_predict
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(package.Model, name, function)
