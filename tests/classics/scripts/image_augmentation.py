"""Images are turned and flipped inside the model while it learns (Keras 3)."""

import keras
from keras import layers
from sklearn.datasets import load_digits

x, y = load_digits(return_X_y=True)
x, y = x[:320].reshape(-1, 8, 8, 1).astype("float32"), y[:320]

data_augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.05)])

inputs = keras.Input(shape=(8, 8, 1))
x1 = data_augmentation(inputs)
x1 = layers.Rescaling(1.0 / 16)(x1)
for size in [8, 16]:
    x1 = layers.Conv2D(size, 3, padding="same", use_bias=False)(x1)
    x1 = layers.BatchNormalization()(x1)
    x1 = layers.Activation("relu")(x1)
x1 = layers.GlobalAveragePooling2D()(x1)
x1 = layers.Dropout(0.1)(x1)
outputs = layers.Dense(10)(x1)
model = keras.Model(inputs, outputs)
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
history = model.fit(x, y, epochs=6, batch_size=32)
