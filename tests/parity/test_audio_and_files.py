"""Spectra against Keras on JAX, and the order in which the files of a directory are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgraph.errors import InvalidArgumentError, KGraphError, ShapeError, UnsupportedError
from kgraph.windows import window_values
from tests.parity.comparing import assert_close, compare_layers, keras, kgraph

pytestmark = pytest.mark.parity

L = kgraph.layers
Make = Callable[[Any], Any]

STFT: dict[str, dict[str, Any]] = {
    "log": {},
    "magnitude": {"mode": "magnitude", "window": "hamming", "periodic": True},
    "psd": {"mode": "psd", "scaling": "spectrum"},
    "real": {"mode": "real"},
    "imag": {"mode": "imag", "scaling": None},
    "stft_same": {"mode": "stft", "padding": "same", "frame_step": 10},
    "expand": {"expand_dims": True, "mode": "magnitude"},
    "no_window": {"frame_length": 25, "frame_step": 10, "fft_length": 32, "window": None, "mode": "stft"},
    "own_window": {"frame_length": 8, "window": np.linspace(0.1, 1, 8), "mode": "real"},
}


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("case", STFT)
def test_stft(case: str, data_format: str, rng: np.random.Generator) -> None:
    shape = (2, 150, 2) if data_format == "channels_last" else (2, 2, 150)
    kwargs = {"frame_length": 32, **STFT[case], "data_format": data_format}
    x = rng.normal(size=shape).astype("float32")
    compare_layers(lambda L: L.STFTSpectrogram(**kwargs), x, rng)
    ours, theirs = L.STFTSpectrogram(**kwargs), keras.layers.STFTSpectrogram(**kwargs)
    assert_close(ours(x), theirs(x), rtol=1e-3, atol=1e-3)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert ours.compute_output_shape(shape) == tuple(theirs.compute_output_shape(shape))
    again = L.deserialize(L.serialize(ours))
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(ours(x)))


def test_stft_angle(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 150, 1)).astype("float32")
    ours, theirs = (
        np.asarray(module.layers.STFTSpectrogram("angle", frame_length=32, scaling=None)(x))
        for module in (kgraph, keras)
    )
    # The first and the last frequency are real: their angle is 0 or pi with the sign of a rounding error.  Directions
    # are compared, since angles jump at pi, and where the signal is not too small to have one.
    loud = np.asarray(L.STFTSpectrogram("magnitude", frame_length=32, scaling=None)(x))[..., 1:-1] > 0.3
    away = np.abs(np.exp(1j * ours) - np.exp(1j * theirs))[..., 1:-1]
    assert loud.mean() > 0.5
    assert away[loud].max() < 1e-3


def test_stft_trains(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(8, 120, 1)).astype("float32"), rng.normal(size=(8, 1)).astype("float32")
    for trainable in (True, False):
        layer = L.STFTSpectrogram(frame_length=32, trainable=trainable)
        model = kgraph.Sequential([kgraph.Input((120, 1)), layer, L.GlobalAveragePooling1D(), L.Dense(1)])
        assert len(model.trainable_weights) == (4 if trainable else 2)
        model.compile(kgraph.optimizers.SGD(0.01), "mse")
        before = layer.get_weights()[0]
        loss = model.fit(x, y, epochs=4, verbose=0).history["loss"]
        assert loss[-1] < loss[0]
        assert np.array_equal(before, layer.get_weights()[0]) is not trainable


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize(("scaling", "window"), [("density", "hann"), ("spectrum", "hamming"), (None, None)])
def test_stft_initializer(side: str, scaling: Any, window: Any) -> None:
    for name in ("STFT", "STFTInitializer", "stft"):
        ours = getattr(kgraph.initializers, name)(side, window, scaling, True)
        theirs = keras.initializers.STFT(side, window, scaling, True)
        # Keras rounds angles of up to 400 to f32.
        assert_close(ours((64, 1, 33)), theirs((64, 1, 33)), atol=1e-4)
        assert ours.get_config() == theirs.get_config()
    assert isinstance(kgraph.initializers.get("stft"), kgraph.initializers.STFT)
    assert kgraph.initializers.IdentityInitializer is kgraph.initializers.Identity
    assert kgraph.initializers.OrthogonalInitializer is kgraph.initializers.Orthogonal


MEL: dict[str, dict[str, Any]] = {
    "frame": {"sequence_length": 200, "num_mel_bins": 20, "min_freq": 50, "max_freq": 7000},
    "power": {"power_to_db": False, "num_mel_bins": 30},
    "magnitude": {"mag_exp": 1.0, "window": "hamming", "ref_power": 2.0, "top_db": 40.0, "num_mel_bins": 20},
    "no_window": {"window": None, "num_mel_bins": 20, "sampling_rate": 8000},
}


@pytest.mark.parametrize("case", MEL)
def test_mel(case: str, rng: np.random.Generator) -> None:
    kwargs = {"fft_length": 256, "sequence_stride": 100, **MEL[case]}
    x = np.sin(np.arange(1500) * np.array([[0.1], [0.5]])) + rng.normal(size=(2, 1500)) * 0.01
    x = x.astype("float32")
    ours, theirs = L.MelSpectrogram(**kwargs), keras.layers.MelSpectrogram(**kwargs)
    expected = np.asarray(theirs(x))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(ours(x)), expected, atol=1e-4 * scale)
    np.testing.assert_allclose(np.asarray(ours(x[0])), np.asarray(theirs(x[0])), atol=1e-4 * scale)
    inputs = kgraph.Input((1500,))
    model = kgraph.Model(inputs, L.deserialize(L.serialize(ours))(inputs))
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-4 * scale)


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "nuttall", "blackmanharris", "flattop", "boxcar"])
def test_windows(name: str) -> None:
    signal = pytest.importorskip("scipy.signal")
    for size in (1, 2, 7, 8):
        for periodic in (True, False):
            np.testing.assert_allclose(
                window_values(name, size, periodic), signal.get_window(name, size, periodic), atol=1e-12
            )
    np.testing.assert_allclose(window_values("bartlett", 9), signal.get_window("bartlett", 9, False))


def test_pipeline(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 6)).astype("float32")
    ours, theirs = (
        module.layers.Pipeline([module.layers.Rescaling(2.0, 1.0), module.layers.LeakyReLU(0.1)])
        for module in (kgraph, keras)
    )
    assert_close(ours(x), theirs(x))
    assert_close(L.deserialize(L.serialize(ours))(x), theirs(x))
    inputs = kgraph.Input((6,))
    assert_close(kgraph.Model(inputs, ours(inputs)).predict(x, verbose=0), theirs(x))
    # On arrays it is in training mode.
    noisy = L.Pipeline([L.Dropout(0.5, seed=1)])
    assert (np.asarray(noisy(x)) == 0).any()
    assert_close(noisy(x, training=False), x)
    masked = kgraph.Sequential([kgraph.Input((3, 2)), L.Masking(), L.Pipeline([L.Dropout(0.1), L.LSTM(2)])])
    plain = kgraph.Sequential([kgraph.Input((3, 2)), L.Masking(), L.LSTM(2)])
    plain.set_weights(masked.get_weights())
    data = np.array([[[1.0, 2], [0, 0], [3, 1]]], "float32")
    assert_close(masked.predict(data, verbose=0), plain.predict(data, verbose=0))


def test_shuffled_files_are_those_of_keras(tmp_path: Path) -> None:
    from keras.src.utils.dataset_utils import get_training_or_validation_split, index_directory

    for place in ("cat/b", "cat/a", "cat/deep/c", "dog/a", "dog/b"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{place}.txt").write_text(place)
    paths, labels, names = index_directory(str(tmp_path), "inferred", (".txt",), shuffle=True, seed=9, verbose=False)
    for subset in ("training", "validation"):
        data = kgraph.utils.text_dataset_from_directory(
            tmp_path, seed=9, validation_split=0.4, subset=subset, verbose=False
        )
        some, numbers = get_training_or_validation_split(paths, labels, 0.4, subset)
        assert data.file_paths == some
        assert data[0][1].tolist() == numbers.tolist()
        assert data.class_names == names


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: L.STFTSpectrogram(mode="power"), InvalidArgumentError),
        (lambda: L.STFTSpectrogram(frame_length=8, frame_step=9), InvalidArgumentError),
        (lambda: L.STFTSpectrogram(frame_length=8, fft_length=4), InvalidArgumentError),
        (lambda: L.STFTSpectrogram(scaling="l2"), InvalidArgumentError),
        (lambda: L.STFTSpectrogram(padding="causal"), InvalidArgumentError),
        (lambda: L.STFTSpectrogram(window="round"), KGraphError),
        (lambda: L.STFTSpectrogram(window=[1.0, 2.0])(np.ones((1, 300, 1), "float32")), ShapeError),
        (lambda: L.STFTSpectrogram()(np.ones((1, 300), "float32")), ShapeError),
        (lambda: L.MelSpectrogram(fft_length=128, sequence_length=256), InvalidArgumentError),
        (lambda: L.MelSpectrogram()(np.ones((1, 3000, 1), "float32")), ShapeError),
        (lambda: kgraph.initializers.STFT("both"), InvalidArgumentError),
        (lambda: kgraph.initializers.STFT()((3, 3)), ShapeError),
        (lambda: L.Pipeline(L.Dense(1)), InvalidArgumentError),
    ],
)
def test_refused(make: Callable[[], Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_rare_windows_need_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(UnsupportedError, match="without SciPy"):
        L.STFTSpectrogram(window="parzen")
