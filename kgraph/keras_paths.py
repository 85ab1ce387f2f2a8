"""Module paths of Keras 2 and 3 that have no file here, such as `kgraph.engine.topology`.

One table says which of our packages an old module's names are found in.  A finder at the end of `sys.meta_path` makes a
module for such a path when it is imported, so a path with a file of ours always wins; `widen` lets those files
(`kgraph/layers/core.py` and its kin) give the names that the old module of the same path had.  Nothing is loaded
before somebody asks for a name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from dis import opmap
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

from kgraph.errors import KGraphError, UnsupportedError

__all__ = [
    "MODULES",
    "REFUSED",
    "MissingImportError",
    "MissingModuleError",
    "MissingNameError",
    "PathFinder",
    "child",
    "missing",
    "refusal",
    "widen",
]

_LAYERS = ("layers",)
_TRAINING = ("models", "layers", "utils")

# Old path below `kgraph` -> where its names are looked for, in this order.  Paths with a file of ours are widened.
MODULES: dict[str, tuple[str, ...]] = {
    "callbacks.callbacks": ("callbacks",),
    "callbacks.tensorboard_v1": ("callbacks",),
    "backend.tensorflow_backend": ("backend",),
    "engine": _TRAINING,
    "engine.base_layer": ("layers", "core"),
    "engine.functional": _TRAINING,
    "engine.input_layer": _LAYERS,
    "engine.network": _TRAINING,
    "engine.saving": ("models", "saving"),
    "engine.sequential": _TRAINING,
    "engine.topology": (*_TRAINING, "core.node"),
    "engine.training": _TRAINING,
    "engine.training_utils": ("utils",),
    "layers.advanced_activations": _LAYERS,
    "layers.attention": _LAYERS,
    "layers.convolutional": _LAYERS,
    "layers.convolutional_recurrent": _LAYERS,
    "layers.core": _LAYERS,
    "layers.cudnn_recurrent": _LAYERS,
    "layers.dense_attention": _LAYERS,
    "layers.embeddings": _LAYERS,
    "layers.experimental": _LAYERS,
    "layers.experimental.preprocessing": _LAYERS,
    "layers.local": _LAYERS,
    "layers.merge": _LAYERS,
    "layers.noise": _LAYERS,
    "layers.normalization": _LAYERS,
    "layers.pooling": _LAYERS,
    "layers.preprocessing": _LAYERS,
    "layers.recurrent": _LAYERS,
    "layers.regularization": _LAYERS,
    "layers.reshaping": _LAYERS,
    "layers.rnn": _LAYERS,
    "layers.serialization": _LAYERS,
    "layers.wrappers": _LAYERS,
    "legacy": (),
    "legacy.interfaces": ("utils.interfaces",),
    "legacy.saving": ("utils.legacy",),
    "metrics.metrics": ("metrics",),
    "models.cloning": ("models",),
    "models.functional": ("models",),
    "objectives": ("losses",),
    "ops.core": ("ops",),
    "ops.image": ("ops",),
    "ops.linalg": ("ops",),
    "ops.math": ("ops",),
    "ops.nn": ("ops",),
    "ops.numpy": ("ops",),
    "optimizers.learning_rate_schedule": ("optimizers.schedules",),
    "optimizers.legacy": ("optimizers",),
    "optimizers.optimizer_v1": ("optimizers",),
    "optimizers.optimizer_v2": ("optimizers",),
    "saving.object_registration": ("saving",),
    "saving.pickle_utils": ("saving",),
    "saving.save": ("saving", "models"),
    "saving.serialization_lib": ("saving",),
    "utils.all_utils": ("utils",),
    "utils.data_utils": ("utils",),
    "utils.dataset_utils": ("utils",),
    "utils.generic_utils": ("utils", "utils.generic"),
    "utils.image_utils": ("utils", "utils.image"),
    "utils.io_utils": ("utils",),
    "utils.layer_utils": ("utils", "backend", "utils.generic"),
    "utils.multi_gpu_utils": ("utils",),
    "utils.np_utils": ("utils",),
    "utils.sequence_utils": ("utils",),
    "utils.tf_utils": ("utils",),
    "utils.training_utils": ("utils",),
    "utils.vis_utils": ("utils",),
}

# Names that are called otherwise here: old path -> old name -> (module, name).
_RENAMED: dict[str, dict[str, tuple[str, str]]] = {
    "engine.topology": {"Container": ("models", "Functional"), "Network": ("models", "Functional")},
    "engine": {"Container": ("models", "Functional"), "Network": ("models", "Functional")},
    "engine.network": {"Network": ("models", "Functional")},
}

# Old paths that are also the name of a function in the package: Keras 1 called `keras.layers.merge`, Keras 2 imported
# from it.  Importing a module binds it in its package, over the function: so the module can be called like it.
_CALLED: dict[str, tuple[str, str]] = {"layers.merge": ("layers.keras1", "merge")}

# Whole packages of Keras that are not here, and what to do instead.
REFUSED: dict[str, str] = {
    "distillation": "train the small model on the large one's predictions: student.fit(x, teacher.predict(x))",
    "distribution": "one machine trains a model, with KGRAPH_NUM_THREADS threads",
    "export": "write the model with model.save('model.keras'), which Keras 3 reads",
    "quantizers": "all arithmetic is in floats; leave the quantisation out",
    "visualization": "draw pictures and boxes with matplotlib; models with kgraph.utils.plot_model",
    "legacy.layers": "use the layers of kgraph.layers",
    "utils.test_utils": "compare arrays with numpy.testing",
    "utils.gpu_utils": "kgraph computes on the CPU",
}


class MissingNameError(KGraphError, AttributeError):
    """A module has no such name; the message names what looks most like it."""


class MissingImportError(KGraphError, ImportError):
    """`from module import name`: the module has no such name; the message names what looks most like it."""


class MissingModuleError(KGraphError, ModuleNotFoundError):
    """`import kgraph.some.path`: there is no such module; the message names the path that looks most like it."""


def missing(module: str, name: str, known: Iterable[str], *, depth: int = 2) -> KGraphError:
    """The error for a name that a module does not have.

    Args:
        module: its full name, as the user wrote it.
        name: what was asked for.
        known: the names that it has.
        depth: frames between this call and the one that asked.

    Returns:
        A `MissingImportError` below a `from ... import`, else a `MissingNameError`.  Python drops the text of an
        `AttributeError` in a `from` import, and with it the nearest name; hence the two.
    """
    near = get_close_matches(name, sorted(known), 1, 0.6)
    fix = f"write {near[0]}" if near else f"see dir({module}) for the names that it has"
    if _in_from_import(sys._getframe(depth)):
        return MissingImportError(f"cannot import {name!r} from {module!r}", fix=fix)
    return MissingNameError(f"module {module!r} has no attribute {name!r}", fix=fix)


def _in_from_import(frame: FrameType) -> bool:
    code = frame.f_code.co_code
    return 0 <= frame.f_lasti < len(code) and code[frame.f_lasti] == opmap.get("IMPORT_FROM")


def _load(source: str) -> ModuleType:
    return import_module(f"kgraph.{source}")


def _names(path: str) -> list[str]:
    """Every public name that an old path gives."""
    found = set(_RENAMED.get(path, ()))
    for source in MODULES[path]:
        module = _load(source)
        found.update(getattr(module, "__all__", None) or [name for name in dir(module) if name[:1] != "_"])
    below = path + "."
    return sorted(found | {child[len(below) :] for child in MODULES if child.startswith(below) and _leaf(child, below)})


def _leaf(path: str, below: str) -> bool:
    return "." not in path[len(below) :]


def _getter(path: str) -> Callable[[str], Any]:
    """The `__getattr__` of an old module."""

    def get(name: str) -> Any:
        if name == "__all__":
            return _names(path)
        if name[:2] == "__":  # what Python itself asks for
            raise AttributeError(name)
        if name in _RENAMED.get(path, ()):
            source, other = _RENAMED[path][name]
            return getattr(_load(source), other)
        for source in MODULES[path]:
            try:
                return getattr(_load(source), name)
            except AttributeError:
                continue
        if f"{path}.{name}" in MODULES:
            return _load(f"{path}.{name}")
        raise missing(f"kgraph.{path}", name, _names(path))

    return get


def child(package: str, name: str) -> ModuleType | None:
    """The old module `name` below one of our packages, for the package's own `__getattr__`; None: there is none.

    Raises:
        UnsupportedError: Keras has such a package, and kgraph does not.
    """
    path = f"{package}.{name}".partition(".")[2]
    if path in REFUSED:
        raise refusal(path)
    return _load(path) if path in MODULES else None


def widen(package: str) -> None:
    """Give the modules of a package that share their path with one of Keras the names which that had.

    Args:
        package: `"kgraph.layers"`; its modules must be loaded.  What a module defines itself goes before.
    """
    for path in MODULES:
        module = sys.modules.get(f"kgraph.{path}")
        if module is not None and module.__name__.startswith(package + ".") and not hasattr(module, "__getattr__"):
            vars(module)["__getattr__"] = _getter(path)


class _CalledModule(ModuleType):
    """The module of an old path that is a function's name too."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of that name."""
        source, name = _CALLED[self.__name__.partition(".")[2]]
        return getattr(_load(source), name)(*args, **kwargs)


class _Loader(Loader):
    """Makes and fills the module of an old path."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """A module that can be called where the path is a function's name too; None: a plain one."""
        return _CalledModule(spec.name) if spec.name.partition(".")[2] in _CALLED else None

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its names, none of which is looked up yet."""
        path = module.__name__.partition(".")[2]
        sources = ", ".join(f"kgraph.{source}" for source in MODULES[path])
        module.__doc__ = f"A module path of Keras; its names are those of {sources or 'the modules below'}."
        vars(module)["__getattr__"] = _getter(path)
        vars(module)["__dir__"] = lambda: _names(path)


class PathFinder:
    """The finder for `sys.meta_path`."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """A spec for the paths in the table.

        Raises:
            UnsupportedError: the path is that of a package of Keras which kgraph does not have.
            MissingModuleError: it looks like one of the old paths, and is none.
        """
        package, _, below = fullname.partition(".")
        if package != "kgraph":
            return None
        if below in MODULES:
            return ModuleSpec(fullname, _Loader(), origin="a module path of Keras", is_package=True)
        if below in REFUSED:
            raise refusal(below)
        near = get_close_matches(below, MODULES, 1, 0.85)
        if not near:
            return None
        error = MissingModuleError(f"no module named {fullname!r}", fix=f"write kgraph.{near[0]}")
        error.name = fullname
        raise error


def refusal(path: str) -> UnsupportedError:
    """The error for a package of Keras that is not here."""
    return UnsupportedError(f"kgraph.{path} is not there", fix=REFUSED[path])
