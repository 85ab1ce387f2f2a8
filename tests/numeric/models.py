"""Whole small programs: training steps as a front end would trace them, written by hand in IR."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kgraph.ir import Builder, Value
from kgraph.ir.graph import literal
from kgraph.ir.passes.autodiff import append_gradients
from tests.ir.evaluating import B, T
from tests.numeric.sheet import Sheet, between, integers, positive, scan

MODELS: dict[str, Callable[[], Sheet]] = {}
Steps = Callable[[Builder, Value], Value]


def model(make: Callable[[Sheet], None]) -> Callable[[], Sheet]:
    def build() -> Sheet:
        sheet = Sheet(make.__name__)
        make(sheet)
        return sheet

    MODELS[make.__name__] = build
    return build


# -- parts ------------------------------------------------------------------------------------------------------------
def cross_entropy(b: Builder, logits: Value, ids: Value) -> Value:
    """Mean over the rows of -log softmax(logits)[id]."""
    target = b.one_hot(ids, depth=logits.shape[-1], dtype=logits.dtype)
    rows = b.neg(b.sum(b.mul(target, b.log_softmax(logits)), axes=(-1,)))
    loss: Value = b.div(
        b.sum(rows, axes=tuple(range(len(rows.shape)))), b.dim_size(dim=rows.type.volume, dtype=logits.dtype)
    )
    return loss


def mean(b: Builder, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
    volume = 1
    for axis in axes:
        volume = volume * x.shape[axis]
    value: Value = b.div(b.sum(x, axes=tuple(axes), keepdims=keepdims), b.dim_size(dim=volume, dtype=x.dtype))
    return value


def dense(s: Sheet, x: Value, units: int) -> Value:
    kernel, bias = s.param(f"{x.dtype}[{x.shape[-1]}, {units}]"), s.param(f"{x.dtype}[{units}]")
    value: Value = s.b.add(s.b.matmul(x, kernel), bias)
    return value


def descend(s: Sheet, loss: Value, rate: float = 0.1) -> None:
    """Plain gradient descent on all params there are."""
    params = list(s.graph.params)
    for param, grad in zip(params, append_gradients(s.graph, loss, params)):
        assert grad is not None
        s.update(param, s.b.sub(param, s.b.mul(grad, rate)))
    s.out("loss", loss, "model")


def momentum(s: Sheet, loss: Value) -> None:
    """A slot and three ops for each param: what optimizers look like."""
    params = list(s.graph.params)
    grads = append_gradients(s.graph, loss, params)
    for param, grad in zip(params, grads):
        assert grad is not None
        slot = s.param(str(param.type))
        velocity = s.b.add(s.b.mul(slot, 0.9), grad)
        s.update(slot, velocity)
        s.update(param, s.b.sub(param, s.b.mul(velocity, 0.01)))
    s.out("loss", loss, "model")


# -- models -----------------------------------------------------------------------------------------------------------
@model
def mlp_train(s: Sheet) -> None:
    x, ids = s.input("f32[B, 8]"), s.input("i32[B]", integers(0, 3))
    h = s.b.relu(dense(s, x, 16))
    descend(s, cross_entropy(s.b, dense(s, h, 3), ids))


@model
def momentum_train(s: Sheet) -> None:
    """Four layers: the same update four times over."""
    x, ids = s.input("f32[B, 6]", between(-1, 1)), s.input("i32[B]", integers(0, 6))
    for _ in range(3):
        x = s.b.tanh(dense(s, x, 6))
    momentum(s, cross_entropy(s.b, dense(s, x, 6), ids))


@model
def softmax_cross_entropy(s: Sheet) -> None:
    """Per-row loss and its gradient."""
    logits, ids = s.input("f32[B, 10]"), s.input("i32[B]", integers(0, 10))
    target = s.b.one_hot(ids, depth=10, dtype="f32")
    rows = s.b.neg(s.b.sum(s.b.mul(target, s.b.log_softmax(logits)), axes=(1,)))
    (grad,) = append_gradients(s.graph, s.b.sum(rows, axes=(0,)), [logits])
    assert grad is not None
    s.out("loss", rows, "model")
    s.out("gradient", grad, "model")


@model
def layer_norm(s: Sheet) -> None:
    x = s.input("f32[B, 4, 12]")
    b = s.b
    centred = b.sub(x, mean(b, x, (2,), True))
    scaled = b.mul(centred, b.rsqrt(b.add(mean(b, b.mul(centred, centred), (2,), True), 1e-3)))
    y = b.add(b.mul(scaled, s.param("f32[12]", positive)), s.param("f32[12]"))
    descend(s, mean(b, b.mul(y, b.tanh(y)), (0, 1, 2)))
    s.out("y", y, "model")


@model
def batch_norm_train(s: Sheet) -> None:
    """Statistics of the batch are used, running ones are updated."""
    b = s.b
    x, ids = s.input("f32[B, 5]"), s.input("i32[B]", integers(0, 3))
    h = dense(s, x, 4)
    average = mean(b, h, (0,))
    centred = b.sub(h, average)
    variance = mean(b, b.mul(centred, centred), (0,))
    h = b.mul(centred, b.rsqrt(b.add(variance, 1e-3)))
    h = b.relu(b.add(b.mul(h, s.param("f32[4]", positive)), s.param("f32[4]")))
    descend(s, cross_entropy(b, dense(s, h, 3), ids))
    for value in (average, variance):
        running = s.param("f32[4]", positive)
        s.update(running, b.add(b.mul(running, 0.99), b.mul(value, 0.01)))


@model
def attention(s: Sheet) -> None:
    """Two heads, causal, with the gradient."""
    b = s.b
    x, ids = s.input("f32[B, T, 4]"), s.input("i32[B, T]", integers(0, 4))
    flat = b.reshape(x, shape=(B * T, 4))
    parts = b.op("split", dense(s, flat, 12), axis=1, sizes=(4, 4, 4))
    query, key, value = (b.transpose(b.reshape(p, shape=(B, T, 2, 2)), perm=(0, 2, 1, 3)) for p in parts)
    scores = b.mul(b.matmul(query, key, transpose_b=True), 0.7)
    causal = b.ge(b.iota(shape=(T, T), axis=0), b.iota(shape=(T, T), axis=1))
    mixed = b.matmul(b.softmax(b.select(causal, scores, -1e9)), value)
    y = b.reshape(b.transpose(mixed, perm=(0, 2, 1, 3)), shape=(B, T, 4))
    descend(s, cross_entropy(b, b.add(y, x), ids))


@model
def conv_train(s: Sheet) -> None:
    """Padding, strides, dilation, groups, pooling by windows apart and overlapping, all gradients."""
    b = s.b
    x, ids = s.input("f32[B, 8, 8, 2]"), s.input("i32[B]", integers(0, 3))
    h = b.relu(b.add(b.conv2d(x, s.param("f32[3, 3, 2, 4]"), padding=((1, 1), (1, 1))), s.param("f32[4]")))
    h = b.max_pool(h, window=(2, 2), strides=(2, 2))
    h = b.max_pool(h, window=(2, 1), strides=(1, 1), padding=((1, 0), (0, 0)))
    h = b.tanh(b.conv2d(h, s.param("f32[2, 2, 2, 4]"), groups=2, padding=((0, 1), (1, 0))))
    h = b.conv2d(h, s.param("f32[2, 2, 4, 3]"), dilation=(2, 1), strides=(1, 2))
    h = b.sum_pool(h, window=(2, 1), strides=(1, 1), padding=((1, 0), (0, 0)))
    flat = b.reshape(h, shape=(B, h.shape[1] * h.shape[2] * h.shape[3]))
    descend(s, cross_entropy(b, dense(s, b.mul(flat, 0.1), 3), ids), rate=0.01)


@model
def conv_batch_norm(s: Sheet) -> None:
    b = s.b
    x = s.input("f32[B, 6, 6, 3]")
    y = b.conv2d(x, s.param("f32[3, 3, 3, 4]"), padding=((1, 1), (1, 1)))
    scale = b.mul(s.param("f32[4]"), b.rsqrt(b.add(s.param("f32[4]", positive), 1e-3)))
    y = b.relu(b.add(b.mul(b.sub(y, s.param("f32[4]")), scale), s.param("f32[4]")))
    s.out("y", y, "model")
    s.out("pooled", mean(b, y, (1, 2)), "model")


@model
def embedding_train(s: Sheet) -> None:
    b = s.b
    tokens, ids = s.input("i32[B, 6]", integers(0, 20)), s.input("i32[B]", integers(0, 3))
    table = s.param("f32[20, 4]")
    h = mean(b, b.gather(table, tokens), (1,))
    descend(s, cross_entropy(b, dense(s, h, 3), ids))


@model
def dropout_train(s: Sheet) -> None:
    """The mask is made again in the gradient, from the same stream."""
    b = s.b
    x, ids = s.input("f32[B, 8]"), s.input("i32[B]", integers(0, 3))
    h = b.relu(dense(s, x, 9))
    seed, step = (
        b.param("seed", s.b.dim_size(dim=1, dtype="i64").type),
        b.param("step", s.b.dim_size(dim=1, dtype="i64").type),
    )
    s.draws["seed"], s.draws["step"] = integers(0, 1 << 40), integers(0, 9)
    kept = b.ge(b.random_uniform(seed, step, shape=(B, 9), stream=3), 0.4)
    h = b.select(kept, b.div(h, 0.6), 0.0)
    loss = cross_entropy(b, dense(s, h, 3), ids)
    params = [p for p in s.graph.params if p.dtype == "f32"]
    for param, grad in zip(params, append_gradients(s.graph, loss, params)):
        assert grad is not None
        s.update(param, b.sub(param, grad))
    s.update(step, b.add(step, 1))
    s.out("loss", loss, "model")


def lstm_step(b: Builder, h: Value, c: Value, z: Value, u: Value) -> tuple[list[Value], list[Value]]:
    units = h.shape[1]
    z = b.add(z, b.matmul(h, u))
    i, f, g, o = b.op("split", z, axis=1, sizes=(units,) * 4)
    c = b.add(b.mul(b.sigmoid(f), c), b.mul(b.sigmoid(i), b.tanh(g)))
    h = b.mul(b.sigmoid(o), b.tanh(c))
    return [h, c], [h]


def gru_step(b: Builder, h: Value, z: Value, u: Value, v: Value) -> tuple[list[Value], list[Value]]:
    units = h.shape[1]
    zr, zn = b.op("split", z, axis=1, sizes=(2 * units, units))
    update, reset = b.op("split", b.sigmoid(b.add(zr, b.matmul(h, u))), axis=1, sizes=(units, units))
    new = b.tanh(b.add(zn, b.matmul(b.mul(reset, h), v)))
    h = b.add(b.mul(update, h), b.mul(b.sub(1.0, update), new))
    return [h], [h]


@model
def lstm_train(s: Sheet) -> None:
    b = s.b
    x, ids = s.input("f32[B, 5, 3]"), s.input("i32[B]", integers(0, 3))
    z = b.reshape(dense(s, b.reshape(x, shape=(5 * B, 3)), 16), shape=(B, 5, 16))
    zero = b.broadcast_to(0.0, shape=(B, 4))
    h, _, _ = scan(b, [zero, zero, z, s.param("f32[4, 16]")], lstm_step, 2, 1, axis=1)
    descend(s, cross_entropy(b, dense(s, h, 3), ids))


@model
def lstm(s: Sheet) -> None:
    """Inference, with all outputs."""
    b = s.b
    x = s.input("f32[B, 5, 3]")
    z = b.reshape(dense(s, b.reshape(x, shape=(5 * B, 3)), 16), shape=(B, 5, 16))
    zero = b.broadcast_to(0.0, shape=(B, 4))
    h, c, outputs = scan(b, [zero, zero, z, s.param("f32[4, 16]")], lstm_step, 2, 1, axis=1)
    s.out("outputs", outputs, "model")
    s.out("states", [h, c], "model")


@model
def gru_train(s: Sheet) -> None:
    """Backwards in time, outputs at every step, two layers."""
    b = s.b
    x, ids = s.input("f32[4, B, 3]"), s.input("i32[4, B]", integers(0, 3))
    for reverse in (True, False):
        z = b.reshape(dense(s, b.reshape(x, shape=(4 * B, x.shape[2])), 9), shape=(4, B, 9))
        start = b.broadcast_to(s.param("f32[1, 3]"), shape=(B, 3))
        _, x = scan(b, [start, z, s.param("f32[3, 6]"), s.param("f32[3, 3]")], gru_step, 1, 1, reverse=reverse)
    descend(s, cross_entropy(b, x, ids))


@model
def nested_loops(s: Sheet) -> None:
    b = s.b

    def inner(i: Builder, state: Value, item: Value, rate: Value) -> tuple[list[Value], list[Value]]:
        return [i.tanh(i.add(i.mul(state, rate), item))], [i.add(state, rate)]

    def outer(i: Builder, state: Value, rows: Value, rate: Value) -> tuple[list[Value], list[Value]]:
        state, steps = scan(i, [state, rows, rate], inner, 1, 1, axis=1, reverse=True)
        return [state], [steps, i.mul(state, 2.0)]

    results = scan(b, [s.input("f32[B, 2]"), s.input("f32[3, B, 4, 2]"), s.param("f32[2]")], outer, 1, 1)
    s.out("loops", results, "model")


@model
def pieces(s: Sheet) -> None:
    """Concatenations of computed values, used again, nested, and of one value twice."""
    b = s.b
    x, y = s.input("f32[B, 4]"), s.input("f32[B, 6]")
    first, second = b.tanh(x), b.relu(dense(s, y, 5))
    joined = b.concat(first, second, axis=1)
    s.out("joined", joined, "model")
    s.out("read", b.matmul(joined, joined, transpose_a=True), "model")
    s.out("nested", b.sum(b.concat(joined, b.exp(first), axis=1), axes=(1,)), "model")
    s.out("a piece elsewhere", b.mul(b.concat(b.sin(x), first, axis=1), 2.0), "model")
    s.out("twice", b.concat(second, second, axis=0), "model")
    s.out("a piece itself", second, "model")
    grown = x
    for _ in range(3):
        grown = b.concat(grown, b.tanh(b.mul(grown, 0.5)), axis=1)
    s.out("grown", b.mul(grown, 3.0), "model")


@model
def chain(s: Sheet) -> None:
    """Longer than any kernel, and deeper than Python recurses."""
    x = s.input("f32[B, 5]")
    y = x
    for k in range(1200):
        y = s.b.add(s.b.mul(y, 0.5), x) if k % 100 else s.b.tanh(y)
    s.out("end", y, "model")


@model
def shared_value(s: Sheet) -> None:
    """One value read by kernels of every family."""
    b = s.b
    x = s.input("f32[B, 6]")
    y = b.exp(b.mul(x, 0.3))
    s.out("itself", y, "model")
    s.out("rows", b.softmax(y), "model")
    s.out("columns", b.sum(y, axes=(0,)), "model")
    s.out("both", b.sum(y, axes=(0, 1)), "model")
    s.out("product", b.add(b.matmul(y, y, transpose_a=True), 1.0), "model")
    s.out("running", b.cumsum(y, axis=1), "model")
    s.out("moved", b.transpose(y, perm=(1, 0)), "model")
    s.out("reversed", b.sub(y, b.reverse(y, axes=(0, 1))), "model")
    s.out("padded", b.pad(y, 0.0, low=(0, 1), high=(0, 1)), "model")
    s.out("gathered", b.gather(b.slice(y, starts=(0, 0), limits=(1, 6)), s.input("i32[B]", integers(0, 1))), "model")


@model
def attention_train(s: Sheet) -> None:
    """Causal self-attention of two heads with dropout, as the pass before autodiff leaves it."""
    b, width = s.b, 4
    x, padded = s.input("f32[B, 6, 5]"), s.input("bool[B, 1, 1, 6]", integers(0, 2))
    parts = [b.matmul(b.reshape(x, shape=(6 * B, 5)), s.param(f"f32[5, {2 * width}]")) for _ in range(3)]
    q, k, v = (b.reshape(part, shape=(B, 6, 2, width)) for part in parts)
    drawn = b.random_uniform(literal(1, "i64"), literal(2, "i64"), shape=(B, 2, 6, 6), stream=5)
    keep = b.select(b.ge(drawn, 0.25), literal(4 / 3, "f32"), literal(0.0, "f32"))
    y, _, _ = b.op("attention", q, k, v, padded, literal(0.0, "f32"), keep, causal=True, scale=0.5, fill=-1e9)
    descend(s, mean(b, b.mul(y, y), (0, 1, 2, 3)))


@model
def results(s: Sheet) -> None:
    """Outputs that are inputs, params, constants, aliases, one value twice; updates from each of them."""
    b = s.b
    x, w, v, u = s.input("f32[3, 4]"), s.param("f32[3, 4]"), s.param("f32[3, 4]"), s.param("f32[4, 3]")
    batch = s.input("f32[B, 4]")
    y = b.tanh(x)
    flat = b.reshape(b.exp(batch), shape=(4 * B,))
    s.out("input", batch)
    s.out("input twice", [x, x])
    s.out("param", w)
    s.out("alias of an input", b.reshape(batch, shape=(2 * B, 2)))
    s.out("alias and original", [flat, b.reshape(flat, shape=(2 * B, 2)), b.exp(batch)], "model")
    s.out("value twice", [y, y], "model")
    s.out("number", b.broadcast_to(1.5, shape=(2, 3)))
    s.out("old params, read late", b.add(b.matmul(w, b.transpose(v, perm=(1, 0))), b.sum(u, axes=(0,))), "model")
    s.update(w, v)  # a swap: both need the old values
    s.update(v, w)
    s.update(u, b.reshape(y, shape=(4, 3)))


@model
def updates_in_place(s: Sheet) -> None:
    """The new value may go over the old one only where nobody reads the old one later."""
    b = s.b
    x = s.input("f32[B, 4]")
    w, v, reversed_, counter = (
        s.param("f32[4, 4]"),
        s.param("f32[4]"),
        s.param("f32[4]"),
        s.param("i64[]", integers(0, 9)),
    )
    s.update(w, b.add(w, 1.0))
    late = b.matmul(b.tanh(b.matmul(x, w)), w)
    s.out("late", late, "model")
    s.update(v, b.add(b.mul(v, 0.5), b.sum(late, axes=(0,))))
    s.out("old and new", [b.mul(v, 3.0), b.add(b.mul(v, 0.5), b.sum(late, axes=(0,)))], "model")
    s.update(reversed_, b.reverse(reversed_, axes=(0,)))
    s.update(counter, b.add(counter, 1))


@model
def nothing_to_do(s: Sheet) -> None:
    """No updates, no kernel: the input itself."""
    s.out("x", s.input("f32[B]"))
