"""Tests as they would run on another processor: `python -m tests.codegen.processors avx2 TESTS...`.

Code is compiled for a processor with fewer features than ours, so it runs here; its objects have cache entries of their
own.
"""

from __future__ import annotations

import sys

import llvmlite.binding as llvm

# Name for LLVM, and features by their first letters that are not there.
PROCESSORS = {
    "avx2": ("haswell", ("avx512", "avx10", "amx", "vaes", "vpclmul", "gfni", "avxvnni", "avxifma", "avxne")),
    "portable": ("x86-64", ("avx", "fma", "f16c", "amx", "vaes", "vpclmul", "gfni", "xop", "sse4a")),
}


def pretend(processor: str) -> None:
    """Let this process take itself for another processor; before anything is compiled."""
    name, missing = PROCESSORS[processor]
    features = llvm.get_host_cpu_features()
    for feature in features:
        if feature.startswith(missing):
            features[feature] = False
    llvm.get_host_cpu_name = lambda: name
    llvm.get_host_cpu_features = lambda: features


if __name__ == "__main__":
    import pytest

    pretend(sys.argv[1])
    from kgraph.codegen.cpu.tiles import host_vectors

    assert host_vectors().bits == {"avx2": 256, "portable": 128}[sys.argv[1]]
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]]))
