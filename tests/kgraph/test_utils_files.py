"""`get_file` and the unpacking of archives; `HDF5Matrix`."""

import hashlib
import io
import tarfile
import zipfile

import numpy as np
import pytest

from kgraph.errors import DataError, FileError, FileMissingError, IndexRangeError, InvalidArgumentError, MissingKeyError
from kgraph.utils import HDF5Matrix, files, get_file

CONTENT = b"some bytes\n" * 100


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    path = tmp_path / "data.txt"
    path.write_bytes(CONTENT)
    return path


def test_a_file_is_fetched_once(source, capsys):
    path = get_file(origin=source.as_uri())
    assert path == str(source.parent / "home" / "datasets" / "data.txt")
    assert "Downloading data from file://" in capsys.readouterr().out
    source.unlink()
    assert get_file(origin=source.as_uri()) == path and capsys.readouterr().out == ""
    with open(path, "rb") as file:
        assert file.read() == CONTENT
    assert [entry.name for entry in (source.parent / "home" / "datasets").iterdir()] == ["data.txt"]


def test_cache_arguments(source, tmp_path):
    path = get_file("other.bin", source.as_uri(), cache_dir=tmp_path / "c", cache_subdir="s/t")
    assert path == str(tmp_path / "c" / "s" / "t" / "other.bin")
    source.write_bytes(b"new")
    for force, content in ((False, CONTENT), (True, b"new")):
        get_file("other.bin", source.as_uri(), cache_dir=tmp_path / "c", cache_subdir="s/t", force_download=force)
        with open(path, "rb") as file:
            assert file.read() == content


def test_digests(source):
    md5, sha = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()
    path = get_file(origin=source.as_uri(), md5_hash=md5)
    assert get_file(origin=source.as_uri(), file_hash=sha.upper()) == path
    assert files.validate_file(path, sha) and files.validate_file(path, md5, "md5")
    with open(path, "wb") as file:
        file.write(b"broken")
    get_file(origin=source.as_uri(), file_hash=sha)  # another digest: fetched again
    assert files.validate_file(path, sha)
    source.write_bytes(b"changed")
    with pytest.raises(DataError, match="not the file that was meant"):
        get_file(origin=source.as_uri(), file_hash=sha, force_download=True)
    assert files.validate_file(path, sha)  # what was there stays
    with pytest.raises(InvalidArgumentError, match="no hash algorithm"):
        files.validate_file(path, "abc")


def test_what_cannot_be_fetched(source):
    with pytest.raises(FileError, match="put it at") as caught:
        get_file(origin=(source.parent / "nothing.npz").as_uri())
    assert str(source.parent / "home" / "datasets" / "nothing.npz") in str(caught.value)
    assert not list((source.parent / "home" / "datasets").iterdir())
    for wrong, text in (({}, "needs the address"), ({"fname": "../x", "origin": source.as_uri()}, "is a path")):
        with pytest.raises(InvalidArgumentError, match=text):
            get_file(**wrong)
    with pytest.raises(InvalidArgumentError, match=r"needs|address"):
        get_file("x", "gopher://host/x")


def _tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                info.type, info.linkname = content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return path


@pytest.mark.parametrize("make", [_tar, _zip])
def test_archives(source, make):
    archive = make(source.parent / "set.arc", {"a/one.txt": b"1", "two.txt": b"22"})
    folder = get_file("named.tar.gz", archive.as_uri(), extract=True)
    assert folder.endswith("named_extracted")
    plain = get_file("plain", archive.as_uri(), extract=True)
    assert plain.endswith("datasets/plain")
    for directory in (folder, plain):
        with open(f"{directory}/a/one.txt", "rb") as file:
            assert file.read() == b"1"
    assert get_file("plain", archive.as_uri(), extract=True) == plain  # again, over what is there
    assert sorted(entry.name for entry in (source.parent / "home" / "datasets").iterdir()) == [
        "named.tar.gz",
        "named_extracted",
        "plain",
        "plain_archive",
    ]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"ok": b"1", "../evil": b"x"}, "outside"),
        ({"/etc/evil": b"x"}, "outside"),
        ({"a\\..\\..\\evil": b"x"}, "outside"),
        ({"link": (tarfile.SYMTYPE, "../../secret")}, "outside"),
        ({"link": (tarfile.SYMTYPE, "/etc/passwd")}, "outside|leads"),
        ({"link": (tarfile.SYMTYPE, "missing")}, "not in it"),
        ({"node": (tarfile.CHRTYPE, "")}, "device"),
    ],
    ids=str,
)
def test_archives_made_to_do_harm(source, members, text):
    archive = _tar(source.parent / "bad.tar", members, "w")
    with pytest.raises(FileError, match=text):
        get_file("bad", archive.as_uri(), extract=True)
    assert not (source.parent / "home" / "datasets" / "bad").exists()
    assert not list(source.parent.rglob("evil"))


def test_links_within_an_archive_become_copies(source):
    links = {"d/real": b"yes", "d/soft": (tarfile.SYMTYPE, "real"), "hard": (tarfile.LNKTYPE, "d/real")}
    folder = get_file("links", _tar(source.parent / "links.tar", links, "w").as_uri(), untar=True)
    for name in ("d/soft", "hard"):
        with open(f"{folder}/{name}", "rb") as file:
            assert file.read() == b"yes"


def test_an_archive_with_far_too_much(source, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    archive = _zip(source.parent / "bomb.zip", {"zeros": b"\0" * 100_000})
    with pytest.raises(FileError, match="bytes from"):
        get_file("bomb", archive.as_uri(), extract=True)


def test_damaged_archives(source):
    archive = _tar(source.parent / "cut.tar.gz", {"a": np.random.default_rng(0).bytes(5000)})
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(FileError, match=r"not unpacked|no archive"):
        get_file("cut", archive.as_uri(), extract=True)
    with pytest.raises(FileError, match="no archive"):
        get_file("text", source.as_uri(), extract=True)


# -- HDF5 -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def store(tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = np.arange(40.0).reshape(20, 2)
    return tmp_path / "x.h5"


def test_hdf5_matrix(store):
    rows = HDF5Matrix(store, "x", start=5, end=15, normalizer=lambda x: x / 2)
    whole = np.arange(40.0).reshape(20, 2)[5:15] / 2
    assert rows.shape == (10, 2) and rows.dtype == np.float64 and rows.ndim == 2 and rows.size == 20
    for key in (3, -1, slice(2, 5), slice(None, None, -2), slice(None), [4, 1, 1], np.array([9, 0])):
        np.testing.assert_array_equal(rows[key], whole[key])
    np.testing.assert_array_equal(np.asarray(rows), whole)


def test_hdf5_matrix_trains_a_model(store):
    import kgraph

    model = kgraph.Sequential([kgraph.Input((2,)), kgraph.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(HDF5Matrix(store, "x", normalizer=lambda x: x / 40), np.zeros((20, 1)), shuffle="batch", verbose=0)
    assert model.predict(HDF5Matrix(store, "x"), verbose=0).shape == (20, 1)


def test_hdf5_mistakes(store, tmp_path):
    with pytest.raises(FileMissingError):
        HDF5Matrix(tmp_path / "no.h5", "x")
    with pytest.raises(MissingKeyError, match="one of x"):
        HDF5Matrix(store, "y")
    with pytest.raises(IndexRangeError):
        HDF5Matrix(store, "x", end=21)
    with pytest.raises(IndexRangeError):
        HDF5Matrix(store, "x")[[25]]
