"""`plot_model` and `model_to_dot`: which boxes and arrows a model becomes."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import kgraph as keras
from kgraph import layers
from kgraph.errors import InvalidArgumentError, NotBuiltError
from kgraph.utils import model_to_dot, plot_model
from kgraph.utils.vis import GraphvizMissingError


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    keras.utils.clear_session()


def siamese() -> keras.Model:
    inside = keras.Input((4,), name="inside")
    base = keras.Model(inside, layers.Dense(3, name="deep", activation="relu")(inside), name="base")
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(4, name="shared")
    both = layers.concatenate([base(shared(left)), base(shared(right))], name="both")
    return keras.Model([left, right], layers.Dense(1, name="head")(both), name="siamese")


def test_a_shared_layer_is_one_box_with_several_calls() -> None:
    drawing = model_to_dot(siamese(), show_shapes=True)
    titles = [node.title for node in drawing.nodes]
    assert titles.count("shared (Dense)") == 1
    shared = next(node for node in drawing.nodes if node.title == "shared (Dense)")
    assert [line.split("\t")[0] for line in shared.lines] == ["input 0", "output 0", "input 1", "output 1"]
    assert [edge.label for edge in drawing.edges if edge.dst == shared.id] == ["call 0", "call 1"]


def test_a_nested_model_is_one_box_or_a_frame() -> None:
    closed = model_to_dot(siamese())
    assert not closed.clusters
    assert [node.kind for node in closed.nodes if node.title == "base (Functional)"] == ["model"]
    opened = model_to_dot(siamese(), expand_nested=True)
    (frame,) = opened.clusters
    assert frame.title == "base"
    title = {node.id: node.title for node in opened.nodes}
    assert [title[name] for name in frame.nodes] == ["inside (InputLayer)", "deep (Dense)"]
    arrows = [(title[edge.src], title[edge.dst]) for edge in opened.edges]
    assert arrows.count(("shared (Dense)", "inside (InputLayer)")) == 2
    assert arrows.count(("deep (Dense)", "both (Concatenate)")) == 2


def test_details_are_shown_when_asked_for() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, activation="tanh", name="only")], name="row")
    model.get_layer("only").trainable = False
    plain = model_to_dot(model, show_layer_names=False)
    assert [(node.title, tuple(node.lines)) for node in plain.nodes][-1] == ("Dense", ())
    full = model_to_dot(model, show_shapes=True, show_dtype=True, show_layer_activations=True, show_trainable=True)
    assert full.nodes[-1].lines == (
        "activation\ttanh",
        "weights\tfrozen",
        "dtype\tfloat32",
        "input\t(None, 4)",
        "output\t(None, 2)",
    )


def test_a_model_cut_from_another_begins_at_a_tensor() -> None:
    whole = siamese()
    cut = keras.Model(whole.get_layer("both").output, whole.output)
    drawing = model_to_dot(cut)
    assert len(drawing.nodes) == 2
    assert len(drawing.edges) == 1


def test_a_subclassed_model_is_one_box() -> None:
    class Plain(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs: object) -> object:
            return self.dense(inputs)

    model = Plain()
    with pytest.raises(NotBuiltError, match="no shapes yet"):
        model_to_dot(model)
    model.build((None, 3))
    assert [node.title for node in model_to_dot(model).nodes] == ["plain (Plain)"]


@pytest.mark.parametrize("name", ["m.svg", "m.dot", "m.gv"])
def test_files(tmp_path: Path, name: str) -> None:
    plot_model(siamese(), tmp_path / name, expand_nested=True)
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name.endswith("svg"):
        assert "siamese" in "".join(ElementTree.fromstring(text).itertext())
    else:
        assert text.startswith('digraph "siamese" {')


def test_the_idiom_of_notebooks() -> None:
    assert model_to_dot(siamese()).create(prog="dot", format="svg").startswith(b"<svg")
    assert plot_model(siamese(), to_file=None)._repr_svg_().startswith("<svg")


def test_other_formats_need_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(GraphvizMissingError, match=r"needs Graphviz"):
        plot_model(siamese(), tmp_path / "m.png")
    with pytest.raises(ImportError):
        plot_model(siamese(), tmp_path / "m.pdf")


def test_bad_arguments() -> None:
    with pytest.raises(InvalidArgumentError, match="rankdir"):
        model_to_dot(siamese(), rankdir="up")
    with pytest.raises(InvalidArgumentError, match="draws models"):
        model_to_dot("model")
    with pytest.raises(NotBuiltError):
        model_to_dot(keras.Sequential([layers.Dense(1)]))
