"""Who may import whom.  The table below is the architecture; the code has to follow it.

    front end (layers, models, trainer, ...)      ->  codegen, ir
    codegen   (schedule, memory plan, back ends)  ->  ir
    ir        (graphs, ops, passes)               ->  NumPy and the standard library

Imports are read from the source with `ast`, so nothing is loaded and platform-dependent modules count too.  An import
is `top` (runs when the module is imported), `function` (runs when a function does) or `typing` (never runs).
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layer:
    """One row: modules under `package` may import these; the row with the longest matching package counts."""

    package: str
    kgraph: tuple[str, ...]  # packages of kgraph, at any place
    third_party: tuple[str, ...]  # at any place
    in_functions: tuple[str, ...] = ()  # inside functions only: too slow to load, or not always installed
    never: tuple[str, ...] = ()  # packages of kgraph taken out of what `kgraph` allows


LEAVES = ("kgraph.errors", "kgraph.config")
OPTIONAL = ("matplotlib", "PIL", "sklearn", "onnx", "mpi4py", "threadpoolctl")

ALLOWED = (
    Layer("kgraph.errors", (), ()),
    Layer("kgraph.config", ("kgraph.errors",), ()),
    Layer("kgraph.ir", ("kgraph.ir", *LEAVES), ("numpy",)),
    Layer("kgraph.ir.analysis", ("kgraph.ir", *LEAVES), ("numpy",), in_functions=("networkx",)),
    Layer(
        "kgraph.codegen",
        ("kgraph.codegen", "kgraph.ir", *LEAVES),
        ("numpy",),
    ),
    # A back end never imports another one; what two of them share lies in kgraph.codegen itself.
    Layer(
        "kgraph.codegen.cpu",
        ("kgraph.codegen", "kgraph.ir", *LEAVES),
        ("numpy", "numba", "llvmlite"),
        never=("kgraph.codegen.cuda",),
    ),
    Layer(
        "kgraph.codegen.cuda",
        ("kgraph.codegen", "kgraph.ir", *LEAVES),
        ("numpy",),
        in_functions=("numba", "cuda"),
        never=("kgraph.codegen.cpu",),
    ),
    # The front end reaches a back end through kgraph.codegen only.
    Layer(
        "kgraph",
        ("kgraph",),
        ("numpy",),
        in_functions=("networkx", "h5py", "rich", *OPTIONAL),
        never=("kgraph.codegen.cpu", "kgraph.codegen.cuda", "kgraph.cli"),
    ),
    Layer(
        "kgraph.cli",
        ("kgraph",),
        ("numpy",),
        in_functions=("numba", "llvmlite", "networkx", "h5py", "rich", *OPTIONAL),
    ),
    Layer("kgraph.__main__", ("kgraph",), ()),
)

# Not loaded by `import kgraph`: together they take a second.
HEAVY = ("numba", "llvmlite", "networkx", "h5py", "rich", "matplotlib")


@dataclass(frozen=True)
class Import:
    module: str  # the module that imports
    target: str  # what it imports, with full name
    place: str  # "top" | "function" | "typing"
    where: str  # file:line
    relative: bool


def under(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def row(module: str) -> Layer:
    return max((layer for layer in ALLOWED if under(module, layer.package)), key=lambda layer: len(layer.package))


@cache
def modules() -> dict[str, Path]:
    """Module name -> file, for everything in the package."""
    found = {}
    for path in sorted((ROOT / "kgraph").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    return tuple(entry for name, path in modules().items() for entry in imports_of(name, path))


def imports_of(module: str, path: Path) -> Iterator[Import]:
    file = path.relative_to(ROOT)

    def visit(node: ast.AST, place: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, place, f"{file}:{child.lineno}", relative=False)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                for alias in child.names:
                    # `from kgraph.ir import passes` may name a module or a thing in one
                    full = f"{base}.{alias.name}"
                    target = full if full in modules() else base
                    yield Import(module, target, place, f"{file}:{child.lineno}", relative=child.level > 0)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from visit(child, "function" if place == "top" else place)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                yield from visit(child, "typing")
            else:
                yield from visit(child, place)

    return visit(ast.parse(path.read_text(encoding="utf-8"), str(path)), "top")


def is_allowed(entry: Import) -> bool:
    layer = row(entry.module)
    target = entry.target
    if under(target, "kgraph"):
        if any(under(target, package) for package in layer.never):
            return False
        if target == "kgraph" and "kgraph" not in layer.kgraph:
            return False
        return any(under(target, package) for package in layer.kgraph)
    top = target.partition(".")[0]
    if top in sys.stdlib_module_names or top in layer.third_party:
        return True
    return top in layer.in_functions and entry.place in ("function", "typing")


def report(entries: list[Import], why: str) -> None:
    if entries:
        lines = [f"  {entry.where}: {entry.module} imports {entry.target} ({entry.place})" for entry in entries]
        pytest.fail(f"{why}:\n" + "\n".join(lines))


def test_imports_follow_the_table():
    report([entry for entry in imports() if not is_allowed(entry)], "imports that the table does not allow")


def test_imports_are_absolute():
    report([entry for entry in imports() if entry.relative], "relative imports; write the full name")


def test_nothing_imports_the_links_at_the_top():
    """`ir` and `codegen` at the root are for readers; a second copy of a module under another name would be a bug."""
    found = list(imports())
    for folder in ("tests", "examples", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            found += imports_of(".".join(path.relative_to(ROOT).with_suffix("").parts), path)
    bare = [entry for entry in found if not entry.relative and entry.target.partition(".")[0] in ("ir", "codegen")]
    report(bare, "imports of a bare ir or codegen; write kgraph.ir, kgraph.codegen")


def loaded_by_import_kgraph() -> list[str]:
    """Modules that `import kgraph` runs, by following top-level imports; a module also runs its parent packages."""
    by_module: dict[str, list[str]] = {}
    for entry in imports():
        if entry.place == "top" and under(entry.target, "kgraph"):
            by_module.setdefault(entry.module, []).append(entry.target)
    seen: dict[str, None] = {}
    waiting = ["kgraph"]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        for full in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            if full in modules() and full not in seen:
                seen[full] = None
                waiting += by_module.get(full, [])
    return list(seen)


def test_import_kgraph_reaches_no_heavy_import():
    reached = set(loaded_by_import_kgraph())
    heavy = [
        entry
        for entry in imports()
        if entry.module in reached and entry.place == "top" and entry.target.partition(".")[0] in HEAVY
    ]
    report(heavy, "slow libraries that `import kgraph` would load; import them inside the function that needs them")


PROBE = """
import json, sys, time
begin = time.perf_counter()
import numpy
middle = time.perf_counter()
import kgraph
end = time.perf_counter()
print(json.dumps({"numpy": middle - begin, "kgraph": end - middle, "modules": sorted(sys.modules)}))
"""


def fresh_import() -> dict[str, object]:
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_import_in_a_fresh_interpreter_is_quick_and_light():
    """0.3 s are asked for; the bound here is loose because other tests run beside this one."""
    runs = [fresh_import() for _ in range(3)]
    best = min(runs, key=lambda run: run["numpy"] + run["kgraph"])
    print(f"import numpy {best['numpy']:.3f} s, import kgraph after it {best['kgraph']:.3f} s")
    loaded = {name.partition(".")[0] for name in best["modules"]}
    assert [name for name in HEAVY if name in loaded] == []
    assert best["numpy"] + best["kgraph"] <= 0.6
