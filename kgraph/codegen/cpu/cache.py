"""Object code on disk, addressed by the content it was made from.

One file per kernel. Its name is the key (kernel text, host CPU, versions of the packages that made the code), so
nothing is ever stale and nothing is ever overwritten by something different; a clean-up may delete any file at any
time.

Invariants: what :meth:`ObjectCache.get` returns is what some process passed to ``put`` (a digest in the file proves
it); a cache that cannot work costs time and one warning, never a result. Numba is not imported here: a warm start
does without it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["CacheWarning", "Emit", "ObjectCache", "Recipe", "toolchain_key"]

_MAGIC = b"kgraph-object-1\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size


class Emit(Protocol):
    """LLVM text to object code: `objects.emit_object`, wherever it runs."""

    def __call__(self, llvm_ir: str, *, by_hand: bool = ...) -> bytes:
        """Object code of one module. by_hand: as that function has it."""


@dataclass(frozen=True)
class Recipe:
    """An object by its key in the cache, and how to make it where it is not there."""

    key: str
    build: Callable[[Emit], bytes]


class CacheWarning(UserWarning):
    """A cached kernel was damaged, or the cache directory cannot be used; the kernels are compiled instead."""


@functools.cache
def toolchain_key() -> str:
    """Names and versions of the packages whose code generation an object depends on."""
    return ";".join(f"{name} {_version(name)}" for name in ("numba", "llvmlite", "numpy"))


def _version(name: str) -> str:
    """The installed version, from the name of the folder beside the package; `importlib.metadata` reads and parses
    whole files, and is asked only where there is no such folder.
    """
    specification = importlib.util.find_spec(name)
    for package in (specification and specification.submodule_search_locations) or ():
        found = [path.name for path in Path(package).parent.glob(f"{name}-*.dist-info")]
        if len(found) == 1:
            return found[0].removeprefix(f"{name}-").removesuffix(".dist-info")
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"


class ObjectCache:
    """Content-addressed files under ``directory``; with ``None`` it keeps nothing and says nothing.

    Safe with many threads and processes at once: a file appears whole under its name or not at all.
    """

    def __init__(self, directory: str | os.PathLike[str] | None) -> None:
        self.directory = None if directory is None else Path(directory)
        self._writable = self.directory is not None

    @staticmethod
    def key(text: str, host: str) -> str:
        """Key (64 hexadecimal digits) of a kernel: ``text`` is all that determines its code, ``host`` is
        ``objects.host_cpu_key()``.
        """
        digest = hashlib.sha256()
        for part in (text, host, toolchain_key()):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "little"))  # so that parts cannot run into one another
            digest.update(encoded)
        return digest.hexdigest()

    def path(self, key: str) -> Path | None:
        """Where the object of ``key`` lies, or would; two hexadecimal digits of folders keep folders small."""
        return None if self.directory is None else self.directory / key[:2] / f"{key[2:]}.o"

    def get(self, key: str) -> bytes | None:
        """The object put under ``key``, or ``None``: not there, or damaged (then the file is removed and one
        :class:`CacheWarning` names it).
        """
        path = self.path(key)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        payload = content[_HEADER:]
        if content[: len(_MAGIC)] == _MAGIC and content[len(_MAGIC) : _HEADER] == hashlib.sha256(payload).digest():
            return payload
        warnings.warn(f"the cached kernel {path} is damaged; it is compiled again", CacheWarning, stacklevel=2)
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, data: bytes) -> None:
        """Keep ``data`` under ``key``. Where the directory cannot be written, one :class:`CacheWarning` says so and
        nothing is kept.
        """
        path = self.path(key)
        if path is None or not self._writable:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, _MAGIC + hashlib.sha256(data).digest() + data)
        except OSError as error:
            self._writable = False
            reason = error.strerror or str(error)
            warnings.warn(
                f"kernels cannot be cached in {self.directory} ({reason}); they are compiled anew in every process",
                CacheWarning,
                stacklevel=2,
            )


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
