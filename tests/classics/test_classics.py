"""Scripts in the manner of the classic examples of Keras: run as they are under Keras on JAX and under kgraph.

Both runs begin with the same weights; every loss of every step must agree, and what the script computes at its end.
Scripts that draw random numbers while they learn must learn as well as under Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import kgraph
from kgraph.codegen.cpu import binding
from tests.classics.running import SCRIPTS, run


@dataclass(frozen=True)
class Case:
    """A script, and how its two runs are compared.

    Attributes:
        name: of the script.
        results: variables of the script that must agree at its end.
        loss: relative tolerance of the losses; sums in another order grow over the steps.
        result: tolerance of the results, relative and absolute.
        random: the losses are random: the mean of the last quarter must fall below the first by this share, and agree
            with that of Keras within half of the fall.
    """

    name: str
    results: tuple[str, ...] = ()
    loss: float = 1e-4
    result: float = 1e-3
    random: float = 0.0


CASES = [
    Case("addition_rnn"),
    Case("antirectifier", ("score",)),
    Case("autoencoder_conv", ("predictions",)),
    Case("autoencoder_dense", ("codes", "predictions")),
    Case("callbacks_training", ("val_loss", "predictions", "score", "rows", "epochs_run")),
    Case("cnn_digits", ("score",)),
    Case("conv_lstm", ("track",)),
    Case("gan", ("predictions",)),
    Case("generator_fed", ("val_loss", "predictions")),
    Case("gru_timeseries", ("val_loss",)),
    Case("hierarchical_rnn", ("scores",)),
    Case("image_augmentation", random=0.2),
    Case("imdb_bidirectional_lstm", ("predictions",)),
    Case("imdb_cnn", ("val_loss",)),
    Case("imdb_lstm", ("score",)),
    Case("lstm_text_generation"),
    Case("memory_network", ("predictions",)),
    Case("mixture_density", ("predictions",)),
    Case("mlp_digits", ("score", "predictions", "classes")),
    Case("multi_io", ("predictions",)),
    Case("resnet_cifar"),
    Case("reuters_mlp", ("score",)),
    Case("seq2seq", ("distributions",)),
    Case("siamese_digits", ("predictions",)),
    Case("transfer_learning", ("first", "second", "third", "unchanged")),
    Case("transformer_text", ("predictions",)),
    Case("vae_lambda", random=0.2),
    Case("vae_layer", random=0.1),
    Case("wide_and_deep", ("mse", "mae", "predictions")),
]


def test_every_script_is_run() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.py")} == {"stateful_lstm", *(case.name for case in CASES)}


def test_stateful_lstm() -> None:
    """Keras on JAX forgets the state between batches in training; kgraph keeps it, as Keras on TensorFlow did.

    So this one is compared with the same cell by hand, over the whole sequence.
    """
    done = run("stateful_lstm", kgraph)
    assert np.mean(done.losses[40:]) < np.mean(done.losses[:40])
    kernel, recurrent, bias, out, offset = done.names["model"].get_weights()
    state, carry, expected = np.zeros(8), np.zeros(8), []
    for step in done.names["x_train"][:, 0]:
        i, f, c, o = np.split(step @ kernel + state @ recurrent + bias, 4)
        carry = carry / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
        state = np.tanh(carry) / (1 + np.exp(-o))
        expected.append(state @ out + offset)
    np.testing.assert_allclose(done.names["predictions"], expected, rtol=1e-4, atol=1e-6)


def test_one_row_of_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy takes one row for contiguous whatever its stride is; what is copied is the row, not the stride."""
    wide = np.arange(4096, dtype="float32").reshape(2, 2048)
    model = kgraph.Sequential([kgraph.Input((2,)), kgraph.layers.Rescaling(2.0)])
    sizes = []
    source = binding.Source

    def watched(data: int, rows: int, row: int, staging: int) -> Any:
        sizes.append(row)
        return source(data, rows, row, staging)

    monkeypatch.setattr(binding, "Source", watched)
    result = model.predict(wide[:, :2][:1], verbose=0)
    assert result.tolist() == [[0.0, 2.0]]
    assert set(sizes) == {8}


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_as_keras(case: Case) -> None:
    keras = pytest.importorskip("keras")
    exact = not case.random
    theirs = run(case.name, keras, exact=exact)
    ours = run(case.name, kgraph, theirs, exact=exact)
    assert len(ours.losses) == len(theirs.losses) >= 4
    assert np.isfinite(ours.losses).all() and min(ours.losses) != max(ours.losses)
    if case.random:
        assert_learns_alike(ours.losses, theirs.losses, case.random)
    else:
        np.testing.assert_allclose(ours.losses, theirs.losses, rtol=case.loss)
    for name in case.results:
        np.testing.assert_allclose(
            _array(ours.names[name]), _array(theirs.names[name]), rtol=case.result, atol=case.result, err_msg=name
        )


def assert_learns_alike(ours: list[float], theirs: list[float], share: float) -> None:
    """Both losses fall by `share`, and end within half of the fall of one another."""
    last = max(1, len(ours) // 4)
    ends = [float(np.mean(losses[-last:])) for losses in (ours, theirs)]
    falls = [losses[0] - end for losses, end in zip((ours, theirs), ends, strict=True)]
    assert min(falls) > share * abs(theirs[0]), (falls, theirs[0])
    assert abs(ends[0] - ends[1]) < 0.5 * min(falls), (ends, falls)


def _array(value: Any) -> Any:
    return np.asarray(value, dtype="float64")
