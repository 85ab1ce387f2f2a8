"""A process that turns LLVM text into object code for the one that started it; run by path.

It loads `objects` alone, by path too: no NumPy, no Numba, nothing of the caller's script, so that it is ready after
some 40 ms. On its standard input come requests, on its standard output go answers, in turn: a header, then as many
bytes as it says. A request without bytes, or the end of the input, ends the process.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import struct
import sys
from typing import Any, BinaryIO

HEADER = struct.Struct("<QB")
"""Bytes that follow; then, of a request: whether the text is vector code by hand, of an answer: whether it is object
code (else it is the message of an error).
"""


def _load(path: str) -> Any:
    specification = importlib.util.spec_from_file_location("kgraph_objects", path)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules["kgraph_objects"] = module
    specification.loader.exec_module(module)
    return module


def _serve(objects: Any, requests: BinaryIO, answers: BinaryIO) -> None:
    while len(header := requests.read(HEADER.size)) == HEADER.size:
        size, by_hand = HEADER.unpack(header)
        if not size:
            return
        try:
            data, good = objects.emit_object(requests.read(size).decode(), by_hand=bool(by_hand)), True
        except objects.NativeCodeError as error:
            data, good = str(error).encode(), False
        answers.write(HEADER.pack(len(data), good) + data)
        answers.flush()


def main() -> None:
    """Arguments: the file of `objects`, then what `sys.path` is to be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's: it ends this process by the pipe
    sys.path[:] = sys.argv[2:]
    _serve(_load(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # there is nothing to tidy up


if __name__ == "__main__":
    main()
