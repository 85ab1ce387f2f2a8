"""Control flow against Keras on JAX: on arrays, on symbolic tensors, and inside layers with their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgraph import backend as K
from kgraph.errors import CallError, InvalidArgumentError, ShapeError, SymbolicBoolError, UnsupportedError
from tests.parity.comparing import assert_close, flat, keras, kgraph
from tests.parity.test_ops_image import through_a_model

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(5)
X = RNG.normal(size=(6, 3)).astype("float32")
Y = RNG.normal(size=(6, 3)).astype("float32")
ONE = np.array(2, "int32")

Case = tuple[Callable[..., Any], list[Any]]
CASES: dict[str, Case] = {
    "associative_scan": (lambda o, x: o.associative_scan(lambda a, b: a + b, x), [X]),
    "associative_scan_back": (lambda o, x: o.associative_scan(lambda a, b: a * b, x, reverse=True, axis=1), [X]),
    "associative_scan_pair": (
        lambda o, x, y: o.associative_scan(lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1]), (x, y)),
        [X, Y],
    ),
    "cond_true": (lambda o, x: o.cond(o.sum(x) > -1e6, lambda: x + 1.0, lambda: x * 2.0), [X]),
    "cond_false": (lambda o, x: o.cond(o.sum(x) > 1e6, lambda: (x, x + 1.0), lambda: (x * 2.0, x)), [X]),
    "switch": (lambda o, i, x: o.switch(i, [lambda v: v, lambda v: v + 1, lambda v: v * 3], x), [ONE, X]),
    "switch_clamped": (lambda o, i, x: o.switch(i + 7, [lambda v: v, lambda v: v + 1], x), [ONE, X]),
    "fori_loop": (lambda o, x: o.fori_loop(1, 5, lambda i, v: v * 0.5 + o.cast(i, "float32"), x), [X]),
    "fori_loop_empty": (lambda o, x: o.fori_loop(3, 3, lambda i, v: v + 1.0, x), [X]),
    "while_loop": (
        lambda o, x: o.while_loop(
            lambda i, v: o.sum(o.abs(v)) < 100.0, lambda i, v: (i + 1, v * 1.7), (0, x), maximum_iterations=20
        ),
        [X],
    ),
    "while_loop_bound": (
        lambda o, x: o.while_loop(lambda v: o.sum(v) < 1e9, lambda v: (v + 1.0,), (x,), maximum_iterations=3),
        [X],
    ),
    "scan": (lambda o, x: o.scan(lambda c, v: (c + v, c * v), x[0], x), [X]),
    "scan_back": (lambda o, x: o.scan(lambda c, v: (c + v, c), x[0], x, reverse=True), [X]),
    "map": (lambda o, x, y: o.map(lambda v: (v[0] + v[1], v[0] * 2.0), (x, y)), [X, Y]),
    "vectorized_map": (lambda o, x: o.vectorized_map(lambda v: o.sum(v) * v, x), [X]),
    "vectorized_map_list": (lambda o, x, y: o.vectorized_map(lambda v: o.dot(v[0], v[1]), [x, y]), [X, Y]),
    "vectorize": (lambda o, x, y: o.vectorize(lambda a, b: o.maximum(a, b) * a)(x, y[0]), [X, Y]),
    "vectorize_signature": (
        lambda o, x, y: o.vectorize(lambda a, b: o.dot(a, b), signature="(n),(n)->()")(x, y[0]),
        [X, Y],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_against_keras(case: str) -> None:
    make, arrays = CASES[case]
    theirs = flat(make(keras.ops, *[keras.ops.convert_to_tensor(x) for x in arrays]))
    ours = flat(make(kgraph.ops, *arrays))
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)
    recorded = through_a_model(lambda *xs: make(kgraph.ops, *xs), arrays)
    for a, b in zip(recorded, theirs, strict=True):
        assert_close(a, b)


class Grows(kgraph.layers.Layer):
    """Doubles each sample's sum until it is above 10, natively."""

    def call(self, x: Any) -> Any:
        """The grown tensor."""
        ops = kgraph.ops
        return ops.while_loop(lambda v: ops.max(v) < 10.0, lambda v: v * 2.0, x, maximum_iterations=16)


def test_a_loop_with_a_condition_compiles_and_has_a_derivative() -> None:
    x = kgraph.Input((3,))
    model = kgraph.Model(x, Grows()(x))
    data = np.array([[1.0, 0.5, 0.2], [0.3, 0.7, 0.9]], "float32")
    np.testing.assert_allclose(model.predict(data, verbose=0), data * 16)
    slope = K.function([model.input], K.gradients(K.sum(model.output), model.input))([data])[0]
    np.testing.assert_allclose(slope, np.full_like(data, 16.0))


def test_a_condition_in_a_layer_selects_and_differentiates() -> None:
    ops = kgraph.ops
    x = kgraph.Input((3,))
    y = ops.cond(ops.sum(x) > 0.0, lambda: x * x, lambda: -3.0 * x)
    slope = K.function([x], K.gradients(y, x))
    np.testing.assert_allclose(slope([X[:1] * 0 + 2.0])[0], [[4.0] * 3])
    np.testing.assert_allclose(slope([X[:1] * 0 - 2.0])[0], [[-3.0] * 3])


def test_custom_gradient_on_arrays() -> None:
    squared = kgraph.ops.custom_gradient(lambda x: (x * x, lambda upstream: upstream))
    np.testing.assert_array_equal(squared(X), X * X)


@pytest.mark.parametrize(
    ("run", "error", "text"),
    [
        (lambda o, x: o.scan(1, x, x), CallError, "scan needs a function"),
        (lambda o, x: o.scan(lambda c, v: c, x, x), CallError, "has to return a pair"),
        (lambda o, x: o.scan(lambda c, v: (c, v), x, 3.0), ShapeError, "a scalar has none"),
        (lambda o, x: o.scan(lambda c, v: (c, c), x), InvalidArgumentError, "needs a length"),
        (lambda o, x: o.map(None, x), CallError, "map needs a function"),
        (lambda o, x: o.map(lambda v: v, 1.0), ShapeError, "a scalar has none"),
        (lambda o, x: o.cond(o.sum(x) > 0, x, x), CallError, "cond needs a function"),
        (lambda o, x: o.cond(o.sum(x) > 0, lambda: (x, x), lambda: x), InvalidArgumentError, "different structures"),
        (lambda o, x: o.switch(0, []), InvalidArgumentError, "at least one branch"),
        (lambda o, x: o.while_loop(lambda v: o.sum(v) < 0, lambda v: v, x), UnsupportedError, "needs a bound"),
        (lambda o, x: o.fori_loop(0, o.sum(x), lambda i, v: v, x), UnsupportedError, "known while the model is made"),
        (lambda o, x: o.associative_scan(lambda a, b: a, x), UnsupportedError, "a known size of the axis"),
        (lambda o, x: o.custom_gradient(lambda v: (v, None))(x), UnsupportedError, "stop_gradient"),
        (lambda o, x: list(range(o.shape(x)[0])), SymbolicBoolError, "Python cannot count with it"),
        (lambda o, x: x[x > 0], UnsupportedError, "where"),
    ],
)
def test_wrong_arguments_on_tensors_of_a_model(run: Callable[..., Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        run(kgraph.ops, kgraph.Input((3,)))
