"""Every example runs and learns something, in a quick setting."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kgraph
import kgraph.ir
from tests.examples.scripts import EXAMPLES, load

# Name, settings of its main(), and what must hold of what main() returns.
QUICK: list[tuple[str, dict[str, Any], Callable[[Any], bool]]] = [
    ("sequential_mlp", {"epochs": 2, "samples": 1000}, lambda accuracies: min(accuracies) > 0.9),
    ("binary_classifier", {"epochs": 20}, lambda accuracy: accuracy > 0.75),
    ("ten_class", {"epochs": 10}, lambda accuracy: accuracy > 0.15),
    ("functional_mlp", {"epochs": 2, "samples": 1000}, lambda accuracy: accuracy > 0.5),
    ("time_distributed", {"epochs": 2, "samples": 100}, lambda accuracy: accuracy > 0.7),
    ("multi_io_lstm", {"epochs": 1, "samples": 64}, lambda losses: max(losses) < 0.95),
    ("shared_conv", {"epochs": 1, "samples": 32}, lambda loss: loss < 2.0),
    ("nested_residual", {"epochs": 6}, lambda accuracy: accuracy > 0.5),
    ("siamese", {"epochs": 5}, lambda accuracy: accuracy > 0.7),
    ("frozen_and_submodel", {"epochs": 6}, lambda accuracy: accuracy > 0.6),
    ("custom_layer", {"epochs": 10}, lambda error: error < 0.1),
]


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"digits", *(name for name, _, _ in QUICK)}


@pytest.mark.parametrize(("name", "settings", "holds"), QUICK, ids=[name for name, _, _ in QUICK])
def test_runs_and_learns(name: str, settings: dict[str, Any], holds: Callable[[Any], bool]) -> None:
    kgraph.utils.set_random_seed(3)
    result = load(name).main(**settings)
    assert holds(result), result


def test_digits_writes_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load("digits").main(folder=tmp_path) >= 0.98  # the demo as it is: some three seconds once compiled
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "train-graph.kg",
        "train-grad.kg",
        "train-optimized.kg",
        "train-schedule.kg",
        "predict-graph.kg",
        "predict-optimized.kg",
        "predict-schedule.kg",
        "train-kernels.py",
        "predict-kernels.py",
        "train-explain.txt",
        "predict-explain.txt",
        "model.svg",
    }
    for path in tmp_path.glob("*.kg"):
        text = path.read_text(encoding="utf-8").rstrip("\n")
        assert str(kgraph.ir.parse(text)) == text, path.name
    for path in tmp_path.glob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    picture = ElementTree.parse(tmp_path / "model.svg").getroot()
    drawn = "".join(picture.itertext())
    assert drawn.count("describe (Dense)") == 2  # once in the box, once in its tooltip: a shared layer is one box
    assert "call 0" in drawn and "call 1" in drawn
    said = capsys.readouterr().out
    for part in ("compiling took", "microseconds per step", "test accuracy", "written to"):
        assert part in said


def test_digits_says_when_it_misses(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"the test accuracy \S+ is below 101%"):
        load("digits").main(epochs=1, folder=tmp_path, wanted=1.01)
