"""`get_file`: a file from the net, kept in a cache, checked and unpacked.

The cache is `~/.keras`, or `$KERAS_HOME`, as that of Keras, so that files which Keras has fetched are found.  A file
appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.error import URLError
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

from kgraph.errors import DataError, FileError, InvalidArgumentError
from kgraph.utils.progbar import Progbar

__all__ = ["extract_archive", "get_file", "keras_home", "validate_file"]

_BLOCK = 1 << 20  # bytes read at a time
_TIMEOUT = 30  # seconds without an answer
# An archive that unpacks to more than this is taken for one made to fill the disk.
MOST_BYTES = 64 << 30
MOST_RATIO = 1000  # of unpacked to packed bytes, where it is more than a gigabyte
MOST_MEMBERS = 2_000_000
_HASH_LENGTHS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


def keras_home() -> str:
    """The cache directory: `$KERAS_HOME`, or `~/.keras`."""
    return os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")


def get_file(
    fname: Any = None,
    origin: str | None = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """The path of a file that lies in the cache, or is fetched to it now.

    Args:
        fname: its name in the cache; default: that in `origin`.
        origin: `https://`, `http://`, `ftp://` or `file://` address.
        untar: as `extract`, for tar archives (Keras 2).
        md5_hash: as `file_hash` (Keras 2).
        file_hash: hexadecimal digest that the file must have; a cached file with another one is fetched again.
        cache_subdir: directory within the cache.
        hash_algorithm: `"md5"`, `"sha256"`, ..., or `"auto"`: by the length of the digest.
        extract: unpack an archive, and return the path of its directory.
        archive_format: `"tar"`, `"zip"`, a list of them, `"auto"` or None.
        cache_dir: the cache; default: see `keras_home`.
        force_download: fetch it even when it is there.

    Returns:
        A path.  With `extract` that of a directory: `fname` without ending, `_extracted` added where it had one.

    Raises:
        InvalidArgumentError: there is no origin, or the name is a path.
        FileError: the file cannot be fetched or unpacked; says where to put it by hand.
        DataError: what came has another digest.
    """
    if not origin:
        raise InvalidArgumentError("get_file needs the address of the file", fix="pass origin='https://...'")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    folder = Path(keras_home() if cache_dir is None else os.path.expanduser(cache_dir)) / cache_subdir
    name = _name(fname, origin)
    unpack = extract or untar
    target, directory = folder / name, folder / name
    if unpack and fname and "." in name:
        directory = folder / f"{name[: name.find('.')]}_extracted"
    elif unpack:
        target = folder / f"{name}_archive"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"the cache {str(folder)!r} cannot be made",
            got=error.strerror or "",
            fix="pass cache_dir=, or set KERAS_HOME to a directory of yours",
        ) from None
    whole = target.is_file() and (file_hash is None or validate_file(target, file_hash, hash_algorithm))
    if force_download or not whole:
        _fetch(origin, target, file_hash, hash_algorithm)
    if not unpack:
        return str(target)
    kinds = "tar" if untar and archive_format == "auto" else archive_format
    if not extract_archive(target, directory, kinds):
        raise FileError(f"{str(target)!r} is no archive", needed=f"a {kinds} archive", fix="leave out extract=True")
    return str(directory)


def _name(fname: Any, origin: str) -> str:
    name = os.fspath(fname) if fname else os.path.basename(unquote(urlsplit(origin).path))
    if not name:
        raise InvalidArgumentError(f"the address {origin!r} ends in no file name", fix="pass fname=")
    if name in (".", "..") or "/" in name or os.sep in name or "\0" in name:
        raise InvalidArgumentError(
            f"get_file: fname={name!r} is a path", fix="pass the name alone; cache_dir= and cache_subdir= say where"
        )
    return str(name)


def validate_file(path: Any, file_hash: str, algorithm: str = "auto") -> bool:
    """Whether a file has this digest.

    Args:
        path: of the file.
        file_hash: hexadecimal digest.
        algorithm: one of `hashlib`, or `"auto"`: by the length of the digest.

    Raises:
        InvalidArgumentError: there is no such algorithm, or the length is that of none.
    """
    name = _HASH_LENGTHS.get(len(file_hash)) if algorithm == "auto" else algorithm.replace("sha-", "sha")
    if name is None or name not in hashlib.algorithms_available:
        raise InvalidArgumentError(
            f"no hash algorithm fits {algorithm!r} and a digest of {len(file_hash)} digits", needed="'md5' or 'sha256'"
        )
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == file_hash.lower()


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A name in the same directory, for something that is moved to `target` when it is whole."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary / target.name
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fetch(origin: str, target: Path, file_hash: str | None, algorithm: str) -> None:
    if urlsplit(origin).scheme not in ("http", "https", "ftp", "file"):
        raise InvalidArgumentError(f"the address {origin!r}", needed="https://, http://, ftp:// or file://")
    with _beside(target) as temporary:
        try:
            with urlopen(origin, timeout=_TIMEOUT) as source, open(temporary, "wb") as file:
                _copy(origin, source, file)
        except (URLError, OSError) as error:
            raise FileError(
                f"{target.name!r} cannot be fetched from {origin}",
                got=str(getattr(error, "reason", None) or error),
                fix=f"fetch it by another way and put it at {target}",
            ) from None
        if file_hash is not None and not validate_file(temporary, file_hash, algorithm):
            raise DataError(
                f"{target.name!r} from {origin} is not the file that was meant: its digest differs",
                needed=f"digest {file_hash}",
                fix=f"try again, or put the right file at {target}",
            )
        os.replace(temporary, target)


def _copy(origin: str, source: Any, file: BinaryIO) -> None:
    from kgraph.keras_config import is_interactive_logging_enabled

    length = source.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    live = is_interactive_logging_enabled() and sys.stdout.isatty()
    bar = Progbar(total, verbose=1 if live else 0, unit_name="byte")
    if is_interactive_logging_enabled():
        print(f"Downloading data from {origin}")
    done = 0
    while block := source.read(_BLOCK):
        file.write(block)
        done += len(block)
        bar.update(done)
    if total is not None and done != total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


# -- archives -------------------------------------------------------------------------------------------------------
def extract_archive(file_path: Any, path: Any = ".", archive_format: Any = "auto") -> bool:
    """Unpack a tar or zip archive into a directory, which is replaced as a whole.

    Args:
        file_path: the archive.
        path: the directory.
        archive_format: `"tar"`, `"zip"`, a list of them, `"auto"` or None.

    Returns:
        Whether it is such an archive.

    Raises:
        FileError: the archive is damaged; a member would lie outside the directory, is a link out of it or a device,
            or there is far more in it than its size allows.
    """
    kinds = ("tar", "zip") if archive_format == "auto" else archive_format or ()
    for kind in (kinds,) if isinstance(kinds, str) else kinds:
        if kind not in _OPENERS:
            raise InvalidArgumentError(f"archive_format={archive_format!r}", needed="'auto', 'tar', 'zip' or None")
        matches, unpack = _OPENERS[kind]
        if matches(file_path):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with _beside(target) as temporary:
                temporary.mkdir()
                try:
                    unpack(Path(file_path), temporary)
                except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
                    raise _bad(file_path, str(error) or "it is damaged") from None
                _replace(temporary, target)
            return True
    return False


def _replace(temporary: Path, target: Path) -> None:
    """Move a directory to its place; what it holds goes over what is there."""
    if not target.exists():
        os.replace(temporary, target)
        return
    for source in sorted(temporary.rglob("*")):
        place = target / source.relative_to(temporary)
        if source.is_dir() and not source.is_symlink():
            place.mkdir(parents=True, exist_ok=True)
        else:
            os.replace(source, place)


def _bad(archive: Any, why: str) -> FileError:
    return FileError(
        f"the archive {Path(archive).name!r} is not unpacked", got=why, fix="fetch it again from its maker"
    )


class _Room:
    """Counts what an archive unpacks to."""

    def __init__(self, archive: Path) -> None:
        self.archive, self.packed = archive, archive.stat().st_size
        self.members = self.bytes = 0

    def member(self, name: str) -> PurePosixPath:
        """A member's path below the directory."""
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise _bad(self.archive, f"more than {MOST_MEMBERS} members")
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in (path.parts or ("",))[0] or "\0" in name:
            raise _bad(self.archive, f"the member {name!r} would lie outside of the directory")
        return path

    def copy(self, source: Any, place: Path) -> None:
        """Write a member, as long as there is not too much."""
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "wb") as file:
            while block := source.read(_BLOCK):
                self.bytes += len(block)
                if self.bytes > MOST_BYTES or self.bytes > max(1 << 30, MOST_RATIO * self.packed):
                    raise _bad(self.archive, f"more than {self.bytes - len(block)} bytes from {self.packed}")
                file.write(block)


def _untar(archive: Path, directory: Path) -> None:
    room = _Room(archive)
    with tarfile.open(archive) as tar:
        for member in tar:
            place = directory / room.member(member.name)
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                source = tar.extractfile(member)
                assert source is not None
                room.copy(source, place)
            elif member.issym() or member.islnk():
                _linked(room, tar, member, place)
            else:
                raise _bad(archive, f"the member {member.name!r} is a device")


def _linked(room: _Room, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    """A copy of what a link within the archive names, so that no link is ever followed."""
    base = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
    name = os.path.normpath(str(base / member.linkname)).replace(os.sep, "/")
    room.member(name)
    try:
        found = tar.getmember(name)
    except KeyError:
        raise _bad(room.archive, f"the link {member.name!r} leads to {member.linkname!r}, which is not in it") from None
    source = tar.extractfile(found) if found.isreg() else None
    if source is None:
        raise _bad(room.archive, f"the link {member.name!r} leads to no file")
    room.copy(source, place)


def _unzip(archive: Path, directory: Path) -> None:
    room = _Room(archive)
    with zipfile.ZipFile(archive) as package:
        for member in package.infolist():
            place = directory / room.member(member.filename)
            if stat.S_ISLNK(member.external_attr >> 16):
                raise _bad(archive, f"the member {member.filename!r} is a link")
            if member.is_dir():
                place.mkdir(parents=True, exist_ok=True)
                continue
            with package.open(member) as source:
                room.copy(source, place)


_OPENERS: dict[str, tuple[Callable[[Any], bool], Callable[[Path, Path], None]]] = {
    "tar": (tarfile.is_tarfile, _untar),
    "zip": (zipfile.is_zipfile, _unzip),
}
