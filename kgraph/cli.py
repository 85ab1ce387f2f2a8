"""The command line: `kgraph print|opt|run|summary|convert|info`.

Works on files of IR text (`-` is standard input) and of models.  Mistakes of the user end with a message and exit code
1 (2 for wrong arguments), without a traceback unless `KGRAPH_TRACEBACK=full`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgraph.errors import DataError, KGraphError

if TYPE_CHECKING:
    from kgraph.ir.graph import Graph

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    Args:
        arguments: those of the process when not given.
    """
    options = _parser().parse_args(arguments)
    try:
        code: int = options.function(options)
        return code
    except BrokenPipeError:  # `kgraph print big.kg | head`
        sys.stderr.close()
        return 0
    except (KGraphError, OSError) as error:
        if _full_traceback():
            raise
        if isinstance(error, KGraphError):
            print(f"kgraph.{type(error).__name__}: {error}", file=sys.stderr)
        else:
            print(f"kgraph: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1


def _full_traceback() -> bool:
    from kgraph.config import settings

    try:
        return settings().traceback == "full"
    except KGraphError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("kgraph", description="Print, optimise and run graphs of the kgraph IR.")
    parser.add_argument("--version", action="version", version=f"kgraph {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    show = commands.add_parser("print", help="read a graph, check it, and print it in its canonical form")
    show.add_argument("file", help="IR text; - for standard input")
    show.add_argument("--no-locs", action="store_true", help="leave out locations (file, line, layer)")
    show.set_defaults(function=_print)

    opt = commands.add_parser("opt", help="run passes over a graph")
    opt.add_argument("file", help="IR text; - for standard input")
    opt.add_argument("-p", "--passes", default="", help="e.g. simplify,cse,dce; default: the optimising pipeline")
    opt.add_argument("-o", "--output", help="file to write; default: standard output")
    opt.set_defaults(function=_opt)

    run = commands.add_parser("run", help="run a graph once")
    run.add_argument("file", help="IR text; - for standard input")
    run.add_argument("--target", default="reference", help="reference or cpu (default: reference)")
    run.add_argument("--input", action="append", default=[], metavar="NAME=FILE.npy", help="array of an input or param")
    run.add_argument("--random", action="store_true", help="random arrays for everything that --input does not give")
    run.add_argument("--seed", type=int, default=0, help="of --random (default: 0)")
    run.add_argument("--size", action="append", default=[], metavar="NAME=N", help="size of a symbol for --random")
    run.add_argument("--save", metavar="DIR", help="write outputs and updates as .npy files")
    run.set_defaults(function=_run)

    table = commands.add_parser("summary", help="the layers of a model file (.keras, .h5, .safetensors or .json)")
    table.add_argument(
        "file", help="a file of model.save(), JSON of model.to_json(), or .safetensors of kgraph convert"
    )
    table.add_argument("--expand-nested", action="store_true", help="show the layers of nested models too")
    table.set_defaults(function=_summary)

    convert = commands.add_parser("convert", help="write a model file in another format, chosen by the file's ending")
    convert.add_argument("source", help=".keras, .h5, .json, or .safetensors that kgraph convert wrote")
    convert.add_argument("target", help=".keras, .h5, .weights.h5, .safetensors (weights and description) or .json")
    convert.add_argument("--force", action="store_true", help="replace TARGET if it exists")
    convert.set_defaults(function=_convert)

    info = commands.add_parser("info", help="versions, CPU, cache and targets")
    info.add_argument("--measure", action="store_true", help="measure what the CPU does at best again, and show it")
    info.set_defaults(function=_info)
    return parser


def _version() -> str:
    from kgraph import __version__

    return __version__


def _read(name: str) -> Graph:
    from kgraph.ir import parse

    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is no IR text", got=f"a byte that is no UTF-8 at {error.start}") from None
    return parse(text)


def _load(file: str) -> Any:
    import numpy as np

    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, EOFError):
        raise DataError(f"{file} holds no array", needed="a .npy file of numbers, as numpy.save writes") from None


# -- commands ---------------------------------------------------------------------------------------------------------
def _print(options: argparse.Namespace) -> int:
    from kgraph.ir import verify
    from kgraph.ir.printer import print_graph

    graph = _read(options.file)
    verify(graph)
    print(print_graph(graph, locs=not options.no_locs))
    return 0


def _opt(options: argparse.Namespace) -> int:
    from kgraph.ir.passes import OPTIMIZE, PassContext, parse_pipeline, run_passes

    graph = _read(options.file)
    passes = parse_pipeline(options.passes) if options.passes else OPTIMIZE
    run_passes(graph, passes, PassContext(verify=True))
    if options.output:
        Path(options.output).write_text(f"{graph}\n", encoding="utf-8")
    else:
        print(graph)
    return 0


def _run(options: argparse.Namespace) -> int:
    import numpy as np

    from kgraph.codegen import run_graph

    graph = _read(options.file)
    arrays: dict[str, Any] = {}
    for name, file in (_pair(text, "--input", "NAME=FILE.npy") for text in options.input):
        arrays[name.removeprefix("%")] = _load(file)
    if options.random:
        sizes = {name: _whole(number) for name, number in (_pair(text, "--size", "NAME=N") for text in options.size)}
        _fill(graph, arrays, sizes, options.seed)
    result = run_graph(graph, arrays, target=options.target)
    named = {f"output {k}": array for k, array in enumerate(result.outputs)}
    named.update({f"update %{name}": array for name, array in result.updates.items()})
    for name, array in named.items():
        print(f"{name}: {array.dtype}{list(array.shape)}")
        print(np.array2string(array, precision=6, threshold=20))
    if options.save:
        directory = Path(options.save)
        directory.mkdir(parents=True, exist_ok=True)
        for name, array in named.items():
            np.save(directory / (name.replace(" %", "-").replace(" ", "-").replace("/", ".") + ".npy"), array)
    return 0


def _summary(options: argparse.Namespace) -> int:
    _model(options.file).summary(expand_nested=options.expand_nested)
    return 0


def _convert(options: argparse.Namespace) -> int:
    target = Path(options.target)
    if target.exists() and not options.force:
        raise DataError(f"the file {target} exists", fix="pass --force")
    model = _model(options.source)
    if target.suffix == ".json":
        from kgraph.saving.safety import atomic_file

        with atomic_file(target, True, f"model {model.name!r}") as temporary:
            Path(temporary).write_text(model.to_json(), encoding="utf-8")
    elif target.suffix == ".safetensors":
        from kgraph.saving.named_weights import save_safetensors

        save_safetensors(model, target, overwrite=True, config=True)
    elif target.name.endswith(".weights.h5"):
        model.save_weights(target, overwrite=True)
    else:
        model.save(target, overwrite=True)
    print(f"{options.source} -> {options.target}")
    return 0


def _model(name: str) -> Any:
    from kgraph.saving import load_model, model_from_json

    if name.endswith(".json"):
        return model_from_json(Path(name).read_text(encoding="utf-8"))
    return load_model(name)


def _pair(text: str, option: str, form: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise DataError(f"{option} {text!r} cannot be read", needed=form)
    return name, value


def _whole(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise DataError(f"--size: {text!r} is no size", needed="a whole number, 1 or more")
    return int(text)


def _fill(graph: Graph, arrays: dict[str, Any], sizes: dict[str, int], seed: int) -> None:
    """Random arrays for all that is missing: floats normal, whole numbers 0 or 1, which every table has rows for."""
    import numpy as np

    from kgraph.ir.dims import evaluate_shape
    from kgraph.ir.types import is_float, numpy_dtype

    values = [*graph.inputs, *graph.params]
    known = dict.fromkeys(graph.symbols, 4)
    for value in values:
        if value.name in arrays:
            known.update(
                {str(dim): size for dim, size in zip(value.shape, arrays[value.name].shape) if str(dim) in known}
            )
    for name in sizes:
        if name not in known:
            raise DataError(f"--size: the graph has no symbol {name!r}", needed=", ".join(known) or "none")
    known.update(sizes)
    generator = np.random.default_rng(seed)
    for value in values:
        if value.name not in arrays:
            shape = evaluate_shape(value.shape, known)
            drawn = generator.normal(size=shape) if is_float(value.dtype) else generator.integers(0, 2, size=shape)
            arrays[value.name] = np.asarray(drawn).astype(numpy_dtype(value.dtype))


def _info(options: argparse.Namespace) -> int:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from kgraph.codegen.launches import cpu_name
    from kgraph.codegen.targets import TARGETS, missing
    from kgraph.config import settings

    env = settings()
    rows = [("kgraph", _version()), ("python", platform.python_version()), ("platform", platform.platform())]
    rows += [("cpu", cpu_name()), ("threads", str(env.num_threads))]
    for package in ("numpy", "numba", "llvmlite", "networkx", "h5py", "rich"):
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    rows.append(("cache", _cache_text(env.cache)))
    for name, target in TARGETS.items():
        reason = missing(name)
        rows.append((f"target {name}", f"{target.doc}" if not reason else f"not available: {reason}"))
    width = max(len(label) for label, _ in rows)
    for label, text in rows:
        print(f"{label:<{width}}  {text}")
    if options.measure:
        from kgraph.codegen.cpu.ceilings import machine_ceilings

        print(machine_ceilings(again=True))
    return 0


def _cache_text(directory: Path | None) -> str:
    if directory is None:
        return "off"
    files = [file for file in directory.rglob("*") if file.is_file()] if directory.is_dir() else []
    size = sum(file.stat().st_size for file in files)
    return f"{directory} ({len(files)} files, {size / 1e6:.1f} MB)"
