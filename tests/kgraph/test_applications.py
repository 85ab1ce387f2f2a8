"""Applications: layers and weights as in Keras (by a table made from it), arguments, files, names of classes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import applications
from kgraph.applications.imagenet_utils import decode_predictions
from kgraph.errors import FileMissingError, InvalidArgumentError, ShapeError, UnsupportedError
from tests.conftest import GOLDEN

SHAPE = (96, 96, 3)
TABLE = "applications.json"
# The largest are left to the nightly run.
QUICK = ["DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "InceptionV3", "MobileNet", "MobileNetV2"]
QUICK += ["MobileNetV3Large", "MobileNetV3Small", "ResNet50", "ResNet50V2", "VGG16", "Xception"]
ALL = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.nightly) for name in sorted(applications._HOMES)]


def described(model: Any) -> list[Any]:
    """Number of layers, of weights, of their elements, and a digest of the names of layers and shapes of weights."""
    names = [layer.name for layer in model.layers]
    shapes = [tuple(map(int, weight.shape)) for weight in model.weights]
    digest = hashlib.sha256(repr((model.name, names, shapes, tuple(model.output_shape))).encode()).hexdigest()
    return [len(names), len(shapes), sum(int(np.prod(shape)) for shape in shapes), digest[:16]]


@pytest.mark.parametrize("name", ALL)
def test_layers_and_weights(name: str) -> None:
    table = json.loads((GOLDEN / TABLE).read_text(encoding="utf-8"))
    kgraph.backend.clear_session()
    build = getattr(applications, name)
    assert build.__name__ == name
    model = build(weights=None, include_top=False, pooling="max", input_shape=SHAPE)
    assert described(model) == table[name]


def test_arguments() -> None:
    build = applications.MobileNetV2
    model = build(weights=None, alpha=0.35, input_shape=(32, 32, 3), classes=7, name="small")
    assert model.output_shape == (None, 7) and model.name == "small"
    assert build(weights=None, alpha=0.35, include_top=False).output_shape == (None, 7, 7, 1280)
    images = kgraph.Input((40, 40, 3))
    inner = kgraph.layers.Rescaling(1 / 255)(images)
    on_tensor = build(weights=None, alpha=0.35, include_top=False, pooling="avg", input_tensor=inner)
    assert on_tensor.inputs[0] is images and on_tensor.output_shape == (None, 1280)
    for settings, kind in (
        ({"input_shape": (16, 16, 3)}, ShapeError),
        ({"input_shape": (None, None, 3)}, ShapeError),
        ({"input_shape": (32, 32)}, ShapeError),
        ({"weights": "no such file"}, InvalidArgumentError),
        ({"weights": "imagenet", "classes": 7}, InvalidArgumentError),
        ({"weights": "imagenet", "alpha": 0.4}, InvalidArgumentError),
        ({"include_top": False, "pooling": "mean"}, InvalidArgumentError),
    ):
        with pytest.raises(kind):
            build(**{"weights": None, **settings})


def test_weights_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(FileMissingError, match=r"mobilenet_v2_\w+_0\.35_96_no_top\.h5"):
        applications.MobileNetV2(alpha=0.35, include_top=False, input_shape=SHAPE)
    settings: dict[str, Any] = {"alpha": 0.35, "include_top": False, "input_shape": SHAPE}
    model = applications.MobileNetV2(weights=None, **settings)
    (tmp_path / "models").mkdir()
    for path in ("mine.weights.h5", "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5"):
        model.save_weights(tmp_path / path)
        again = applications.MobileNetV2(weights="imagenet" if "/" in path else str(tmp_path / path), **settings)
        for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_decode_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    scores = np.zeros((2, 1000), "float32")
    scores[0, [3, 999]], scores[1, [5, 6]] = (0.75, 0.25), (0.4, 0.6)
    with pytest.raises(FileMissingError, match=r"imagenet_class_index\.json"):
        decode_predictions(scores)
    (tmp_path / "models").mkdir()
    table = {str(i): [f"n{i:08d}", f"kind_{i}"] for i in range(1000)}
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(table), encoding="utf-8")
    assert applications.vgg16.decode_predictions(scores, top=2) == [
        [("n00000003", "kind_3", 0.75), ("n00000999", "kind_999", 0.25)],
        [("n00000006", "kind_6", np.float32(0.6)), ("n00000005", "kind_5", np.float32(0.4))],
    ]
    with pytest.raises(ShapeError):
        decode_predictions(scores[:, :10])


def test_trains_with_frozen_features(rng: np.random.Generator) -> None:
    base = applications.MobileNetV3Small(
        weights=None, alpha=0.35, minimalistic=True, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )
    base.trainable = False
    model = kgraph.Sequential([base, kgraph.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    before = base.get_weights()
    history = model.fit(rng.uniform(0, 255, (12, 32, 32, 3)), np.arange(12) % 3, batch_size=6, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for a, b in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_names() -> None:
    from kgraph.applications.resnet50 import ResNet50, preprocess_input

    assert ResNet50 is applications.ResNet50 and callable(preprocess_input)
    for name in ("NASNetMobile", "ConvNeXtTiny"):
        with pytest.raises(UnsupportedError, match=r"EfficientNet|MobileNet"):
            getattr(applications, name)
    with pytest.raises(AttributeError):
        _ = applications.ResNet51
    assert set(applications.__all__) <= set(dir(applications))


def test_import_is_light() -> None:
    code = "import sys, kgraph.applications; print([m for m in sys.modules if m.startswith('kgraph.applications.')])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
