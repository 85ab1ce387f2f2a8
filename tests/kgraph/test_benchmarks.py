"""`benchmarks/` without its clock: tables, choice of jobs, and workloads whose weights fit every form of the model."""

from __future__ import annotations

import argparse
import importlib
import json
from types import ModuleType

import numpy as np
import pytest

import kgraph
from benchmarks.contenders import common, keras_like
from benchmarks.jobs import CONTENDERS, KINDS, TRAINED, Job, jobs
from benchmarks.nets import onnx_net
from benchmarks.processes import Options, environment
from benchmarks.report import Series, format_summary, format_table, format_time
from benchmarks.run import chosen_jobs, parser

BIG = {"resnet50"}  # as wide as it is, too slow to be built here


def workload(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.workloads.{name}")


def series(times: list[float], memory: float = 100.0, **other) -> Series:
    return Series(times, [memory], **other)


def test_a_table_has_times_speed_memory_and_marks_other_losses():
    table = {
        "kgraph": series([20.0, 10.0, 12.0], loss_first=0.5, loss_last=0.25),
        "keras-jax": series([48.0], 300.0, loss_first=0.5004, loss_last=0.25),
        "torch": series([24.0], 200.0, loss_first=0.51, loss_last=0.5),
        "torch-compile": Series(note="torch not installed"),
    }
    assert format_table(Job("train", "mlp"), table).splitlines() == [
        "train mlp: 784-64-64-10, batch 128, rmsprop, metrics: time per training step of fit",
        "                        median     least   speed  peak MiB   loss of first epoch -> last",
        "  kgraph                 12 us     10 us   2.00x       100   0.50000 -> 0.25000",
        "  keras-jax              48 us     48 us   0.50x       300   0.50040 -> 0.25000",
        "  torch                  24 us     24 us   2.00x       200   0.51000 -> 0.50000  ! 1.9e-02 from the reference",
        "  torch-compile              -  torch not installed",
    ]


def test_losses_of_workloads_with_dropout_are_not_compared():
    table = {
        "keras-jax": series([1.0], loss_first=1.0, loss_last=1.0),
        "torch": series([1.0], loss_first=2.0, loss_last=1),
    }
    assert "!" not in format_table(Job("train", "conv"), table)
    assert "!" in format_table(Job("train", "mlp"), table)


def test_an_output_that_is_not_a_number_is_marked():
    table = {"keras-jax": series([1.0], check=0.5), "kgraph": series([1.0], check=float("nan"))}
    assert "nan from the reference" in format_table(Job("row", "conv"), table)


def test_the_summary_says_what_is_asked_and_whether_it_is_met():
    cold, warm = series([900e3]), series([300e3], 90.0)
    tables = {
        Job("train", "mlp"): {"kgraph": series([10.0]), "jax-scan": series([21.0], 80.0), "torch": series([30.0])},
        Job("train", "siamese"): {"kgraph": series([10.0]), "jax-scan": series([5.0], 300.0)},
        Job("start", "binary_mlp"): {
            "kgraph (cold)": cold,
            "kgraph (warm)": warm,
            "jax (cold)": series([1.8e6]),
            "jax (warm)": series([6e5], 200.0),
        },
    }
    lines = [line.split() for line in format_summary(tables).splitlines()[2:]]
    assert lines == [
        "train mlp 10 us 21 us jax-scan 2.10x >= 2x met 100 80 jax-scan".split(),
        "train siamese 10 us 5 us jax-scan 0.50x - 100 300 jax-scan".split(),
        "start binary_mlp cold 900 ms 1.80 s jax 2.00x 0.74 s missed 100 100 jax".split(),
        "start binary_mlp warm 300 ms 600 ms jax 2.00x 0.35 s met 90 100 jax".split(),
    ]


@pytest.mark.parametrize(
    ("us", "text"), [(3.14159, "3.14 us"), (999.7, "1 ms"), (123.4, "123 us"), (99.97, "100 us"), (2.5e6, "2.50 s")]
)
def test_times_have_three_digits(us, text):
    assert format_time(us) == text


def test_results_are_json():
    assert json.loads(json.dumps(vars(series([1.0], check=0.5))))["check"] == 0.5


def test_parts_and_names_choose_jobs():
    def chosen(*arguments: str) -> list[str]:
        given: argparse.Namespace = parser().parse_args(arguments)
        return [job.name for job in chosen_jobs(given)]

    assert chosen("conv") == ["train conv", "predict conv", "row conv"]
    assert chosen("conv", "--only", "train") == ["train conv"]
    assert chosen("--only", "start") == ["start binary_mlp", "start resnet50", "import"]
    assert len(chosen()) == len(jobs())


def test_contenders_write_byte_code_and_keep_to_their_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    env = environment("keras-tf", Options(2, 1, True, 1.0, {}, tmp_path), tmp_path / "cache")
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert env["PYTHONPYCACHEPREFIX"].startswith(str(tmp_path))
    assert env["KERAS_BACKEND"] == "tensorflow"
    assert env["KGRAPH_CACHE"].startswith(str(tmp_path))


def test_every_contender_is_known_and_every_job_has_a_workload():
    assert {name for names in KINDS.values() for name in names} == set(CONTENDERS)
    for job in jobs():
        assert job.title


def numbers(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size is not None)


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in BIG])
def test_weights_and_data_fit_the_keras_model(name):
    module = workload(name)
    model = module.build_keras(kgraph)
    keras_like.set_weights(model, module)  # raises where a shape does not fit
    given = sum(array.size for layer in common.weights(module).values() for array in layer.arrays.values())
    assert given == model.count_params()
    inputs, targets = common.data(module, 3)
    assert [x.shape[1:] for x in inputs] == [numbers(x.shape) for x in model.inputs]
    assert len(targets) == len(module.LOSSES) == len(model.outputs)


@pytest.mark.parametrize("name", TRAINED)
def test_the_network_by_hand_fits_weights_and_targets(name):
    """Shapes only; nothing is computed."""
    jax = pytest.importorskip("jax")
    from benchmarks.contenders.jax_scan import make_step, start

    module = workload(name)
    x, y = common.data(module, 2)
    state = jax.eval_shape(lambda: start(module))
    after, loss, _ = jax.eval_shape(make_step(module), state, x, y)
    assert loss.shape == ()
    assert jax.tree.map(lambda a: a.shape, after) == jax.tree.map(lambda a: a.shape, state)


@pytest.mark.parametrize("name", ["binary_mlp", "lstm_multi", "conv"])
def test_a_model_file_is_written_for_prediction(name):
    module = workload(name)
    inputs, _ = common.data(module, 1)
    file = onnx_net.model(module, common.weights(module), inputs)
    held = sum(array.nbytes for layer in common.weights(module).values() for array in layer.arrays.values())
    assert held < len(file) < held + 5000


def test_the_check_of_outputs_tells_places_apart():
    left, right = np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]])
    assert common.mean_of(left) != common.mean_of([right])
    assert common.mean_of(left) == common.mean_of([left])
