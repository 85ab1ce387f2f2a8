"""Helpers around models: labels and sequences, seeds, progress, drawing.  Each is loaded when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kgraph.keras_paths import child, missing

if TYPE_CHECKING:
    from kgraph.core.dtypes import standardize_dtype
    from kgraph.core.session import clear_session
    from kgraph.keras_config import (
        disable_interactive_logging,
        enable_interactive_logging,
        is_interactive_logging_enabled,
    )
    from kgraph.random import set_random_seed
    from kgraph.saving.objects import (
        CustomObjectScope,
        custom_object_scope,
        deserialize_keras_object,
        get_custom_objects,
        get_registered_name,
        get_registered_object,
        register_keras_serializable,
        serialize_keras_object,
    )
    from kgraph.utils.dataset import PyDataset
    from kgraph.utils.directories import (
        audio_dataset_from_directory,
        image_dataset_from_directory,
        text_dataset_from_directory,
    )
    from kgraph.utils.files import get_file
    from kgraph.utils.generic import get_source_inputs
    from kgraph.utils.hdf5 import HDF5Matrix
    from kgraph.utils.history import plot_history
    from kgraph.utils.image import array_to_img, img_to_array, load_img, save_img
    from kgraph.utils.numeric import normalize, to_categorical
    from kgraph.utils.packing import pack_x_y_sample_weight, unpack_x_y_sample_weight
    from kgraph.utils.progbar import Progbar
    from kgraph.utils.sequence import pad_sequences
    from kgraph.utils.settings_object import Config
    from kgraph.utils.splitting import split_dataset
    from kgraph.utils.vis import model_to_dot, plot_model
    from kgraph.utils.windows import timeseries_dataset_from_array

__all__ = [
    "Config",
    "CustomObjectScope",
    "HDF5Matrix",
    "Progbar",
    "PyDataset",
    "Sequence",
    "array_to_img",
    "audio_dataset_from_directory",
    "clear_session",
    "custom_object_scope",
    "deserialize_keras_object",
    "disable_interactive_logging",
    "enable_interactive_logging",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "get_source_inputs",
    "image_dataset_from_directory",
    "img_to_array",
    "is_interactive_logging_enabled",
    "is_keras_tensor",
    "load_img",
    "model_to_dot",
    "normalize",
    "pack_x_y_sample_weight",
    "pad_sequences",
    "plot_history",
    "plot_model",
    "register_keras_serializable",
    "save_img",
    "serialize_keras_object",
    "set_random_seed",
    "split_dataset",
    "standardize_dtype",
    "text_dataset_from_directory",
    "timeseries_dataset_from_array",
    "to_categorical",
    "unpack_x_y_sample_weight",
]

# name -> (module, name there)
_NAMES = {
    "clear_session": ("kgraph.core.session", "clear_session"),
    "set_random_seed": ("kgraph.random", "set_random_seed"),
    "to_categorical": ("kgraph.utils.numeric", "to_categorical"),
    "pack_x_y_sample_weight": ("kgraph.utils.packing", "pack_x_y_sample_weight"),
    "unpack_x_y_sample_weight": ("kgraph.utils.packing", "unpack_x_y_sample_weight"),
    "PyDataset": ("kgraph.utils.dataset", "PyDataset"),
    "audio_dataset_from_directory": ("kgraph.utils.directories", "audio_dataset_from_directory"),
    "image_dataset_from_directory": ("kgraph.utils.directories", "image_dataset_from_directory"),
    "split_dataset": ("kgraph.utils.splitting", "split_dataset"),
    "text_dataset_from_directory": ("kgraph.utils.directories", "text_dataset_from_directory"),
    "timeseries_dataset_from_array": ("kgraph.utils.windows", "timeseries_dataset_from_array"),
    "Sequence": ("kgraph.utils.dataset", "PyDataset"),
    "normalize": ("kgraph.utils.numeric", "normalize"),
    "pad_sequences": ("kgraph.utils.sequence", "pad_sequences"),
    "plot_history": ("kgraph.utils.history", "plot_history"),
    "plot_model": ("kgraph.utils.vis", "plot_model"),
    "model_to_dot": ("kgraph.utils.vis", "model_to_dot"),
    "CustomObjectScope": ("kgraph.saving.objects", "CustomObjectScope"),
    "custom_object_scope": ("kgraph.saving.objects", "custom_object_scope"),
    "deserialize_keras_object": ("kgraph.saving.objects", "deserialize_keras_object"),
    "get_custom_objects": ("kgraph.saving.objects", "get_custom_objects"),
    "get_registered_name": ("kgraph.saving.objects", "get_registered_name"),
    "get_registered_object": ("kgraph.saving.objects", "get_registered_object"),
    "register_keras_serializable": ("kgraph.saving.objects", "register_keras_serializable"),
    "serialize_keras_object": ("kgraph.saving.objects", "serialize_keras_object"),
    "Config": ("kgraph.utils.settings_object", "Config"),
    "HDF5Matrix": ("kgraph.utils.hdf5", "HDF5Matrix"),
    "Progbar": ("kgraph.utils.progbar", "Progbar"),
    "array_to_img": ("kgraph.utils.image", "array_to_img"),
    "ask_to_proceed_with_overwrite": ("kgraph.utils.generic", "ask_to_proceed_with_overwrite"),
    "disable_interactive_logging": ("kgraph.keras_config", "disable_interactive_logging"),
    "enable_interactive_logging": ("kgraph.keras_config", "enable_interactive_logging"),
    "get_file": ("kgraph.utils.files", "get_file"),
    "get_source_inputs": ("kgraph.utils.generic", "get_source_inputs"),
    "img_to_array": ("kgraph.utils.image", "img_to_array"),
    "is_interactive_logging_enabled": ("kgraph.keras_config", "is_interactive_logging_enabled"),
    "load_img": ("kgraph.utils.image", "load_img"),
    "print_summary": ("kgraph.utils.generic", "print_summary"),
    "save_img": ("kgraph.utils.image", "save_img"),
    "standardize_dtype": ("kgraph.core.dtypes", "standardize_dtype"),
}


# Modules of the same name as in Keras.
_MODULES = ("bounding_boxes", "conv_utils", "legacy")

# Names of Keras that are not here, and what to do instead.
_LEFT_OUT = {
    "FeatureSpace": "give each feature an Input and a layer (StringLookup, Normalization, ...), then Concatenate them",
    "GeneratorEnqueuer": "pass the generator to model.fit, which reads it batch by batch",
    "H5Dict": "use h5py, or model.save('model.h5')",
    "OrderedEnqueuer": "pass the PyDataset to model.fit, which reads it batch by batch",
    "convert_all_kernels_in_model": "load the file with kgraph.models.load_model, which turns kernels where it must",
    "func_dump": "register the function with kgraph.utils.register_keras_serializable",
    "func_load": "register the function with kgraph.utils.register_keras_serializable",
    "multi_gpu_model": "train the model itself; it uses all CPU threads",
}


def is_keras_tensor(x: Any) -> bool:
    """Whether this is a tensor of a functional model."""
    from kgraph.core.tensors import is_symbolic

    return is_symbolic(x)


def __getattr__(name: str) -> Any:
    if name[:2] == "__":
        raise AttributeError(name)
    if name in _LEFT_OUT:
        from kgraph.errors import UnsupportedError

        raise UnsupportedError(f"kgraph.utils.{name} is not there", fix=_LEFT_OUT[name])
    value: Any
    if name in _MODULES:
        value = import_module(f"kgraph.utils.{name}")
    elif name in _NAMES:
        module, attribute = _NAMES[name]
        value = getattr(import_module(module), attribute)
    else:
        value = child(__name__, name)
    if value is None:
        raise missing(__name__, name, [*__all__, *_MODULES])
    globals()[name] = value
    return value
