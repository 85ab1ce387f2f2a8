"""A Siamese network on pairs of digits, with the contrastive loss (Keras 2)."""

import numpy as np
from keras import backend as K
from keras.layers import Dense, Dropout, Flatten, Input, Lambda
from keras.models import Model
from keras.optimizers import RMSprop
from sklearn.datasets import load_digits


def euclidean_distance(vects):
    x, y = vects
    sum_square = K.sum(K.square(x - y), axis=1, keepdims=True)
    return K.sqrt(K.maximum(sum_square, 1e-7))


def eucl_dist_output_shape(shapes):
    return (shapes[0][0], 1)


def contrastive_loss(y_true, y_pred):
    margin = 1
    square_pred = K.square(y_pred)
    margin_square = K.square(K.maximum(margin - y_pred, 0))
    return K.mean(y_true * square_pred + (1 - y_true) * margin_square)


def create_base_network(input_shape):
    input = Input(shape=input_shape)
    x = Flatten()(input)
    x = Dense(32, activation="relu")(x)
    x = Dropout(0.1)(x)
    x = Dense(32, activation="relu")(x)
    return Model(input, x)


x, y = load_digits(return_X_y=True)
x = x.reshape(-1, 8, 8).astype("float32") / 16
rng = np.random.RandomState(0)
left, right = rng.randint(0, 400, (2, 256))
same = rng.rand(256) < 0.5
right[same] = [rng.choice(np.flatnonzero(y[:400] == y[i])) for i in left[same]]
pairs = np.stack([x[left], x[right]], axis=1)
tr_y = (y[left] == y[right]).astype("float32")[:, None]

base_network = create_base_network((8, 8))
input_a = Input(shape=(8, 8))
input_b = Input(shape=(8, 8))
processed_a = base_network(input_a)
processed_b = base_network(input_b)
distance = Lambda(euclidean_distance, output_shape=eucl_dist_output_shape)([processed_a, processed_b])
model = Model([input_a, input_b], distance)
model.compile(loss=contrastive_loss, optimizer=RMSprop(learning_rate=1e-3))
model.fit([pairs[:, 0], pairs[:, 1]], tr_y, batch_size=64, epochs=4)
predictions = model.predict([pairs[:, 0], pairs[:, 1]])
print("accuracy", np.mean((predictions.ravel() < 0.5) == (tr_y.ravel() > 0.5)))
