"""Datasets from arrays and directories: what the batches hold, and that `fit` takes them."""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.errors import DataError, FileError, FileMissingError, KGraphError, UnsupportedError

U = kgraph.utils
L = kgraph.layers


def test_windows() -> None:
    data = U.timeseries_dataset_from_array(np.arange(99), None, 10, sequence_stride=3, sampling_rate=2, batch_size=7)
    rows = np.concatenate(list(data))
    assert rows[0].tolist() == list(range(0, 20, 2))
    assert rows[2].tolist() == list(range(6, 26, 2))
    assert rows[-1].tolist() == list(range(78, 98, 2))
    assert [len(batch) for batch in data] == [7, 7, 7, 6]
    series = np.arange(20.0)
    pairs = U.timeseries_dataset_from_array(series[:-3], series[3:], 3, batch_size=None, start_index=2, end_index=12)
    assert [(x.tolist(), float(y)) for x, y in pairs][:2] == [([2, 3, 4], 5), ([3, 4, 5], 6)]
    assert len(pairs) == 8


def test_windows_are_mixed_and_trained_on() -> None:
    series = np.sin(np.arange(60.0) / 3)[:, None]
    data = U.timeseries_dataset_from_array(series[:-4], series[4:], 4, batch_size=8, shuffle=True, seed=5)
    first = np.concatenate([y for _, y in data])
    ordered = U.timeseries_dataset_from_array(series[:-4], series[4:], 4, batch_size=8)
    assert not np.array_equal(first, np.concatenate([y for _, y in ordered]))
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(series[4:57], axis=0))
    data.on_epoch_end()
    assert not np.array_equal(first, np.concatenate([y for _, y in data]))
    model = kgraph.Sequential([kgraph.Input((4, 1)), L.Flatten(), L.Dense(1)])
    model.compile(kgraph.optimizers.Adam(0.05), "mse")
    loss = model.fit(data, epochs=15, verbose=0).history["loss"]
    assert loss[-1] < loss[0]
    assert model.predict(ordered.map(lambda x, y: x), verbose=0).shape == (53, 1)
    assert model.evaluate(ordered.take(2), verbose=0) == pytest.approx(
        model.evaluate(*map(np.concatenate, zip(*list(ordered)[:2])), verbose=0)
    )


def test_order_is_left_alone_by_fit() -> None:
    seen: list[float] = []

    def note(x: Any, y: Any) -> Any:
        seen.append(float(y[0, 0]))
        return x, y

    data = U.timeseries_dataset_from_array(np.arange(40.0)[:, None], np.arange(40.0)[:, None], 1, batch_size=4).map(
        note
    )
    model = kgraph.Sequential([kgraph.Input((1, 1)), L.Flatten(), L.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(data, epochs=1, verbose=0)
    assert seen == [float(start) for start in range(0, 40, 4)]


def test_split() -> None:
    x, y = np.arange(40).reshape(20, 2), np.arange(20)
    left, right = U.split_dataset((x, y), left_size=0.7)
    np.testing.assert_array_equal(np.concatenate([b for _, b in left]), y[:14])
    np.testing.assert_array_equal(np.concatenate([a for a, _ in right]), x[14:])
    left, right = U.split_dataset({"x": x, "y": y}, right_size=5, shuffle=True, seed=1)
    both = np.concatenate([batch["y"] for part in (left, right) for batch in part])
    assert sorted(both) == list(range(20))
    assert both.tolist() != list(range(20))
    again, _ = U.split_dataset(U.split_dataset(x, 12)[0].batch(5), left_size=6)
    assert [len(batch) for batch in again] == [5, 1]
    np.testing.assert_array_equal(np.concatenate(list(again)), x[:6])


def write_wav(path: Path, samples: Any, width: int = 2, rate: int = 8000) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(samples) if isinstance(samples, (bytes, bytearray)) else np.asarray(samples).tobytes())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("cat", "dog", ".hidden"):
        (tmp_path / name / "deep").mkdir(parents=True)
    for number, place in enumerate(("cat/b", "cat/a", "cat/deep/c", "dog/a", "dog/b")):
        (tmp_path / f"{place}.txt").write_text(f"text é {place}", encoding="utf-8")
        pixels = np.full((4, 6, 3), 10 * number, np.uint8)
        (tmp_path / f"{place}.ppm").write_bytes(b"P6\n# made here\n6 4 255\n" + pixels.tobytes())
        write_wav(tmp_path / f"{place}.wav", np.full(number + 1, 16384, "<i2"))
    return tmp_path


def test_texts(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = U.text_dataset_from_directory(files, shuffle=False, batch_size=4)
    assert capsys.readouterr().out == "Found 5 files belonging to 2 classes.\n"
    assert data.class_names == ["cat", "dog"]
    (x, y), (last, _) = data
    assert x.tolist() == ["text é cat/a", "text é cat/b", "text é cat/deep/c", "text é dog/a"]
    assert y.dtype == np.int32
    assert y.tolist() == [0, 0, 0, 1]
    assert last.tolist() == ["text é dog/b"]
    cut = U.text_dataset_from_directory(files, shuffle=False, label_mode=None, max_length=6, verbose=False)
    assert cut[0].tolist() == ["text é"] * 5
    turned = U.text_dataset_from_directory(files, class_names=["dog", "cat"], shuffle=False, verbose=False)
    assert turned[0][1].tolist() == [0, 0, 1, 1, 1]
    binary = U.text_dataset_from_directory(files, label_mode="binary", shuffle=False, verbose=False)
    assert binary[0][1].tolist() == [[0], [0], [0], [1], [1]]
    one_hot = U.text_dataset_from_directory(files, label_mode="categorical", shuffle=False, verbose=False)
    assert one_hot[0][1].tolist() == [[1, 0]] * 3 + [[0, 1]] * 2
    own = U.text_dataset_from_directory(files, labels=[5, 6, 7, 5, 6], shuffle=False, verbose=False)
    assert own.class_names == ["5", "6", "7"]
    assert own[0][1].tolist() == [5, 6, 7, 5, 6]
    vectorise = L.TextVectorization(output_sequence_length=3)
    vectorise.adapt(data.map(lambda x, y: x))
    model = kgraph.Sequential(
        [kgraph.Input((), dtype="string"), vectorise, L.Embedding(12, 2), L.Flatten(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(data, epochs=2, verbose=0).history["loss"]).all()
    assert model.predict(data.map(lambda x, y: x), verbose=0).shape == (5, 1)


def test_subsets(files: Path) -> None:
    kwargs: dict[str, Any] = {"seed": 9, "validation_split": 0.4, "verbose": False}
    train, held = U.text_dataset_from_directory(files, subset="both", **kwargs)
    assert (len(train.file_paths), len(held.file_paths)) == (3, 2)
    assert not set(train.file_paths) & set(held.file_paths)
    assert U.text_dataset_from_directory(files, subset="validation", **kwargs).file_paths == held.file_paths


def test_images(files: Path) -> None:
    kwargs: dict[str, Any] = {"shuffle": False, "verbose": False, "image_size": (4, 6)}
    x, y = U.image_dataset_from_directory(files, **kwargs)[0]
    assert x.dtype == np.float32
    assert x.shape == (5, 4, 6, 3)
    assert x[:, 0, 0, 0].tolist() == [10, 0, 20, 30, 40]
    assert y.tolist() == [0, 0, 0, 1, 1]
    small = U.image_dataset_from_directory(files, **{**kwargs, "image_size": 3}, color_mode="grayscale")[0][0]
    assert small.shape == (5, 3, 3, 1)
    np.testing.assert_allclose(small[:, 1, 1, 0], [10, 0, 20, 30, 40], atol=1e-4)
    first = U.image_dataset_from_directory(files, **kwargs, color_mode="rgba", data_format="channels_first")[0][0]
    assert first.shape == (5, 4, 4, 6)
    assert (first[:, 3] == 255).all()
    padded = U.image_dataset_from_directory(files, **{**kwargs, "image_size": 6}, pad_to_aspect_ratio=True)[0][0]
    assert (padded[:, 0] == 0).all()
    assert padded[0, 2, 0, 0] == 10
    cut = U.image_dataset_from_directory(files, **{**kwargs, "image_size": 4}, crop_to_aspect_ratio=True)[0][0]
    assert cut.shape == (5, 4, 4, 3)
    np.save(files / "dog" / "c.npy", np.arange(24, dtype=np.uint8).reshape(4, 6))
    more = U.image_dataset_from_directory(files, **kwargs)[0][0]
    assert more[-1, 3, 5].tolist() == [23, 23, 23]


def test_images_by_pillow(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png = files / "dog" / "z.png"
    kwargs: dict[str, Any] = {"shuffle": False, "verbose": False, "image_size": (2, 2)}
    png.write_bytes(b"no image")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "PIL", None)
        with pytest.raises(ImportError, match="needs Pillow"):
            U.image_dataset_from_directory(files, **kwargs)[0]
    image = pytest.importorskip("PIL.Image")
    with pytest.raises(FileError, match="no image that Pillow knows"):
        U.image_dataset_from_directory(files, **kwargs)[0]
    image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)).save(png)
    x = U.image_dataset_from_directory(files, **kwargs)[0][0]
    assert x[-1].tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]]
    gray = U.image_dataset_from_directory(files, **kwargs, color_mode="grayscale")[0][0]
    assert gray[-1, 0, 0, 0] == 76


def test_sounds(files: Path) -> None:
    x, y = U.audio_dataset_from_directory(files, shuffle=False, verbose=False)[0]
    assert x.shape == (5, 5, 1)
    assert x[:, :, 0].tolist() == [[0.5] * n + [0.0] * (5 - n) for n in (2, 1, 3, 4, 5)]
    assert y.tolist() == [0, 0, 0, 1, 1]
    kwargs: dict[str, Any] = {"shuffle": False, "verbose": False, "output_sequence_length": 2}
    assert U.audio_dataset_from_directory(files, sampling_rate=8000, **kwargs)[0][0].shape == (5, 2, 1)
    with pytest.raises(UnsupportedError, match="8000 samples a second"):
        U.audio_dataset_from_directory(files, sampling_rate=16000, **kwargs)[0]
    write_wav(files / "dog" / "c.wav", bytes([0, 128, 192]), width=1)
    write_wav(files / "dog" / "d.wav", b"\x00\x00\x40\x00\x00\xc0", width=3)
    write_wav(files / "dog" / "e.wav", np.array([2**30, -(2**30)], "<i4"), width=4)
    x, _ = U.audio_dataset_from_directory(files, shuffle=False, verbose=False)[0]
    assert x[-3:, :3, 0].tolist() == [[-1, 0, 0.5], [0.5, -0.5, 0], [0.5, -0.5, 0]]
    (files / "dog" / "f.wav").write_bytes(b"RIFF")
    with pytest.raises(FileError, match="no WAV file"):
        U.audio_dataset_from_directory(files, shuffle=False, verbose=False)[0]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 6), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 0), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 2, sequence_stride=5), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 2, end_index=9), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 2, start_index=-1), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 2, format="torch"), KGraphError),
        (lambda f: U.timeseries_dataset_from_array(np.ones(5), None, 2, batch_size=0), KGraphError),
        (lambda f: U.split_dataset(np.ones(5)), KGraphError),
        (lambda f: U.split_dataset(np.ones(5), left_size=1.5), KGraphError),
        (lambda f: U.split_dataset(np.ones(5), left_size=0.5, right_size=4), KGraphError),
        (lambda f: U.split_dataset((np.ones(5), np.ones(4)), left_size=2), DataError),
        (lambda f: U.split_dataset(7, left_size=2), KGraphError),
        (lambda f: U.text_dataset_from_directory(f / "none"), FileMissingError),
        (lambda f: U.text_dataset_from_directory(f, label_mode="float"), KGraphError),
        (lambda f: U.text_dataset_from_directory(f, labels="cat"), KGraphError),
        (lambda f: U.text_dataset_from_directory(f, labels=[1]), DataError),
        (lambda f: U.text_dataset_from_directory(f, labels=None, class_names=["cat"]), KGraphError),
        (lambda f: U.text_dataset_from_directory(f, class_names=["cow"]), KGraphError),
        (lambda f: U.text_dataset_from_directory(f, subset="training"), KGraphError),
        (lambda f: U.text_dataset_from_directory(f, subset="training", validation_split=0.2), KGraphError),
        (lambda f: U.text_dataset_from_directory(f / "cat" / "deep", verbose=False), DataError),
        (lambda f: U.image_dataset_from_directory(f, color_mode="cmyk"), KGraphError),
        (lambda f: U.image_dataset_from_directory(f, interpolation="area"), UnsupportedError),
        (lambda f: U.audio_dataset_from_directory(f, ragged=True), UnsupportedError),
        (lambda f: U.audio_dataset_from_directory(f, sampling_rate=0), KGraphError),
        (lambda f: U.FeatureSpace, UnsupportedError),
    ],
)
def test_refused(make: Any, error: type[Exception], files: Path) -> None:
    with pytest.raises(error):
        make(files)
