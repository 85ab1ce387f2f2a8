"""The progress bar: what it writes, when, and how often."""

from __future__ import annotations

import io
import time

import pytest

from kgraph.utils.progress import ProgressBar, format_metrics, format_seconds, format_step_time


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00us"),
        (3.124e-6, "3.12us"),
        (312e-6, "312us"),
        (0.9994e-3, "999us"),
        (0.9996e-3, "1.00ms"),
        (41e-3, "41.0ms"),
        (0.25, "250ms"),
        (2.5, "2.50s"),
        (125, "125s"),
    ],
)
def test_step_time(seconds, text):
    assert format_step_time(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (59.4, "59s"), (59.6, "1:00"), (65, "1:05"), (3723, "1:02:03")]
)
def test_seconds(seconds, text):
    assert format_seconds(seconds) == text


def test_metrics():
    values = {"accuracy": 0.91214, "loss": 3e-4, "zero": 0.0, "nan": float("nan"), "big": 3.2e9, "neg": -1.5}
    text = " - accuracy: 0.9121 - loss: 3.0000e-04 - zero: 0.0000 - nan: nan - big: 3.2000e+09 - neg: -1.5000"
    assert format_metrics(values) == text


def test_a_file_gets_one_line_per_epoch():
    stream, clock = io.StringIO(), Clock()
    bar = ProgressBar(59, 1, 5, 1, stream, clock=clock)
    for step in range(1, 60):
        clock.now += 0.5
        bar.update(step, {"loss": 1.0})
    bar.finish({"accuracy": 0.91, "loss": 0.3})
    bar.finish({"loss": 0.0})
    expected = "Epoch 1/5\n59/59 ━━━━━━━━━━━━━━━━━━━━ 30s 500ms/step - accuracy: 0.9100 - loss: 0.3000\n"
    assert stream.getvalue() == expected


def test_a_terminal_is_rewritten_ten_times_a_second_at_most():
    stream, clock = Terminal(), Clock()
    bar = ProgressBar(1000, 2, 5, 1, stream, clock=clock)
    for step in range(1, 1001):
        clock.now += 0.01
        bar.update(step, {"loss": 1.0})
    drawn = stream.getvalue().count("\r")
    assert 90 <= drawn <= 100
    bar.finish({"loss": 0.5})
    assert stream.getvalue().endswith(" 10s 10.0ms/step - loss: 0.5000\x1b[K\n")
    assert "5s 10.0ms/step" in stream.getvalue()  # half way: the time still to come


def test_long_lines_do_not_wrap(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    stream, clock = Terminal(), Clock()
    bar = ProgressBar(10, None, 1, 1, stream, clock=clock)
    clock.now += 1
    bar.update(1, {f"a_long_metric_{i}": 1.0 for i in range(9)})
    line = stream.getvalue()
    for code in ("\r", "\x1b[32m", "\x1b[90m", "\x1b[0m", "\x1b[K"):
        line = line.replace(code, "")
    assert len(line) <= 60
    assert line.endswith("…")
    bar.close()
    assert stream.getvalue().endswith("\n")


def test_verbose_two_and_zero():
    stream, clock = Terminal(), Clock()
    bar = ProgressBar(4, 3, 5, 2, stream, clock=clock)
    clock.now += 1
    bar.update(4, {})
    bar.finish({"loss": 2.0})
    assert stream.getvalue() == "Epoch 3/5\n4/4 - 1s - 250ms/step - loss: 2.0000\n"
    silent = Terminal()
    bar = ProgressBar(4, 1, 1, 0, silent, clock=clock)
    bar.update(4, {})
    bar.finish({})
    assert silent.getvalue() == ""


def test_unknown_number_of_steps():
    stream, clock = Terminal(), Clock()
    bar = ProgressBar(None, None, 1, 1, stream, clock=clock)
    clock.now += 1
    assert bar.wants_update
    bar.update(7, {})
    assert "7/? " in stream.getvalue()
    bar.finish({}, steps=9)
    assert "9/9 " in stream.getvalue()


def test_a_stream_without_the_signs_gets_ascii():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    bar = ProgressBar(2, None, 1, 1, stream, clock=Clock())
    bar.finish({}, steps=1)
    stream.flush()
    assert raw.getvalue().startswith(b"1/2 ==========.......... 0s")


def test_updates_cost_little():
    bar = ProgressBar(10**6, None, 1, 1, Terminal())
    begin = time.perf_counter()
    for step in range(10_000):
        bar.update(step)
    assert (time.perf_counter() - begin) / 10_000 < 20e-6
