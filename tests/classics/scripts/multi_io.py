"""Priority and department of tickets, from title, text and tags: several inputs and outputs (Keras 3)."""

import keras
import numpy as np
from keras import layers

num_tags, num_words, num_departments = 12, 100, 4

title_input = keras.Input(shape=(None,), name="title")
body_input = keras.Input(shape=(None,), name="body")
tags_input = keras.Input(shape=(num_tags,), name="tags")
title_features = layers.Embedding(num_words, 16)(title_input)
body_features = layers.Embedding(num_words, 16)(body_input)
title_features = layers.LSTM(16)(title_features)
body_features = layers.LSTM(8)(body_features)
x = layers.concatenate([title_features, body_features, tags_input])
priority_pred = layers.Dense(1, name="priority")(x)
department_pred = layers.Dense(num_departments, name="department")(x)
model = keras.Model(
    inputs=[title_input, body_input, tags_input], outputs={"priority": priority_pred, "department": department_pred}
)
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
)
rng = np.random.default_rng(0)
title_data = rng.integers(num_words, size=(96, 6))
body_data = rng.integers(num_words, size=(96, 10))
tags_data = rng.integers(2, size=(96, num_tags)).astype("float32")
priority_targets = rng.random(size=(96, 1)).astype("float32")
dept_targets = np.eye(num_departments, dtype="float32")[rng.integers(num_departments, size=96)]
model.fit(
    {"title": title_data, "body": body_data, "tags": tags_data},
    {"priority": priority_targets, "department": dept_targets},
    epochs=3,
    batch_size=32,
)
answers = model.predict({"title": title_data[:4], "body": body_data[:4], "tags": tags_data[:4]})
predictions = answers["department"]
