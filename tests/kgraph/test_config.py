"""The KGRAPH_* variables: defaults, values, and the error for a value that means nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kgraph.config import SettingError, settings
from kgraph.errors import KGraphError

NAMES = tuple("DUMP VERIFY CACHE EXPLAIN TIMINGS CHECK_NAN TRACEBACK NUM_THREADS CONV GUARD ATTENTION".split())


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(f"KGRAPH_{name}", raising=False)


def test_defaults(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    now = settings()
    assert now.dump is None
    assert (now.verify, now.explain, now.timings, now.check_nan) == (False, False, False, False)
    assert now.cache == tmp_path / "kgraph"
    assert now.traceback == "short"
    assert now.num_threads >= 1
    assert (now.convolution, now.attention, now.guard) == ("auto", "auto", "")


def test_home_is_used_without_an_xdg_directory(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings().cache == tmp_path / ".cache" / "kgraph"


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("ON", True), (" yes ", True), ("0", False), ("", False)])
def test_flags(monkeypatch, text, expected):
    monkeypatch.setenv("KGRAPH_VERIFY", text)
    assert settings().verify is expected


@pytest.mark.parametrize(("text", "expected"), [("1", "zones"), ("Zones", "zones"), ("pages", "pages"), ("off", "")])
def test_guard(monkeypatch, text, expected):
    monkeypatch.setenv("KGRAPH_GUARD", text)
    assert settings().guard == expected


def test_values_and_rereading(monkeypatch, tmp_path):
    monkeypatch.setenv("KGRAPH_DUMP", "-")
    monkeypatch.setenv("KGRAPH_CACHE", "off")
    monkeypatch.setenv("KGRAPH_TRACEBACK", "full")
    monkeypatch.setenv("KGRAPH_NUM_THREADS", "3")
    monkeypatch.setenv("KGRAPH_CONV", "Winograd")
    monkeypatch.setenv("KGRAPH_ATTENTION", "Unfused")
    first = settings()
    assert (first.dump, first.cache, first.traceback, first.num_threads) == ("-", None, "full", 3)
    assert (first.convolution, first.attention) == ("winograd", "unfused")
    monkeypatch.setenv("KGRAPH_DUMP", str(tmp_path / "new"))
    monkeypatch.setenv("KGRAPH_CACHE", "~/somewhere")
    second = settings()
    assert second.dump == str(tmp_path / "new")
    assert second.cache == Path("~/somewhere").expanduser()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("VERIFY", "maybe", "1, true, yes or on"),
        ("CHECK_NAN", "2", "0, false, no or off"),
        ("CACHE", "on", 'a directory (made when missing), or "off"'),
        ("CACHE", __file__, "a directory"),
        ("DUMP", __file__, "a directory"),
        ("TRACEBACK", "long", "short or full"),
        ("GUARD", "walls", "1 or zones; pages; 0"),
        ("CONV", "fft", "auto, direct or winograd"),
        ("NUM_THREADS", "0", "1 or more"),
        ("NUM_THREADS", "-1", "1 or more"),
        ("NUM_THREADS", "two", "a whole number"),
        ("NUM_THREADS", "²", "a whole number"),
    ],
)
def test_bad_values_name_variable_value_and_what_is_allowed(monkeypatch, name, value, allowed):
    monkeypatch.setenv(f"KGRAPH_{name}", value)
    with pytest.raises(SettingError) as caught:
        settings()
    assert isinstance(caught.value, KGraphError)
    assert isinstance(caught.value, ValueError)
    text = str(caught.value)
    assert f"KGRAPH_{name}" in text
    assert repr(value) in text
    assert allowed in text
    assert str(pickle.loads(pickle.dumps(caught.value))) == text
