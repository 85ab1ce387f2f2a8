"""Two inputs, two outputs: will a headline be shared?  A text read by an LSTM, and five facts about it.

The auxiliary output hangs on the LSTM alone, so that the recurrent part is trained even if the rest
does without it.
"""

import numpy as np

import kgraph as keras
from kgraph.layers import LSTM, Dense, Embedding, Input
from kgraph.models import Model

WORDS, LENGTH = 10000, 100


def data(samples=320, seed=0):
    """Words i32[N, 100], facts f32[N, 5] and answers f32[N, 1]."""
    rng = np.random.default_rng(seed)
    words = rng.integers(1, WORDS, (samples, LENGTH)).astype("int32")
    facts = rng.normal(size=(samples, 5)).astype("float32")
    catchy = (words < WORDS // 2).mean(axis=1) - 0.5
    return words, facts, (facts[:, :1] + 20 * catchy[:, None] > 0).astype("float32")


def build():
    # Word numbers between 1 and 10000 come in; the layer is named, so that data can be given by name.
    main_input = Input(shape=(LENGTH,), dtype="int32", name="main_input")
    x = Embedding(output_dim=512, input_dim=WORDS, input_length=LENGTH)(main_input)
    lstm_out = LSTM(32)(x)
    auxiliary_output = Dense(1, activation="sigmoid", name="aux_output")(lstm_out)

    auxiliary_input = Input(shape=(5,), name="aux_input")
    x = keras.layers.concatenate([lstm_out, auxiliary_input])
    x = Dense(64, activation="relu")(x)
    x = Dense(64, activation="relu")(x)
    x = Dense(64, activation="relu")(x)
    main_output = Dense(1, activation="sigmoid", name="main_output")(x)
    return Model(inputs=[main_input, auxiliary_input], outputs=[main_output, auxiliary_output])


def compile_by_position(model, **options):
    """One loss for both outputs, and weights in the order of the outputs."""
    return model.compile(optimizer="rmsprop", loss="binary_crossentropy", loss_weights=[1.0, 0.2], **options)


def compile_model(model, **options):
    """The same by the names of the outputs."""
    return model.compile(
        optimizer="rmsprop",
        loss={"main_output": "binary_crossentropy", "aux_output": "binary_crossentropy"},
        loss_weights={"main_output": 1.0, "aux_output": 0.2},
        **options,
    )


def main(epochs=1, samples=320):
    """Returns the losses after training with lists, and then with dicts."""
    words, facts, answers = data(samples)
    model = build()
    model.summary()
    compile_by_position(model)
    first = model.fit([words, facts], [answers, answers], epochs=epochs, batch_size=32)
    compile_model(model)
    second = model.fit(
        {"main_input": words, "aux_input": facts},
        {"main_output": answers, "aux_output": answers},
        epochs=epochs,
        batch_size=32,
    )
    return first.history["loss"][-1], second.history["loss"][-1]


if __name__ == "__main__":
    main(epochs=4)
