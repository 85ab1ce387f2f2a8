"""The layers that a workload's `network(net, *inputs)` is written in, once for each way to compute them.

All nets have the same methods.  `name` is the layer whose weights are used, in `workloads.arrays` and in Keras alike;
`activation` is the name of a method without weights, or None.

    image(x), picture(x)                     f32[B, H, W, C] to the layout that this net computes in, and back
    dense(x, name, activation)               over the last axis
    conv(x, name, activation, stride, pad)   2D; pad is rows of zeros on each side, or "same" as in Keras
    conv_transpose(x, name, activation, stride)     "same"
    batch_norm(x, name, momentum, epsilon)   over channels
    max_pool(x, size, stride, pad), global_average(x), flatten(x, shape)    shape: (H, W, C) of one picture
    layer_norm(x, name, epsilon), attention(x, name)
    embedding(x, name), tokens_and_positions(x, name)
    lstm(x, name), gru(x, name)              the last state
    frames(x), series(x, steps)              [B, T, ...] to [B * T, ...] and back
    add(a, b), concat(a, b), distance(a, b), mean_over_time(x), dropout(x, rate)
    relu(x), gelu(x), sigmoid(x), softmax(x)

`distance` is |a - b|.
"""
