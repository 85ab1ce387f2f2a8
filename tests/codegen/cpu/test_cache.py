"""The object cache: content addressed, whole files only, never in the way."""

import multiprocessing
import os
import subprocess
import sys
import warnings

import pytest

from kgraph.codegen.cpu.cache import CacheWarning, ObjectCache

KEY = ObjectCache.key("def kernel(): pass", "cpu")


def test_what_was_put_comes_back(tmp_path):
    cache = ObjectCache(tmp_path)
    assert cache.get(KEY) is None
    cache.put(KEY, b"code")
    assert cache.get(KEY) == b"code"
    assert ObjectCache(tmp_path).get(KEY) == b"code"


def test_keys_depend_on_every_part():
    keys = {ObjectCache.key(*parts) for parts in (("a", "b"), ("ab", ""), ("", "ab"), ("a", "c"))}
    assert len(keys) == 4


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-1], lambda b: b[:20], lambda b: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1]), lambda b: b"X" + b[1:]],
    ids=["truncated", "header only", "empty", "bit flip", "no magic"],
)
def test_a_damaged_file_is_named_once_and_made_again(tmp_path, damage):
    cache = ObjectCache(tmp_path)
    cache.put(KEY, b"some object code")
    path = cache.path(KEY)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(CacheWarning, match=path.name) as said:
        assert cache.get(KEY) is None
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.get(KEY) is None
        cache.put(KEY, b"some object code")
        assert cache.get(KEY) == b"some object code"


def test_a_directory_that_cannot_be_written_is_said_once(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    cache = ObjectCache(blocked / "cache")
    with pytest.warns(CacheWarning, match="cannot be cached"):
        cache.put(KEY, b"1")
    cache.put(KEY, b"2")  # a second warning would be an error
    assert cache.get(KEY) is None


def test_no_directory_keeps_nothing():
    cache = ObjectCache(None)
    cache.put(KEY, b"1")
    assert cache.get(KEY) is None
    assert cache.path(KEY) is None


def _write_many(directory: str, payload: bytes) -> None:
    cache = ObjectCache(directory)
    for _ in range(100):
        cache.put(KEY, payload)


def test_readers_see_whole_files_while_processes_write(tmp_path):
    context = multiprocessing.get_context("spawn")
    payloads = [bytes([n]) * 50_000 for n in (1, 2)]
    writers = [context.Process(target=_write_many, args=(str(tmp_path), payload)) for payload in payloads]
    for writer in writers:
        writer.start()
    cache, seen = ObjectCache(tmp_path), set()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        while any(writer.is_alive() for writer in writers):
            seen.add(cache.get(KEY))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= {None, *payloads}
    assert not [name for _, _, names in os.walk(tmp_path) for name in names if name.startswith(".new-")]


def test_the_cache_imports_no_numba():
    code = "import sys, kgraph.codegen.cpu.cache as c; c.toolchain_key(); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
