"""Variables, layers and what they own."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest

from kgraph import ops
from kgraph.core import InputSpec, Layer, SymbolicTensor, Trace, Variable
from kgraph.errors import InvalidArgumentError, ShapeError, SymbolicBoolError, UnsupportedError
from kgraph.ir import Dim, Graph


class Affine(Layer):
    """A small dense layer."""

    def __init__(self, units: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: tuple) -> None:
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), initializer="ones", name="kernel")
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False, name="count")
        self.bias = self.add_weight("bias", (self.units,), initializer="zeros")
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, x: object, training: bool | None = None) -> object:
        if training:
            self.count.assign_add(1.0)
        return ops.matmul(x, self.kernel) + self.bias


class TestVariable:
    def test_memory_is_aligned_and_kept(self) -> None:
        for size in (1, 3, 17, 1000):
            v = Variable(np.ones(size), name="v")
            address = v.array.ctypes.data
            assert address % 64 == 0 and v.array.flags.c_contiguous
            v.assign(np.full(size, 2.0))
            v.assign_add(np.ones(size))
            v.assign_sub(0.5 * np.ones(size))
            assert v.array.ctypes.data == address and v.array[0] == 2.5

    def test_types(self) -> None:
        assert Variable(1.5).dtype == "float32"
        assert Variable([1, 2]).dtype == "int32"
        assert Variable(True).dtype == "bool"
        assert Variable(np.int64(3), dtype="int64").dtype == "int64"
        assert Variable("ones", shape=(2, 3)).numpy().sum() == 6

    def test_shape_is_checked(self) -> None:
        v = Variable(np.zeros((2, 3)), name="w")
        with pytest.raises(ShapeError, match="'w'"):
            v.assign(np.zeros((3, 2)))
        with pytest.raises(InvalidArgumentError, match="full shape"):
            Variable(lambda shape, dtype: np.zeros(shape), shape=(None, 2))

    def test_operators_and_copies(self) -> None:
        v = Variable([1.0, 2.0])
        np.testing.assert_array_equal(v * 2 + 1, [3, 5])
        np.testing.assert_array_equal(np.asarray(v), [1, 2])
        for twin in (copy.deepcopy(v), pickle.loads(pickle.dumps(v))):
            assert twin is not v and twin.array.ctypes.data % 64 == 0
            np.testing.assert_array_equal(twin.numpy(), v.numpy())
            twin.assign([5, 6])
        np.testing.assert_array_equal(v.numpy(), [1, 2])


class TestWeights:
    def test_order_names_and_counts(self) -> None:
        layer = Affine(4, name="a")
        layer.build((None, 3))
        assert layer.built
        assert [w.path for w in layer.weights] == ["a/kernel", "a/bias", "a/count"]
        assert [w.name for w in layer.trainable_weights] == ["kernel", "bias"]
        assert layer.count_params() == 17
        layer.trainable = False
        assert layer.trainable_weights == [] and [w.name for w in layer.weights] == ["kernel", "bias", "count"]
        layer.trainable = True
        assert [w.name for w in layer.non_trainable_weights] == ["count"]

    def test_set_weights_checks(self) -> None:
        layer = Affine(4, name="a")
        layer.build((None, 3))
        values = [np.full(w.shape, i) for i, w in enumerate(layer.weights)]
        layer.set_weights(values)
        for have, want in zip(layer.get_weights(), values):
            np.testing.assert_array_equal(have, want)
        with pytest.raises(ValueError, match="length 1"):
            layer.set_weights(values[:1])
        with pytest.raises(ValueError, match=r"\(3, 4\) is not compatible with provided weight shape \(2, 4\)"):
            layer.set_weights([np.zeros((2, 4)), *values[1:]])

    def test_sublayers_in_attributes_lists_and_dicts(self) -> None:
        class Outer(Layer):
            def __init__(self) -> None:
                super().__init__(name="outer")
                self.items = [Affine(2), Affine(3)]
                self.table = {"x": Affine(4)}
                self.items.append(Affine(5))

            def call(self, x: object) -> object:
                for layer in self.items:
                    x = layer(x)
                return self.table["x"](x)

        outer = Outer()
        outer(np.ones((2, 2)))
        assert [w.shape for w in outer.weights if w.name == "kernel"] == [(2, 2), (2, 3), (3, 5), (5, 4)]
        assert outer.weights[0].path == "outer/affine/kernel"
        outer.trainable = False
        assert not any(w.trainable for w in outer.weights)

    def test_regularisers_and_added_losses(self) -> None:
        class Costly(Layer):
            def build(self, shape: tuple) -> None:
                self.w = self.add_weight(shape=(2,), initializer="ones", regularizer=lambda w: 3.0 * ops.sum(w))

            def call(self, x: object) -> object:
                self.add_loss(ops.sum(x))
                return x

        layer = Costly(activity_regularizer=lambda y: ops.sum(y))
        layer(np.ones((4, 2)))
        assert sorted(float(loss) for loss in layer.losses) == [2.0, 6.0, 8.0]

    def test_unknown_keyword(self) -> None:
        with pytest.raises(ValueError, match="Unrecognized keyword arguments"):
            Affine(3, unitz=4)


class TestCalls:
    def test_array_symbol_and_trace_agree(self, rng: np.random.Generator) -> None:
        layer = Affine(4)
        x = rng.standard_normal((5, 3))
        y = layer(x)
        assert isinstance(y, np.ndarray) and y.dtype == np.float32
        assert layer(SymbolicTensor((None, 3))).shape == (None, 4)
        with Trace(Graph("g")) as trace:
            t = layer(trace.input("x", (Dim.symbol("B"), 3)))
        assert t.shape == (None, 4) and [p.name for p in trace.graph.params] == [
            f"{layer.name}/kernel",
            f"{layer.name}/bias",
        ]

    def test_training_updates_state(self) -> None:
        layer = Affine(2)
        layer(np.ones((1, 3)))
        assert layer.count.numpy() == 0
        layer(np.ones((1, 3)), training=True)
        layer(np.ones((1, 3)), training=True)
        assert layer.count.numpy() == 2

    def test_training_reaches_nested_layers(self) -> None:
        class Outer(Layer):
            def __init__(self) -> None:
                super().__init__()
                self.inner = Affine(2)

            def call(self, x: object) -> object:
                return self.inner(x)

        outer = Outer()
        outer(np.ones((1, 3)), training=True)
        assert outer.inner.count.numpy() == 1

    def test_errors_name_layer_line_and_shapes(self) -> None:
        layer = Affine(2, name="head")
        layer(np.ones((1, 3)))
        with pytest.raises(ShapeError) as caught:
            layer(SymbolicTensor((None, 5)))
        text = str(caught.value)
        assert (
            'layer "head" is incompatible' in text
            and "test_core.py" in text
            and "(None, 5)" in text
            and "built for input" in text
        )
        with pytest.raises(ShapeError, match="expected min_ndim=2, found ndim=1"):
            layer(np.ones(3))

    def test_forgotten_super(self) -> None:
        class Lazy(Layer):
            def __init__(self) -> None:
                self.a = 1

        with pytest.raises(InvalidArgumentError, match="super"):
            Lazy()(np.ones((1, 2)))

    def test_compute_output_shape_builds_nothing(self) -> None:
        layer = Affine(7)
        assert layer.compute_output_shape((None, 5, 3)) == (None, 5, 7)
        assert not layer.built and layer.weights == []

    def test_autocast(self) -> None:
        with Trace(Graph("g")) as trace:
            assert Affine(2)(trace.input("x", (2, 3), "float64")).dtype == "float32"

    def test_config_round_trip(self) -> None:
        layer = Affine(7, name="x", trainable=False)
        twin = Affine.from_config(layer.get_config())
        assert twin.units == 7 and twin.name == "x" and not twin.trainable

        class Odd(Layer):
            def __init__(self, thing: object) -> None:
                super().__init__()

        with pytest.raises(UnsupportedError, match="get_config"):
            Odd(object()).get_config()

    def test_initial_weights_of_keras_2(self) -> None:
        values = [np.full((3, 2), 2.0), np.ones(2), np.zeros(())]
        layer = Affine(2, weights=values)
        np.testing.assert_array_equal(layer(np.ones((1, 3))), [[7, 7]])


class TestMasks:
    class Emit(Layer):
        """Makes a mask."""

        def compute_mask(self, inputs: object, previous_mask: object = None) -> object:
            return ops.not_equal(inputs, 0)

        def call(self, x: object) -> object:
            return ops.expand_dims(ops.cast(x, "float32"), -1)

    class Count(Layer):
        """Counts what is not masked."""

        def call(self, x: object, mask: object = None) -> object:
            assert mask is not None
            return ops.sum(ops.cast(mask, "float32"), axis=1)

    class Through(Layer):
        """Passes masks."""

        def __init__(self) -> None:
            super().__init__()
            self.supports_masking = True

        def call(self, x: object) -> object:
            return x * 2

    def test_mask_travels_through_a_model(self) -> None:
        from kgraph.models import Input, Model

        x = Input((4,), dtype="int32")
        hidden = self.Through()(self.Emit()(x))
        assert hidden._keras_mask.shape == (None, 4) and hidden._keras_mask.dtype == "bool"
        model = Model(x, self.Count()(hidden))
        np.testing.assert_array_equal(model(np.array([[1, 2, 0, 0], [3, 0, 0, 0]])), [2, 1])
        assert model.layers[1].get_output_mask_at(0).shape == (None, 4)

    def test_mask_as_an_output(self) -> None:
        from kgraph.models import Input, Model

        x = Input((4,), dtype="int32")
        model = Model(x, self.Emit()(x)._keras_mask)
        np.testing.assert_array_equal(model(np.array([[1, 0, 2, 0]])), [[True, False, True, False]])

    def test_a_layer_that_drops_the_mask_says_so(self) -> None:
        with pytest.warns(UserWarning, match="does not support masking"):
            Affine(2)(self.Emit()(SymbolicTensor((None, 4), "int32")))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            self.Through()(self.Emit()(SymbolicTensor((None, 4), "int32")))


class TestMisuse:
    def test_truth_length_iteration_array(self) -> None:
        x = SymbolicTensor((None, 3))
        with pytest.raises(TypeError, match=r"ops\.where"):
            assert x > 0
        with pytest.raises(SymbolicBoolError):
            len(x)
        with pytest.raises(SymbolicBoolError, match="iterate"):
            list(x)
        with pytest.raises(SymbolicBoolError, match="NumPy"):
            np.asarray(x)
        with pytest.raises(SymbolicBoolError):
            float(x)
        assert len(list(SymbolicTensor((2, 3)))) == 2

    def test_numpy_on_the_left(self) -> None:
        x = SymbolicTensor((None, 3))
        assert (np.ones(3, "float32") + x).shape == (None, 3)

    def test_symbolic_tensor_inside_a_traced_function(self) -> None:
        outside = SymbolicTensor((None, 3), name="outside")

        class Leaky(Layer):
            def call(self, x: object) -> object:
                return x + outside

        with pytest.raises(InvalidArgumentError, match="functional model was used inside"):
            Leaky()(SymbolicTensor((None, 3)))
