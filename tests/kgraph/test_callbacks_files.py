"""Callbacks that write files or talk to servers: TensorBoard, BackupAndRestore, RemoteMonitor."""

from __future__ import annotations

import http.server
import json
import struct
import threading
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph import callbacks
from kgraph.callbacks.events import masked_crc32c
from kgraph.errors import DataError, UnsupportedError


def _model(seed: int = 0, units: int = 3) -> Any:
    kgraph.utils.set_random_seed(seed)
    model = kgraph.Sequential(
        [kgraph.layers.Input((4,)), kgraph.layers.Dense(units), kgraph.layers.Dropout(0.2), kgraph.layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


X = np.random.default_rng(1).normal(size=(20, 4)).astype("float32")
Y = X.sum(1, keepdims=True)


def _records(path: Path) -> list[bytes]:
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked_crc32c(body)
        found.append(body)
        data = data[16 + length :]
    return found


def test_checksum() -> None:
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720); masked as TensorFlow does.
    crc = 0xE3069283
    assert masked_crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_tensorboard(tmp_path: Path) -> None:
    board = callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=2, write_steps_per_second=True)
    history = _model().fit(X, Y, epochs=2, batch_size=5, validation_split=0.2, verbose=0, callbacks=[board]).history
    (train,) = (tmp_path / "train").iterdir()
    (validation,) = (tmp_path / "validation").iterdir()
    records = _records(train)
    assert b"brain.Event:2" in records[0]
    tagged = [record for record in records if b"epoch_loss" in record]
    assert len(tagged) == 2
    at = tagged[1].index(b"epoch_loss") + len(b"epoch_loss") + 1
    assert struct.unpack("<f", tagged[1][at : at + 4])[0] == pytest.approx(history["loss"][1])
    whole = b"".join(records)
    for tag in (b"epoch_mae", b"epoch_learning_rate", b"batch_loss", b"epoch_steps_per_second", b"kernel/histogram"):
        assert tag in whole
    assert b"epoch_loss" in b"".join(_records(validation))
    with pytest.raises(UnsupportedError, match="write_images"):
        callbacks.TensorBoard(write_images=True)


@pytest.mark.parametrize("save_freq", ["epoch", 4])
def test_backup_and_restore(tmp_path: Path, save_freq: Any) -> None:
    class Crash(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    whole = _model()
    whole.fit(X, Y, epochs=4, batch_size=5, shuffle=False, verbose=0)
    model = _model()
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq, double_checkpoint=True)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=4, batch_size=5, shuffle=False, verbose=0, callbacks=[backup, Crash()])
    again = _model(seed=5)
    backup = callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
    if save_freq == "epoch":
        again.fit(X, Y, epochs=4, batch_size=5, shuffle=False, verbose=0, callbacks=[backup])
        assert again.history.epoch == [2, 3]
        for a, b in zip(again.get_weights(), whole.get_weights(), strict=True):
            assert (a == b).all()
        assert not (tmp_path / "backup").exists()
    else:
        again.fit(X, Y, epochs=4, batch_size=5, shuffle=False, verbose=0, callbacks=[backup])
        assert again.history.epoch == [1, 2, 3]


def test_backup_of_another_model(tmp_path: Path) -> None:
    keep = callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    _model().fit(X, Y, epochs=1, verbose=0, callbacks=[keep])
    with pytest.raises(DataError, match="another model"):
        _model(units=2).fit(X, Y, epochs=1, verbose=0, callbacks=[keep])


def test_remote_monitor() -> None:
    received: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        root = f"http://127.0.0.1:{server.server_port}"
        both = [callbacks.RemoteMonitor(root), callbacks.RemoteMonitor(root, send_as_json=True)]
        history = _model().fit(X, Y, epochs=1, verbose=0, callbacks=both).history
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    form = json.loads(urllib.parse.parse_qs(received[0].decode())["data"][0])
    assert form == json.loads(received[1]) == {"epoch": 0, "loss": history["loss"][0], "mae": history["mae"][0]}
    with pytest.warns(UserWarning, match="Could not reach RemoteMonitor"):
        _model().fit(X, Y, epochs=1, verbose=0, callbacks=[callbacks.RemoteMonitor(root)])


def test_names_that_do_nothing_and_names_left_out() -> None:
    quiet = [callbacks.ProgbarLogger(), callbacks.BaseLogger()]
    assert _model().fit(X, Y, epochs=1, verbose=0, callbacks=quiet).epoch == [0]
    with pytest.raises(UnsupportedError, match="ModelCheckpoint"):
        callbacks.OrbaxCheckpoint("directory")
