"""Whole programs as they are on processors without AVX-512, and on those without AVX: accuracy, Winograd, red zones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgraph.codegen.cpu.tiles import host_vectors
from tests.codegen.processors import PROCESSORS

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/codegen/test_accuracy.py",
    "tests/codegen/cpu/test_winograd.py",
    "tests/codegen/cpu/test_guarded.py::test_models",
    "tests/codegen/cpu/test_guarded.py::test_ops",
)


@pytest.mark.nightly
@pytest.mark.skipif(host_vectors().bits < 256, reason="this processor has no AVX2")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_narrower_vectors(processor: str) -> None:
    cache = ["--kernel-cache", os.environ["KGRAPH_CACHE"]]
    command = [sys.executable, "-m", "tests.codegen.processors", processor, *TESTS, *cache]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=1200)
    assert result.returncode == 0, result.stdout
