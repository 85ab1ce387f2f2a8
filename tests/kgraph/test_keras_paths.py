"""The module paths of Keras 2 and 3, in every form of import; names at the top; arguments of `fit_generator`."""

import importlib
import json
import subprocess
import sys

import numpy as np
import pytest

import kgraph
from kgraph import keras_paths
from kgraph.errors import CallError, DataError, InvalidArgumentError, UnsupportedError

# What scripts of the time import, one line each.
IMPORTS = """
from kgraph.layers.core import Dense, Dropout, Activation, Flatten, Reshape, Permute, RepeatVector, Lambda, Masking
from kgraph.layers.core import ActivityRegularization, SpatialDropout1D, SpatialDropout2D
from kgraph.layers.convolutional import Conv1D, Conv2D, Conv3D, Conv2DTranspose, SeparableConv2D, UpSampling2D
from kgraph.layers.convolutional import ZeroPadding2D, Cropping2D, MaxPooling2D, AveragePooling2D
from kgraph.layers.pooling import MaxPooling1D, MaxPooling2D, AveragePooling2D, GlobalAveragePooling2D
from kgraph.layers.recurrent import LSTM, GRU, SimpleRNN, LSTMCell, GRUCell, StackedRNNCells, RNN
from kgraph.layers.embeddings import Embedding
from kgraph.layers.normalization import BatchNormalization, LayerNormalization
from kgraph.layers.merge import add, concatenate, Concatenate, Add, dot, multiply, average, maximum, subtract
from kgraph.layers.noise import GaussianNoise, GaussianDropout, AlphaDropout
from kgraph.layers.advanced_activations import LeakyReLU, PReLU, ELU, ThresholdedReLU, Softmax, ReLU
from kgraph.layers.wrappers import TimeDistributed, Bidirectional, Wrapper
from kgraph.layers.convolutional_recurrent import ConvLSTM2D
from kgraph.layers.experimental.preprocessing import Rescaling, RandomFlip
from kgraph.layers.experimental import preprocessing
from kgraph.layers.preprocessing import Normalization
from kgraph.engine import Layer, InputSpec, Input, Model
from kgraph.engine.topology import Layer, InputSpec, Input, Container, Network, Node, get_source_inputs
from kgraph.engine.training import Model
from kgraph.engine.sequential import Sequential
from kgraph.engine.network import Network
from kgraph.engine.input_layer import Input, InputLayer
from kgraph.engine.base_layer import Layer, InputSpec
from kgraph.legacy import interfaces
from kgraph.legacy.interfaces import legacy_dense_support
from kgraph.legacy.saving import serialize_keras_object
from kgraph.models import Sequential, Model, load_model, model_from_json
from kgraph.objectives import mean_squared_error, categorical_crossentropy, mse
from kgraph.losses import binary_crossentropy
from kgraph.optimizers import SGD, RMSprop, Adam
from kgraph.optimizers.legacy import Adam, SGD
from kgraph.optimizers.schedules import ExponentialDecay
from kgraph.utils import np_utils, generic_utils, data_utils, vis_utils, io_utils, layer_utils, conv_utils
from kgraph.utils.np_utils import to_categorical, normalize
from kgraph.utils.generic_utils import Progbar, get_custom_objects, CustomObjectScope, to_list, has_arg
from kgraph.utils.data_utils import get_file, Sequence
from kgraph.utils.vis_utils import plot_model, model_to_dot
from kgraph.utils.io_utils import HDF5Matrix, ask_to_proceed_with_overwrite
from kgraph.utils.layer_utils import count_params, print_summary, get_source_inputs
from kgraph.utils.conv_utils import conv_output_length, normalize_tuple
from kgraph.utils.bounding_boxes import compute_iou
from kgraph.utils.legacy import deserialize_keras_object
from kgraph.preprocessing import sequence, text, image
from kgraph.preprocessing.sequence import pad_sequences, skipgrams, TimeseriesGenerator
from kgraph.preprocessing.text import Tokenizer, one_hot, text_to_word_sequence, hashing_trick, tokenizer_from_json
from kgraph.preprocessing.image import ImageDataGenerator, load_img, img_to_array, array_to_img, save_img
from kgraph.datasets import mnist, cifar10, cifar100, imdb, reuters, boston_housing, fashion_mnist, california_housing
from kgraph.datasets.mnist import load_data
from kgraph.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from kgraph.wrappers.scikit_learn import KerasClassifier, KerasRegressor
from kgraph.backend import int_shape
from kgraph.backend.tensorflow_backend import set_floatx
from kgraph.callbacks.callbacks import EarlyStopping, ModelCheckpoint
from kgraph.metrics import categorical_accuracy
from kgraph.config import floatx, set_floatx, epsilon, image_data_format, enable_interactive_logging
from kgraph.mixed_precision import set_global_policy, Policy, global_policy, LossScaleOptimizer
from kgraph.dtype_policies import DTypePolicy, FloatDTypePolicy
from kgraph.tree import map_structure, flatten, pack_sequence_as
from kgraph import Initializer, Loss, Metric, Optimizer, Regularizer, KerasTensor, InputSpec, name_scope, version
from kgraph.regularizers import l2
from kgraph.constraints import maxnorm
""".strip().splitlines()


@pytest.mark.parametrize("line", IMPORTS)
def test_import_lines(line):
    exec(line, {})


def _fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_each_path_can_be_the_first_import():
    paths = [*keras_paths.MODULES, "layers.core", "layers.recurrent", "wrappers.scikit_learn"]
    code = (
        "import importlib, json, subprocess, sys\n"
        f"paths = {sorted(set(paths))!r}\n"
        "for path in paths:\n"
        "    for name in [n for n in sys.modules if n.split('.')[0] == 'kgraph']: del sys.modules[name]\n"
        "    sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, '__name__', '') != 'PathFinder' "
        "or f.__module__ != 'kgraph.keras_paths']\n"
        "    importlib.import_module('kgraph.' + path)\n"
        "print(len(paths))\n"
    )
    done = _fresh(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(len(set(paths)))


def test_the_import_stays_light():
    code = "import sys, json, kgraph\nprint(json.dumps(sorted(n for n in sys.modules if n.startswith('kgraph'))))\n"
    assert json.loads(_fresh(code).stdout) == ["kgraph", "kgraph.errors", "kgraph.keras_paths"]


def test_attributes_need_no_import():
    code = (
        "import kgraph as keras\n"
        "assert keras.utils.np_utils.to_categorical([1]).shape == (1, 2)\n"
        "assert keras.layers.core.Dropout is keras.layers.Dropout\n"
        "assert keras.layers.embeddings.Embedding is keras.layers.Embedding\n"
        "assert keras.optimizers.legacy.Adam is keras.optimizers.Adam\n"
        "assert keras.preprocessing.text.Tokenizer and keras.datasets.mnist.load_data\n"
        "assert keras.objectives.mse is keras.losses.mean_squared_error\n"
        "assert keras.wrappers.scikit_learn.KerasClassifier and keras.engine.topology.Layer is keras.layers.Layer\n"
        "print('good')\n"
    )
    done = _fresh(code)
    assert done.stdout == "good\n", done.stderr


@pytest.mark.parametrize(
    "path", ["core", "convolutional", "pooling", "recurrent", "normalization", "wrappers", "merge"]
)
def test_every_layer_is_in_every_old_module_of_layers(path):
    module = importlib.import_module(f"kgraph.layers.{path}")
    for name in kgraph.layers.__all__:
        if isinstance(getattr(kgraph.layers, name), type):
            assert getattr(module, name) is getattr(kgraph.layers, name), name


def test_star_import():
    space = {}
    exec("from kgraph.layers.merge import *\nfrom kgraph.objectives import *", space)
    assert space["concatenate"] is kgraph.layers.concatenate and space["hinge"] is kgraph.losses.hinge


def test_modules_describe_themselves():
    module = importlib.import_module("kgraph.utils.np_utils")
    assert "kgraph.utils" in module.__doc__ and "to_categorical" in dir(module)
    assert importlib.util.find_spec("kgraph.engine.topology").origin == "a module path of Keras"
    assert importlib.util.find_spec("kgraph.no_such_module") is None


WRONG = [
    (
        "from kgraph.layers.embeddings import Embeding",
        ImportError,
        "'Embeding' from 'kgraph.layers.embeddings'",
        "Embedding",
    ),
    ("from kgraph.layers.core import Dens", ImportError, "'Dens' from 'kgraph.layers.core'", "Dense"),
    ("from kgraph.layers import Dens", ImportError, "'Dens' from 'kgraph.layers'", "Dense"),
    ("from kgraph.utils import to_categorial", ImportError, "'to_categorial'", "to_categorical"),
    ("from kgraph.utils.np_utils import to_categorial", ImportError, "'kgraph.utils.np_utils'", "to_categorical"),
    ("from kgraph import objectivs", ImportError, "'objectivs' from 'kgraph'", "objectives"),
    ("import kgraph.layers.convolutionl", ModuleNotFoundError, "'kgraph.layers.convolutionl'", "convolutional"),
    ("import kgraph.utils.np_util", ModuleNotFoundError, "'kgraph.utils.np_util'", "np_utils"),
    ("kgraph.layrs", AttributeError, "'layrs'", "layers"),
    ("kgraph.utils.np_utils.to_categorial", AttributeError, "'kgraph.utils.np_utils'", "to_categorical"),
    ("kgraph.preprocessing.txt", AttributeError, "'kgraph.preprocessing'", "text"),
    ("kgraph.datasets.mnst", AttributeError, "'kgraph.datasets'", "mnist"),
]


@pytest.mark.parametrize(("line", "error", "text", "near"), WRONG, ids=[row[0] for row in WRONG])
def test_wrong_names_are_said_with_the_nearest(line, error, text, near):
    with pytest.raises(error, match=near) as caught:
        exec(line, {"kgraph": kgraph})
    assert text in str(caught.value)


def test_hasattr_works():
    assert not hasattr(kgraph, "no_such_name") and not hasattr(kgraph.utils, "no_such_name")
    assert not hasattr(kgraph.layers.core, "no_such_name") and hasattr(kgraph.layers.core, "Dropout")


@pytest.mark.parametrize("name", [*keras_paths.REFUSED, "device", "Function", "remat", "RematScope", "StatelessScope"])
def test_what_is_not_there_says_what_to_use(name):
    package, _, last = f"kgraph.{name}".rpartition(".")
    with pytest.raises(UnsupportedError, match="is not there") as caught:
        exec(f"from {package} import {last}", {})
    assert caught.value.fix
    if name in keras_paths.REFUSED:
        with pytest.raises(UnsupportedError, match="is not there"):
            importlib.import_module(f"kgraph.{name}")


def test_utils_that_are_not_there():
    for name in ("multi_gpu_model", "OrderedEnqueuer", "H5Dict", "func_dump"):
        with pytest.raises(UnsupportedError, match=name):
            getattr(kgraph.utils, name)


def test_top_level_names():
    assert kgraph.version() == kgraph.__version__
    assert isinstance(kgraph.Input((2,)), kgraph.KerasTensor)
    assert issubclass(kgraph.optimizers.Adam, kgraph.Optimizer) and issubclass(kgraph.losses.Huber, kgraph.Loss)
    assert issubclass(kgraph.metrics.Mean, kgraph.Metric) and issubclass(kgraph.regularizers.L2, kgraph.Regularizer)
    assert issubclass(kgraph.initializers.Zeros, kgraph.Initializer)
    for name in kgraph.__all__:
        assert getattr(kgraph, name) is not None


def test_decorators_of_keras_1_change_nothing():
    from kgraph.legacy import interfaces

    @interfaces.legacy_dense_support
    def f(x):
        return x + 1

    @interfaces.generate_legacy_interface(allowed_positional_args=["x"])
    def g(x):
        return x + 2

    assert (f(1), g(1)) == (2, 3)
    with pytest.raises(AttributeError):
        _ = interfaces.something_else


# -- fit_generator and its kin ----------------------------------------------------------------------------------------
def _model():
    model = kgraph.Sequential([kgraph.Input((3,)), kgraph.layers.Dense(2, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"])
    model.set_weights([np.eye(3, 2, dtype="float32"), np.zeros(2, "float32")])
    return model


def _rows(count=24):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)).astype("float32"), np.arange(count) % 2


class Counted(kgraph.utils.Sequence):
    batch_size = 4

    def __init__(self):
        super().__init__()
        self.x, self.y = _rows()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = slice(index * 4, index * 4 + 4)
        return self.x[rows], self.y[rows]


def endless():
    x, y = _rows()
    while True:
        for begin in range(0, len(x), 4):
            yield x[begin : begin + 4], y[begin : begin + 4]


SCRIPTS = [
    lambda m: m.fit_generator(endless(), steps_per_epoch=6, epochs=2, verbose=0),
    lambda m: m.fit_generator(endless(), 6, 2, 0),
    lambda m: m.fit_generator(endless(), steps_per_epoch=6, nb_epoch=2, verbose=0, max_q_size=5, nb_worker=2),
    lambda m: m.fit_generator(generator=endless(), steps_per_epoch=6, epochs=2, verbose=0, pickle_safe=False),
    lambda m: m.fit_generator(Counted(), samples_per_epoch=24, nb_epoch=2, verbose=0, shuffle=False),
    lambda m: m.fit_generator(Counted(), epochs=2, verbose=0, shuffle=False, workers=4, use_multiprocessing=True),
    lambda m: m.fit_generator(endless(), 6, 2, 0, None, None, None, 1, None, 10, 2, False, False, 0),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=range(len(SCRIPTS)))
def test_fit_generator_in_the_forms_of_the_time(script):
    x, y = _rows()
    expected = _model().fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(script(_model()).history["loss"], expected, rtol=1e-5)


def test_fit_generator_with_validation_and_class_weights():
    x, y = _rows()
    weights = {0: 1.0, 1: 3.0}
    plain = _model().fit(x, y, batch_size=4, validation_data=(x, y), class_weight=weights, shuffle=False, verbose=0)
    for options in (
        {"validation_data": endless(), "validation_steps": 6},
        {"validation_data": endless(), "validation_steps": 6, "max_queue_size": 1, "workers": 0},
        {"validation_data": Counted(), "nb_val_samples": 24},
        {"validation_data": (x, y)},
    ):
        found = _model().fit_generator(endless(), 6, class_weight=weights, verbose=0, **options)
        for name, values in plain.history.items():
            np.testing.assert_allclose(found.history[name], values, rtol=1e-4, err_msg=name)


def test_callbacks_of_fit_generator():
    seen = []
    call = kgraph.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    _model().fit_generator(endless(), 6, 4, 0, [call], initial_epoch=2)
    assert seen == [2, 3]


def test_evaluate_and_predict_generator(capsys):
    x, y = _rows()
    model = _model()
    expected, outputs = model.evaluate(x, y, verbose=0), model.predict(x, verbose=0)
    for found in (
        model.evaluate_generator(endless(), 6),
        model.evaluate_generator(endless(), steps=6, max_queue_size=3, workers=2, use_multiprocessing=False),
        model.evaluate_generator(Counted(), val_samples=24, nb_worker=1),
        model.evaluate_generator(Counted()),
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    for found in (
        model.predict_generator(endless(), 6),
        model.predict_generator(endless(), steps=6, max_q_size=1, pickle_safe=True),
        model.predict_generator(Counted(), val_samples=24),
        model.predict_generator(endless(), 6, None, 10, 1, False, 0),
    ):
        np.testing.assert_allclose(found, outputs, rtol=1e-5)
    assert capsys.readouterr().out == ""  # silent unless asked, as then


def test_fit_generator_mistakes():
    with pytest.raises(InvalidArgumentError, match="samples_per_epoch counts samples"):
        _model().fit_generator(endless(), samples_per_epoch=24, nb_epoch=1)
    with pytest.raises(CallError, match="got epochs twice"):
        _model().fit_generator(endless(), 6, 2, nb_epoch=2)
    with pytest.raises(InvalidArgumentError, match="step_per_epoch"):
        _model().fit_generator(endless(), step_per_epoch=3)
    with pytest.raises(CallError, match="6 arguments"):
        _model().predict_generator(endless(), 1, 2, 3, 4, 5, 6, 7)
    with pytest.raises(DataError):
        _model().evaluate_generator(iter([]), 3)
