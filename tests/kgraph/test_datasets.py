"""`kgraph.datasets` on small files made here, in the formats of the real ones; Keras reads the same files."""

import gzip
import io
import json
import os
import pickle
import tarfile

import numpy as np
import pytest

import kgraph
from kgraph import datasets
from kgraph.datasets import cifar10, imdb, reading, reuters
from kgraph.errors import CallError, DataError, FileError, InvalidArgumentError
from kgraph.utils import files


def no_net(*args, **kwargs):
    raise OSError("no net in tests")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache directory, in which files count as the right ones, and beside which there is no net."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(files, "validate_file", lambda *args: True)
    monkeypatch.setattr(files, "urlopen", no_net)
    (tmp_path / "datasets" / "fashion-mnist").mkdir(parents=True)
    return tmp_path / "datasets"


def theirs(name, monkeypatch):
    """Keras' module of this data set, reading the files that kgraph reads."""
    keras = pytest.importorskip("keras")
    module = getattr(keras.datasets, name)
    source = __import__(f"keras.src.datasets.{name}", fromlist=["get_file"])

    def cached(fname=None, origin=None, extract=False, cache_subdir="datasets", **kwargs):
        path = os.path.join(os.environ["KERAS_HOME"], cache_subdir, fname)
        if extract:
            files.extract_archive(path + "_archive", path)
        return path

    monkeypatch.setattr(source, "get_file", cached)
    return module


def assert_same(one, other):
    assert type(one) is type(other) or isinstance(one, np.ndarray)
    if isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other):
            assert_same(a, b)
        return
    assert one.dtype == other.dtype and one.shape == other.shape
    assert one.tolist() == other.tolist()


def test_mnist(cache, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 255, (5, 28, 28), dtype=np.uint8),
        "y_train": np.arange(5, dtype=np.uint8),
        "x_test": rng.integers(0, 255, (2, 28, 28), dtype=np.uint8),
        "y_test": np.arange(2, dtype=np.uint8),
    }
    np.savez(cache / "mnist.npz", **arrays)
    (x, y), (x_test, _) = datasets.mnist.load_data()
    assert x.shape == (5, 28, 28) and x.dtype == np.uint8 and y.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(x_test, arrays["x_test"])
    assert_same(datasets.mnist.load_data(), theirs("mnist", monkeypatch).load_data())


def test_fashion_mnist(cache, monkeypatch):
    for kind, rows in (("train", 3), ("t10k", 2)):
        images = np.arange(rows * 784).astype(np.uint8).tobytes()
        heads = [int(n).to_bytes(4, "big") for n in (2051, rows, 28, 28)]
        folder = cache / "fashion-mnist"
        (folder / f"{kind}-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"".join(heads) + images))
        labels = (2049).to_bytes(4, "big") + rows.to_bytes(4, "big") + bytes(range(rows))
        (folder / f"{kind}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    (x, y), (x_test, _) = datasets.fashion_mnist.load_data()
    assert x.shape == (3, 28, 28) and x_test.shape == (2, 28, 28) and y.tolist() == [0, 1, 2]
    assert_same(datasets.fashion_mnist.load_data(), theirs("fashion_mnist", monkeypatch).load_data())
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0\0\1\3rest"))
    with pytest.raises(FileError, match="no IDX file"):
        datasets.fashion_mnist.load_data()


def _cifar(cache, name, folder, members):
    with tarfile.open(cache / f"{name}_archive", "w:gz") as tar:
        for member, content in members.items():
            data = pickle.dumps({key.encode(): value for key, value in content.items()}, protocol=4)
            info = tarfile.TarInfo(f"{folder}/{member}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def _batch(seed, rows=2):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 255, (rows, 3072), dtype=np.uint8)
    return {"data": data, "labels": [seed % 10] * rows, "fine_labels": [seed] * rows, "coarse_labels": [1] * rows}


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_cifar10(cache, layout):
    members = {f"data_batch_{i}": _batch(i) for i in range(1, 6)} | {"test_batch": _batch(9)}
    _cifar(cache, "cifar-10-batches-py-target", "cifar-10-batches-py", members)
    kgraph.config.set_image_data_format(layout)
    try:
        (x, y), (x_test, y_test) = cifar10.load_data()
    finally:
        kgraph.config.set_image_data_format("channels_last")
    first = layout == "channels_first"
    assert x.shape == ((10, 3, 32, 32) if first else (10, 32, 32, 3)) and x.dtype == np.uint8 == y.dtype
    assert y.ravel().tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5] and y_test.tolist() == [[9], [9]]
    plane = members["test_batch"]["data"][1].reshape(3, 32, 32)
    np.testing.assert_array_equal(x_test[1] if first else x_test[1].transpose(2, 0, 1), plane)


def test_cifar100(cache, monkeypatch):
    _cifar(cache, "cifar-100-python-target", "cifar-100-python", {"train": _batch(7, 3), "test": _batch(8)})
    (x, y), (_, y_test) = datasets.cifar100.load_data()
    assert x.shape == (3, 32, 32, 3) and y.ravel().tolist() == [7] * 3 and y_test.ravel().tolist() == [8] * 2
    assert datasets.cifar100.load_data("coarse")[0][1].ravel().tolist() == [1] * 3
    for one, other in zip(datasets.cifar100.load_data(), theirs("cifar100", monkeypatch).load_data()):
        for a, b in zip(one, other):
            assert a.tolist() == b.tolist()
    with pytest.raises(InvalidArgumentError, match="label_mode='all'"):
        datasets.cifar100.load_data("all")


@pytest.mark.parametrize("name", ["boston_housing", "california_housing"])
@pytest.mark.parametrize("options", [{}, {"test_split": 0.5, "seed": 3}, {"test_split": 0}], ids=str)
def test_housing(cache, monkeypatch, name, options):
    np.savez(cache / f"{name}.npz", x=np.arange(2100.0).reshape(700, 3), y=np.arange(700.0))
    ours = getattr(datasets, name).load_data(**options)
    assert_same(ours, theirs(name, monkeypatch).load_data(**options))
    with pytest.raises(InvalidArgumentError, match="test_split=1"):
        getattr(datasets, name).load_data(test_split=1)


def test_small_california(cache, monkeypatch):
    np.savez(cache / "california_housing.npz", x=np.zeros((700, 8)), y=np.zeros(700))
    ours = datasets.california_housing.load_data("small")
    assert len(ours[0][0]) == 480 and len(ours[1][0]) == 120
    with pytest.raises(InvalidArgumentError, match="version='medium'"):
        datasets.california_housing.load_data("medium")


WORDS = [{}, {"num_words": 20, "skip_top": 5}, {"oov_char": None, "num_words": 20}, {"maxlen": 6}]
WORDS += [{"start_char": None}, {"start_char": None, "index_from": 0}, {"seed": 1, "index_from": 10, "skip_top": 12}]


def _texts(rows, seed):
    rng = np.random.default_rng(seed)
    texts = np.empty(rows, dtype=object)
    texts[:] = [rng.integers(1, 40, rng.integers(2, 9)).tolist() for _ in range(rows)]
    return texts


@pytest.mark.parametrize("options", WORDS, ids=str)
def test_imdb(cache, monkeypatch, options):
    np.savez(
        cache / "imdb.npz",
        x_train=_texts(12, 0),
        y_train=np.arange(12) % 2,
        x_test=_texts(9, 1),
        y_test=np.arange(9) % 2,
    )
    assert_same(imdb.load_data(**options), theirs("imdb", monkeypatch).load_data(**options))
    with pytest.raises(CallError, match="no argument 'num_word'"):
        imdb.load_data(num_word=3)
    with pytest.raises(DataError, match="maxlen=1"):
        imdb.load_data(maxlen=1)


@pytest.mark.parametrize("options", [*WORDS, {"test_split": 0.5}], ids=str)
def test_reuters(cache, monkeypatch, options):
    np.savez(cache / "reuters.npz", x=_texts(60, 2), y=np.arange(60) % 4)
    assert_same(reuters.load_data(**options), theirs("reuters", monkeypatch).load_data(**options))
    assert reuters.get_label_names() == theirs("reuters", monkeypatch).get_label_names()


def test_word_index(cache):
    for name in ("imdb", "reuters"):
        (cache / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "a": 2}))
        assert getattr(datasets, name).get_word_index() == {"the": 1, "a": 2}


# -- what may go wrong ----------------------------------------------------------------------------------------------
class _Harm:
    def __reduce__(self):
        return os.system, ("touch harm-was-done",)


def test_files_run_no_code(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = np.empty(1, dtype=object)
    bad[0] = _Harm()
    np.savez(cache / "reuters.npz", x=bad, y=np.zeros(1))
    with pytest.raises(FileError, match="system"):
        reuters.load_data()
    (tmp_path / "batch").write_bytes(pickle.dumps({b"data": _Harm()}))
    with pytest.raises(FileError, match="system"):
        reading.load_batch(str(tmp_path / "batch"), "labels")
    assert not (tmp_path / "harm-was-done").exists()


def test_without_net_the_error_says_where_to_put_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(files, "urlopen", no_net)
    for name, file in (("mnist", "mnist.npz"), ("cifar10", "cifar-10-batches-py-target_archive")):
        with pytest.raises(FileError) as caught:
            getattr(datasets, name).load_data()
        assert f"put it at {tmp_path / 'datasets' / file}" in str(caught.value)
        assert "https://" in str(caught.value) and "no net in tests" in str(caught.value)


def test_a_damaged_or_wrong_file_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(files, "urlopen", no_net)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mnist.npz").write_bytes(b"half a file")
    with pytest.raises(FileError, match="cannot be fetched"):
        datasets.mnist.load_data()
    monkeypatch.setattr(files, "validate_file", lambda *args: True)
    with pytest.raises(FileError, match="delete it"):
        datasets.mnist.load_data()
    np.savez(tmp_path / "datasets" / "mnist.npz", x_train=np.zeros(1))
    with pytest.raises(DataError, match="no array 'y_train'"):
        datasets.mnist.load_data()
