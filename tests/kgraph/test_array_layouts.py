"""Arrays of the user's as they come: views, turned, on no boundary, read-only; results are those of a plain copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import kgraph

ROWS, WIDTH = 37, 6
Array = np.ndarray


def _every_second(x: Array) -> Array:
    home = np.full((2 * len(x), *x.shape[1:]), 99, x.dtype)
    home[::2] = x
    return home[::2]


def _some_columns(x: Array) -> Array:
    home = np.full((*x.shape[:-1], 3 * x.shape[-1] + 1), 99, x.dtype)
    home[..., 1::3] = x
    return home[..., 1::3]


def _backwards(x: Array) -> Array:
    return x[::-1].copy()[::-1]


def _off_by(count: int) -> Callable[[Array], Array]:
    def place(x: Array) -> Array:
        raw = np.zeros(x.nbytes + 128, np.uint8)
        start = -raw.ctypes.data % 64 + count
        found = raw[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
        found[...] = x
        return found

    return place


def _read_only(x: Array) -> Array:
    found = x.copy()
    found.flags.writeable = False
    return found


def _of_other_endianness(x: Array) -> Array:
    return x.astype(x.dtype.newbyteorder())


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "every second row": _every_second,
    "every third column": _some_columns,
    "backwards": _backwards,
    "columns first": np.asfortranarray,
    "an element off": _off_by(4),
    "a byte off": _off_by(1),
    "read-only": _read_only,
    "other endianness": _of_other_endianness,
    "of double precision": lambda x: x.astype(np.float64),
}


def results(x: Array, y: Array) -> list[Array]:
    """Of every way that arrays go in: the native loop, a batch, one row; and out again."""
    kgraph.utils.set_random_seed(2)
    layers = kgraph.layers
    model = kgraph.Sequential([kgraph.Input((WIDTH,)), layers.Dense(7, "tanh"), layers.Dense(1)])
    model.compile("adam", "mse")
    losses = model.fit(x, y, batch_size=8, epochs=2, verbose=0).history["loss"]
    losses.append(model.train_on_batch(x[:9], y[:9]))
    losses.append(model.evaluate(x, y, batch_size=10, verbose=0))
    predictions = model.predict(x, batch_size=8, verbose=0), model.predict_on_batch(x[3:4])
    return [np.array(losses), *predictions, *model.get_weights()]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_a_view_gives_what_its_copy_gives(layout: Callable[[Array], Array]) -> None:
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(ROWS, WIDTH)).astype(np.float32), rng.normal(size=(ROWS, 1)).astype(np.float32)
    given, targets = layout(x), layout(y)
    np.testing.assert_array_equal(given, x)
    for ours, plain in zip(results(given, targets), results(x, y), strict=True):
        np.testing.assert_array_equal(ours, plain)
    np.testing.assert_array_equal(given, x)  # and nothing was written into it


@pytest.mark.parametrize("count", [1, 4])
def test_weights_may_lie_anywhere(count: int) -> None:
    """Params are used in place, on whatever boundary."""
    from kgraph.codegen import compile
    from tests.numeric.models import MODELS

    made = MODELS["mlp_train"]()
    program, arrays = compile(made.graph), made.arrays({"B": 5})
    found = []
    for place in (np.copy, _off_by(count)):
        params = {value.name: place(arrays[value.name]) for value in made.graph.params}
        exe = program.make_executable({"B": 5}, params)
        for value in made.graph.inputs:
            exe.input(value.name)[...] = arrays[value.name]
        exe.run()
        exe.run()
        found.append([exe.output(0).copy(), *params.values()])
    for plain, placed in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, placed)
