"""Applications against those of Keras: layers, weights and predictions, and the table that the unit tests compare with.

Keras compiles a program for each shape of a random kernel; here its kernels are drawn by NumPy, which takes a tenth of
the time; half as wide, or untrained networks saturate and rounding decides.  `--update-golden` with `-m nightly` writes
the table of all applications from Keras.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
import kgraph.applications
from tests.kgraph.test_applications import SHAPE, TABLE, described

pytestmark = pytest.mark.parity


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    keras = pytest.importorskip("keras")
    module = importlib.import_module("keras.src.initializers.random_initializers")
    rng = np.random.default_rng(0)

    class Drawn:
        make_default_seed = staticmethod(lambda: 0)

        @staticmethod
        def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
            return keras.ops.convert_to_tensor(rng.uniform(minval, maxval, shape).astype("float32"))

        @staticmethod
        def truncated_normal(
            shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
        ) -> Any:
            return keras.ops.convert_to_tensor(rng.normal(mean, 0.5 * stddev, shape).astype("float32"))

    monkeypatch.setattr(module, "random", Drawn)
    keras.backend.clear_session()
    kgraph.backend.clear_session()
    yield keras
    keras.backend.clear_session()
    kgraph.backend.clear_session()


CASES: list[tuple[str, dict[str, Any]]] = [
    ("MobileNetV2", {"alpha": 0.35}),
    ("MobileNetV3Small", {"minimalistic": True}),
    ("EfficientNetV2B0", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=[name for name, _ in CASES])
def test_predictions(keras: Any, name: str, options: dict[str, Any], rng: np.random.Generator, tmp_path: Path) -> None:
    settings = {"weights": None, "classes": 10, "classifier_activation": None, "input_shape": (64, 64, 3), **options}
    theirs = getattr(keras.applications, name)(**settings)
    ours = getattr(kgraph.applications, name)(**settings)
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    for variable in theirs.weights:  # beyond zeros and ones
        if len(variable.shape) == 1:
            variable.assign(np.asarray(variable) + rng.uniform(0.0, 0.2, variable.shape))
    theirs.save_weights(tmp_path / "w.weights.h5")
    ours.load_weights(tmp_path / "w.weights.h5")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    images = rng.uniform(0, 255, (2, 64, 64, 3)).astype("float32")
    expected = np.asarray(theirs(images, training=False))
    assert expected.std() > 0
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.nightly
def test_table_of_all_applications(keras: Any, golden: Callable[[str, str], None]) -> None:
    table = {}
    for name in sorted(kgraph.applications._HOMES):
        keras.backend.clear_session()
        build = getattr(keras.applications, name)
        table[name] = described(build(weights=None, include_top=False, pooling="max", input_shape=SHAPE))
    golden(TABLE, re.sub(r",\n  +", ", ", json.dumps(table, indent=1)))


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_preprocess_input(keras: Any, mode: str, data_format: str, rng: np.random.Generator) -> None:
    theirs = keras.applications.imagenet_utils.preprocess_input
    ours = kgraph.applications.imagenet_utils.preprocess_input
    shape = (2, 4, 5, 3) if data_format == "channels_last" else (2, 3, 4, 5)
    for kind in ("uint8", "float32"):
        images = rng.integers(0, 256, shape).astype(kind)
        expected = theirs(images.copy(), data_format=data_format, mode=mode)
        np.testing.assert_allclose(
            ours(images.copy(), data_format=data_format, mode=mode), expected, rtol=1e-5, atol=1e-5
        )
    tensor = kgraph.ops.convert_to_tensor(images)
    np.testing.assert_allclose(
        np.asarray(ours(tensor, data_format=data_format, mode=mode)), expected, rtol=1e-5, atol=1e-5
    )
