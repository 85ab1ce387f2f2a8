"""Arrays on disk train without being copied whole; two runs with one seed give the same bits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.errors import DataError
from kgraph.trainer.data import Port, input_arrays

X = np.random.default_rng(0).integers(0, 255, (25, 4)).astype("uint8")
Y = X.sum(1, keepdims=True).astype("float32") / 500


def _model() -> Any:
    kgraph.utils.set_random_seed(3)
    model = kgraph.Sequential(
        [kgraph.layers.Input((4,)), kgraph.layers.Rescaling(1 / 255), kgraph.layers.Dense(3), kgraph.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def _train(x: Any, y: Any) -> tuple[Any, ...]:
    model = _model()
    history = model.fit(
        x, y, batch_size=6, epochs=3, shuffle=False, verbose=0, validation_data=(x, y), validation_batch_size=10
    ).history
    return history, model.evaluate(x, y, verbose=0), model.predict(x, batch_size=7, verbose=0), model.get_weights()


def _assert_same(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    assert a[0] == b[0]
    assert a[1] == b[1]
    assert (a[2] == b[2]).all()
    assert all((v == w).all() for v, w in zip(a[3], b[3], strict=True))


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        x, y = file.create_dataset("x", data=X), file.create_dataset("y", data=Y)
        _assert_same(_train(x, y), _train(X, Y))
        with pytest.raises(DataError, match="number of rows"):
            _model().fit(x, Y[:5], verbose=0)


def test_memory_map(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "wide.npy", X.astype("float32"))
    expected = _train(X, Y)
    _assert_same(_train(np.load(tmp_path / "x.npy", mmap_mode="r"), Y), expected)
    wide = np.load(tmp_path / "wide.npy", mmap_mode="r")
    assert np.shares_memory(input_arrays([Port("x", (None, 4), "float32")], wide)["x"], wide)
    _assert_same(_train(wide, Y), expected)


_SCRIPT = """
import numpy as np, kgraph
kgraph.utils.set_random_seed(11)
x = np.random.normal(size=(40, 6)).astype("float32")
model = kgraph.Sequential([kgraph.layers.Input((6,)), kgraph.layers.Dense(8, activation="relu"),
                           kgraph.layers.Dropout(0.3), kgraph.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, x[:, :1], epochs=2, batch_size=8, verbose=0)
print(b"".join(w.tobytes() for w in model.get_weights()).hex())
"""


def test_two_processes_give_the_same_bits() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    assert len(runs[0]) > 100
