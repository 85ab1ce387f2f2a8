"""The command line, in this process and once as `python -m kgraph`."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

from kgraph.cli import main

TEXT = """kgraph 1
graph @mlp [B >= 1] {
  inputs  %x: f32[B, 4]
  params  %w: f32[4, 3]
  %0: f32[B, 3] = matmul(%x, %w)
  %1: f32[B, 3] = relu(%0)
  %2: f32[4, 3] = mul(%w, 0.5)
  return %1
  update %w = %2
}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mlp.kg"
    path.write_text(TEXT)
    return str(path)


def test_print_is_canonical(file, capsys):
    assert main(["print", file]) == 0
    assert capsys.readouterr().out == TEXT


def test_print_reads_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert main(["print", "-"]) == 0
    assert capsys.readouterr().out == TEXT


def test_print_shows_where_the_text_is_wrong(tmp_path, capsys):
    path = tmp_path / "bad.kg"
    path.write_text(TEXT.replace("matmul", "matmull"))
    assert main(["print", str(path)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("kgraph.")
    assert "matmull" in err
    assert "Traceback" not in err


def test_traceback_on_request(file, monkeypatch):
    monkeypatch.setenv("KGRAPH_TRACEBACK", "full")
    with pytest.raises(ValueError, match="simplfy"):
        main(["opt", file, "-p", "simplfy"])


def test_opt(file, tmp_path, capsys):
    assert main(["opt", file, "-p", "simplify,cse,dce"]) == 0
    assert "matmul(%x, %w)" in capsys.readouterr().out
    out = tmp_path / "out.kg"
    assert main(["opt", file, "-o", str(out)]) == 0
    assert out.read_text().startswith("kgraph 1\ngraph @mlp")
    assert main(["opt", file, "-p", "simplfy"]) == 1
    assert "did you mean simplify?" in capsys.readouterr().err


def test_run_on_given_arrays(file, tmp_path, capsys):
    x, w = np.ones((2, 4), np.float32), np.eye(4, 3, dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "w.npy", w)
    arguments = ["run", file, "--input", f"x={tmp_path}/x.npy", "--input", f"%w={tmp_path}/w.npy"]
    assert main([*arguments, "--save", str(tmp_path / "out")]) == 0
    assert "output 0: float32[2, 3]" in capsys.readouterr().out
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "output-0.npy"), x @ w)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "update-w.npy"), w / 2)


def test_run_on_random_arrays_is_repeatable(file, capsys):
    assert main(["run", file, "--random", "--seed", "3", "--size", "B=2"]) == 0
    first = capsys.readouterr().out
    assert "output 0: float32[2, 3]" in first
    main(["run", file, "--random", "--seed", "3", "--size", "B=2"])
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "has no array for %x"),
        (["--random", "--target", "cuda"], "target 'cuda' cannot be used: not part of this version"),
        (["--random", "--target", "gpu"], "unknown target 'gpu'"),
        (["--input", "x"], "--input 'x' cannot be read"),
        (["--random", "--size", "B=none"], "'none' is no size"),
    ],
)
def test_run_errors(file, capsys, arguments, text):
    assert main(["run", file, *arguments]) == 1
    assert text in capsys.readouterr().err


def test_missing_file_and_wrong_arguments(capsys):
    assert main(["print", "/no/such.kg"]) == 1
    assert capsys.readouterr().err == "kgraph: /no/such.kg: No such file or directory\n"
    with pytest.raises(SystemExit) as caught:
        main(["prnt"])
    assert caught.value.code == 2


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    for word in ("kgraph", "numpy", "cache", "target reference", "target cuda"):
        assert word in out


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "kgraph", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("kgraph ")


def test_dump_writes_numbered_stages(file, tmp_path, monkeypatch):
    monkeypatch.setenv("KGRAPH_DUMP", str(tmp_path / "dump"))
    for _ in range(2):
        assert main(["run", file, "--random"]) == 0
    assert (tmp_path / "dump" / "mlp" / "00-graph.kg").read_text() == TEXT
    assert (tmp_path / "dump" / "mlp-2" / "00-graph.kg").exists()


def test_dump_to_standard_output(file, monkeypatch, capsys):
    monkeypatch.setenv("KGRAPH_DUMP", "-")
    assert main(["run", file, "--random"]) == 0
    assert "==== mlp/00-graph.kg\nkgraph 1\n" in capsys.readouterr().out
