"""Character sequences reversed by an encoder and a decoder that starts from the encoder's states (Keras 2)."""

import numpy as np
from keras.layers import LSTM, Dense, Input
from keras.models import Model

num_tokens, length, latent_dim = 8, 5, 16
rng = np.random.RandomState(0)
source = rng.randint(2, num_tokens, (128, length))
target = source[:, ::-1]
eye = np.eye(num_tokens, dtype="float32")
encoder_input_data = eye[source]
decoder_input_data = eye[np.concatenate([np.zeros((128, 1), int), target[:, :-1]], axis=1)]
decoder_target_data = eye[target]

encoder_inputs = Input(shape=(None, num_tokens))
encoder = LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]

decoder_inputs = Input(shape=(None, num_tokens))
decoder_lstm = LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = Dense(num_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)

model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
model.fit([encoder_input_data, decoder_input_data], decoder_target_data, batch_size=32, epochs=3, validation_split=0.25)

# Inference: the decoder is run a character at a time, its states go round.
encoder_model = Model(encoder_inputs, encoder_states)
decoder_state_input_h = Input(shape=(latent_dim,))
decoder_state_input_c = Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h, state_c = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_model = Model([decoder_inputs] + decoder_states_inputs, [decoder_dense(decoder_outputs), state_h, state_c])

states = encoder_model.predict(encoder_input_data[:1], verbose=0)
token, decoded, distributions = 0, [], []
for _ in range(length):
    output, h, c = decoder_model.predict([eye[token].reshape(1, 1, -1)] + states, verbose=0)
    token = int(output[0, -1].argmax())
    decoded.append(token)
    distributions.append(output[0, -1])
    states = [h, c]
distributions = np.array(distributions)
print(source[0], "->", decoded)
