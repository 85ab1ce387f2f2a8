"""Machine code made beside the thread that asks for it: threads, and processes where a lot has to be made.

LLVM needs no Python, but llvmlite guards it with a lock that Numba's front end takes as well, and each call of it
ends with a wait for the GIL, which the front end hardly lets go of. In a process of its own it runs undisturbed.
A process that does not start, or dies, costs time only: its work is done by the thread that waits for it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

from kgraph.codegen.cpu import objects
from kgraph.codegen.cpu.cache import Emit
from kgraph.codegen.cpu.compiler_process import HEADER

__all__ = ["Compilers"]

_MOST = 8  # front ends of one process keep no more busy


class Compilers:
    """Makes objects in up to `processes` processes beside this one; with 0, in one thread of this process."""

    def __init__(self, processes: int) -> None:
        self._threads = ThreadPoolExecutor(min(max(processes, 1), _MOST), "kgraph compiler")
        self._local = threading.local()
        self._processes: list[_Process] = []
        self._use_processes = processes > 0

    def submit(self, make: Callable[[Emit], bytes]) -> Future[bytes]:
        """``make(emit)`` in another thread; `emit` is `objects.emit_object`, here or in a process."""
        return self._threads.submit(self._run, make)

    def close(self) -> None:
        """Drop what has not begun, wait for what has, end the processes."""
        self._threads.shutdown(cancel_futures=True)
        for process in self._processes:
            process.end()

    def _run(self, make: Callable[[Emit], bytes]) -> bytes:
        return make(self._emit if self._use_processes else objects.emit_object)

    def _emit(self, llvm_ir: str, *, by_hand: bool = False) -> bytes:
        process = getattr(self._local, "process", None)
        if process is None:
            process = self._local.process = _Process()
            self._processes.append(process)
        made = process.emit(llvm_ir, by_hand)
        return objects.emit_object(llvm_ir, by_hand=by_hand) if made is None else made


class _Process:
    """A `compiler_process`, used by one thread."""

    def __init__(self) -> None:
        here = Path(__file__)
        script, library = (str(here.with_name(name)) for name in ("compiler_process.py", "objects.py"))
        command = [sys.executable, "-S", "-E", script, library, *map(str, sys.path)]
        self._process: subprocess.Popen[bytes] | None = None
        if not sys.executable or getattr(sys, "frozen", False):
            return  # a program with Python inside: its executable is not Python
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except (OSError, ValueError):  # processes are forbidden, or there are too many
            pass

    def emit(self, llvm_ir: str, by_hand: bool) -> bytes | None:
        """Object code, or None where the process cannot be used. Raises `NativeCodeError` where LLVM refuses."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return None
        text = llvm_ir.encode()
        try:
            self._process.stdin.write(HEADER.pack(len(text), by_hand) + text)
            self._process.stdin.flush()
            size, good = HEADER.unpack(_read(self._process.stdout, HEADER.size))
            data = _read(self._process.stdout, size)
        except OSError:
            self._process.kill()
            self.end()
            return None
        if not good:
            raise objects.NativeCodeError(data.decode())
        return data

    def end(self) -> None:
        """End the process and wait until it is gone. It is told to go: a fork of ours may hold its input open."""
        if self._process is None:
            return
        try:
            self._process.communicate(HEADER.pack(0, False), timeout=1)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.communicate()
        self._process = None


def _read(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise OSError("the process ended")
    return data
