"""`PyDataset`, alias `Sequence`, in fit, evaluate and predict; `reset_states` of a model."""

import numpy as np
import pytest

import kgraph
from kgraph import layers
from kgraph.errors import InvalidArgumentError, UnsupportedError


class Batches(kgraph.utils.Sequence):
    def __init__(self, x, y, size, **options):
        super().__init__(**options)
        self.x, self.y, self.size, self.ended = x, y, size, 0

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        return self.x[rows], self.y[rows]

    def on_epoch_end(self):
        self.ended += 1


def _model():
    model = kgraph.Sequential([kgraph.Input((3,)), layers.Dense(1)])
    model.set_weights([np.ones((3, 1), "float32"), np.zeros(1, "float32")])
    model.compile(kgraph.optimizers.SGD(0.01), "mse")
    return model


def test_same_as_arrays(rng):
    x, y = rng.normal(size=(11, 3)).astype("float32"), rng.normal(size=(11, 1)).astype("float32")
    batches = Batches(x, y, 4, workers=2)
    one, other = _model(), _model()
    a = one.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history["loss"]
    b = other.fit(batches, epochs=3, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(one.evaluate(x, y, verbose=0), other.evaluate(batches, verbose=0), rtol=1e-6)
    assert batches.ended >= 3
    assert batches.num_batches == 3


def test_a_dataset_without_batches_says_so():
    with pytest.raises(UnsupportedError, match="__getitem__"):
        kgraph.utils.PyDataset()[0]
    with pytest.raises(InvalidArgumentError, match="workers"):
        kgraph.utils.PyDataset(workers=0)


def test_states_of_a_model_are_reset():
    model = kgraph.Sequential([kgraph.Input((2, 3), batch_size=1), layers.LSTM(2, stateful=True)])
    x = np.ones((1, 2, 3), "float32")
    first = model.predict(x, verbose=0)
    assert not np.allclose(model.predict(x, verbose=0), first)
    model.reset_states()
    np.testing.assert_allclose(model.predict(x, verbose=0), first, rtol=1e-6)
