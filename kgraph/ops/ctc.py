"""Connectionist temporal classification: the loss over all alignments, and decoding.

Source: A. Graves, S. Fernández, F. Gomez and J. Schmidhuber, "Connectionist Temporal Classification", ICML 2006.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgraph.core.dispatch import operation
from kgraph.core.tensors import TracedTensor
from kgraph.errors import InvalidArgumentError, ShapeError
from kgraph.ir.dims import Dim
from kgraph.ops import making, math, nn, products, reduction, shaping, taking
from kgraph.ops.control import scan_region
from kgraph.ops.convert import active, as_tensor, cast_to, emit, must_equal
from kgraph.ops.operands import as_float, concrete, gather_last

__all__ = ["ctc_decode", "ctc_loss"]

IMPOSSIBLE = -1e5
"""The logarithm that stands for probability 0: -inf would give NaN in the derivatives."""


@operation
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """-log of the probability that the outputs, repeats merged and blanks taken out, spell the target.

    Args:
        target: i32[B, N], padded behind with anything.
        output: f32[B, T, classes], logits.
        target_length: i32[B].
        output_length: i32[B].
        mask_index: the class that stands for a blank.

    Returns:
        f32[B].
    """
    labels, logits = cast_to(as_tensor(target), "int32"), as_float(output)
    label_count, step_count = cast_to(as_tensor(target_length), "int32"), cast_to(as_tensor(output_length), "int32")
    if len(labels.dims) != 2 or len(logits.dims) != 3:
        raise ShapeError(
            "ctc_loss needs targets of rank 2 and outputs of rank 3",
            where=str(active().location()),
            got=f"target {labels.shape}, output {logits.shape}",
        )
    must_equal([labels.dims[0], logits.dims[0]])
    batch, steps, classes = logits.dims
    width = labels.dims[1]
    if isinstance(classes, Dim):
        raise ShapeError("ctc_loss needs a known number of classes", got=str(logits.shape))
    log_share = nn.log_softmax(logits, axis=-1)
    blank = taking.get_item(log_share, (Ellipsis, slice(int(mask_index), int(mask_index) + 1)))
    # [B, T, N]; a label outside of the classes, as in padding, picks nothing.
    chosen = making.one_hot(labels, classes, dtype=logits.dtype)
    emitted = products.matmul(log_share, shaping.transpose(chosen, (0, 2, 1)))
    time = emit("iota", shape=(batch, steps, 1), axis=1, dtype="i32")
    over = cast_to(math.greater_equal(time, shaping.reshape(step_count, (-1, 1, 1))), logits.dtype)
    same = math.equal(taking.get_item(labels, (slice(None), slice(1, None))), _but_last(labels))
    repeat = shaping.pad(cast_to(same, logits.dtype), ((0, 0), (0, 1)))
    place = emit("iota", shape=(batch, width + 1), axis=1, dtype="i32")
    start = math.where(math.equal(place, 0), making.zeros((batch, width + 1), logits.dtype), IMPOSSIBLE)
    never = making.full((batch, width), IMPOSSIBLE, logits.dtype)
    blanks, labelled = _forward(start, never, (emitted, blank, over), repeat)
    total = _arrive(blanks, labelled)
    end = cast_to(math.equal(place, shaping.expand_dims(label_count, 1)), logits.dtype)
    return math.negative(reduction.sum(math.multiply(total, end), axis=1))


def _but_last(x: TracedTensor) -> Any:
    return taking.get_item(x, (slice(None), slice(None, -1)))


def _arrive(blanks: Any, added: Any) -> Any:
    """Log probabilities in the states between labels [B, N + 1], after paths from the labels [B, N] have come in."""
    first = taking.get_item(blanks, (slice(None), slice(0, 1)))
    rest = taking.get_item(blanks, (slice(None), slice(1, None)))
    return shaping.concatenate([first, math.logaddexp(rest, added)], axis=-1)


def _forward(start: Any, never: Any, sequences: tuple[Any, Any, Any], repeat: Any) -> tuple[TracedTensor, TracedTensor]:
    """The forward variables after the last step: in the states between labels, and in those of labels."""
    # A label after the same label needs a blank between them.
    unless_repeat = math.multiply(repeat, IMPOSSIBLE)
    only_repeat = math.multiply(math.subtract(1.0, repeat), IMPOSSIBLE)

    def step(states: list[TracedTensor], slices: list[TracedTensor]) -> tuple[list[Any], list[Any]]:
        blanks, labelled = states
        log_label, log_blank, over = slices
        ready = _arrive(blanks, math.add(labelled, unless_repeat))
        next_labelled = math.add(math.logaddexp(_but_last(ready), labelled), log_label)
        waited = math.add(ready, log_blank)
        next_blanks = _arrive(waited, math.add(math.add(labelled, log_blank), only_repeat))
        done = math.greater(over, 0.0)
        return [math.where(done, blanks, next_blanks), math.where(done, labelled, next_labelled)], []

    (blanks, labelled), _ = scan_region(step, [start, never], list(sequences), axis=1)
    return blanks, labelled


# -- decoding --------------------------------------------------------------------------------------------------------
def ctc_decode(
    inputs: Any,
    sequence_lengths: Any,
    strategy: str = "greedy",
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
    mask_index: int = 0,
) -> Any:
    """The likeliest labels, padded behind with -1, and their scores.

    Args:
        inputs: f32[B, T, classes].
        sequence_lengths: i32[B].
        strategy: `"greedy"`: the best class of each step; `"beam_search"`: the best sums over alignments, on arrays
            only.
        beam_width: how many beginnings are followed.
        top_paths: how many results of a beam search.
        merge_repeated: greedy: equal neighbours are one label.
        mask_index: the class that stands for a blank.

    Returns:
        Labels i32[paths, B, T] and scores f32[B, paths]: minus the sum of the inputs taken (greedy), or the log of
        the probability (beam search).

    Raises:
        UnsupportedError: a beam search in a model or a trace.
    """
    if strategy == "greedy":
        return _greedy(inputs, sequence_lengths, merge_repeated, mask_index)
    if strategy != "beam_search":
        raise InvalidArgumentError(f"ctc_decode has no strategy {strategy!r}", needed="'greedy' or 'beam_search'")

    def compute(scores: Any, lengths: Any) -> Any:
        return _beam_search(np.asarray(scores, "float64"), np.asarray(lengths), beam_width, top_paths, mask_index)

    return concrete("ctc_decode", compute, inputs, sequence_lengths, fix="use strategy='greedy', or decode predictions")


@operation
def _greedy(inputs: Any, sequence_lengths: Any, merge_repeated: bool, mask_index: int) -> Any:
    scores = as_float(inputs)
    batch, steps, classes = scores.dims
    blank = int(str(classes)) - 1 if mask_index is None else int(mask_index)
    lengths = shaping.expand_dims(cast_to(as_tensor(sequence_lengths), "int32"), 1)
    time = emit("iota", shape=(batch, steps), axis=1, dtype="i32")
    over = math.greater_equal(time, lengths)
    best = math.where(over, blank, reduction.argmax(scores, axis=-1))
    taken = math.where(over, 0.0, reduction.max(scores, axis=-1))
    if merge_repeated:
        after = taking.get_item(best, (slice(None), slice(1, None)))
        again = shaping.pad(cast_to(math.equal(after, _but_last(best)), "int32"), ((0, 0), (1, 0)))
        best = math.where(math.greater(again, 0), blank, best)
    gone = math.equal(best, blank)
    labels = math.where(gone, -1, best)
    # Blanks go to the end; the order is stable.
    order = emit("argsort", cast_to(gone, "int32"))
    packed = gather_last(labels, order)
    total = math.negative(reduction.sum(taken, axis=1, keepdims=True))
    return shaping.expand_dims(packed, 0), total


Beams = dict[tuple[int, ...], tuple[float, float]]


def _beam_search(scores: Any, lengths: Any, width: int, paths: int, blank: int | None) -> Any:
    """Each sequence by itself, in NumPy.  A beam keeps apart what ends in a blank and what ends in its last label."""
    batch, steps, classes = scores.shape
    mask = classes - 1 if blank is None else int(blank)
    top = scores.max(axis=-1, keepdims=True)
    log_share = scores - top - np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))
    labels = np.full((paths, batch, steps), -1, "int32")
    found = np.full((batch, paths), -np.inf, "float32")
    for row in range(batch):
        beams: Beams = {(): (0.0, -np.inf)}
        for time in range(int(lengths[row])):
            beams = _extended(beams, log_share[row, time], mask)
            best = sorted(beams.items(), key=_rank)[:width]
            beams = dict(best)
        for number, (path, (at_blank, at_label)) in enumerate(sorted(beams.items(), key=_rank)[:paths]):
            labels[number, row, : len(path)] = path
            found[row, number] = np.logaddexp(at_blank, at_label)
    return labels, found


def _rank(item: tuple[tuple[int, ...], tuple[float, float]]) -> tuple[float, tuple[int, ...]]:
    path, (at_blank, at_label) = item
    return -float(np.logaddexp(at_blank, at_label)), path


def _extended(beams: Beams, log_share: Any, blank: int) -> Beams:
    """Every beam followed by every class."""
    grown: Beams = {}

    def add(path: tuple[int, ...], at_blank: float, at_label: float) -> None:
        old = grown.get(path, (-np.inf, -np.inf))
        grown[path] = (float(np.logaddexp(old[0], at_blank)), float(np.logaddexp(old[1], at_label)))

    for path, (at_blank, at_label) in beams.items():
        total = float(np.logaddexp(at_blank, at_label))
        for label, share in enumerate(log_share):
            if label == blank:
                add(path, total + share, -np.inf)
            elif path and path[-1] == label:
                add(path, -np.inf, at_label + share)
                add((*path, label), -np.inf, at_blank + share)
            else:
                add((*path, label), -np.inf, total + share)
    return grown
