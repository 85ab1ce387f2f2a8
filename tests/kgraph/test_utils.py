"""Small helpers: `Progbar`, `Config`, boxes, images, trees, policies, settings, functions of Keras 2."""

import copy
import io
import pickle
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import kgraph
from kgraph import config, dtype_policies, mixed_precision, tree, utils
from kgraph.errors import CallError, InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.utils import bounding_boxes, conv_utils, generic, legacy


# -- Progbar --------------------------------------------------------------------------------------------------------
class _Terminal(io.StringIO):
    def isatty(self):
        return True


def _bar(target, stream=None, **options):
    ticks = iter(range(100))
    return utils.Progbar(target, stream=stream or _Terminal(), clock=lambda: next(ticks) * 1.0, **options)


def test_progbar_means_and_stateful_values():
    stream = _Terminal()
    bar = _bar(4, stream, width=4, stateful_metrics=["lr"])
    bar.update(1, [("loss", 1.0), ("lr", 0.5)])
    bar.add(2, [("loss", 4.0), ("lr", 0.25)])
    assert "3/4 ━━━━" in stream.getvalue() and "loss: 3.0000 - lr: 0.2500" in stream.getvalue()
    bar.update(4, [("loss", 2.5), ("lr", 0.125)])
    assert stream.getvalue().endswith("loss: 2.5000 - lr: 0.1250\n")  # the last values stand as they are, as in Keras


def test_progbar_off_a_terminal_writes_its_last_line():
    stream = io.StringIO()
    bar = _bar(2, stream, unit_name="row")
    for step in (1, 2):
        bar.update(step, [("loss", 1.0)])
    assert stream.getvalue().count("\n") == 1 and "/row - loss: 1.0000" in stream.getvalue()
    quiet = _bar(2, verbose=0)
    quiet.update(2)
    assert quiet._stream.getvalue() == ""
    line = io.StringIO()
    _bar(12, line, verbose=2).update(12, [("a", 1.0)])
    assert line.getvalue().startswith("12/12 - ") and line.getvalue().endswith("- a: 1.0000\n")
    unknown = _Terminal()
    _bar(None, unknown).update(3, finalize=True)
    assert unknown.getvalue().startswith("\r3/? ")


def test_progbar_refuses_both_kinds_of_names():
    with pytest.raises(InvalidArgumentError, match="not both"):
        utils.Progbar(1, stateful_metrics=[], stateless_metrics=[])


# -- Config ---------------------------------------------------------------------------------------------------------
def test_config():
    one = utils.Config(units=3)
    one.rate = 0.5
    one["name"] = "x"
    assert one.as_dict() == {"units": 3, "rate": 0.5, "name": "x"} and one.units == one["units"] == 3
    assert list(one) == ["name", "rate", "units"] and len(one) == 3 and "rate" in one
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert twin.as_dict() == one.as_dict()
    del one["name"]
    one.freeze()
    for change in (lambda: setattr(one, "units", 4), lambda: one.update(a=1), lambda: one.pop("units")):
        with pytest.raises(ValueError, match="frozen"):
            change()
    one.unfreeze()
    assert one.pop("units") == 3 and one.get("units", 7) == 7 and one.to_json() == '{"rate": 0.5}'
    with pytest.raises(AttributeError, match="write rate"):
        _ = one.rates


# -- boxes ----------------------------------------------------------------------------------------------------------
def _boxes():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 50, (3, 5, 2))
    return np.concatenate([corner, corner + rng.uniform(1, 50, (3, 5, 2))], -1).astype("float32")


@pytest.mark.parity
@pytest.mark.parametrize("source", ["xyxy", "yxyx", "xywh", "center_xywh", "center_yxhw", "rel_xywh"])
def test_boxes_are_those_of_keras(source):
    theirs = pytest.importorskip("keras").utils.bounding_boxes
    boxes = _boxes() / (100 if source.startswith("rel") else 1)
    forms = [
        "xyxy",
        "yxyx",
        "xywh",
        "center_xywh",
        "center_yxhw",
        "rel_xyxy",
        "rel_yxyx",
        "rel_xywh",
        "rel_center_xywh",
    ]
    for target in forms:
        ours = np.asarray(bounding_boxes.convert_format(boxes, source, target, 80, 120))
        np.testing.assert_allclose(
            ours, np.asarray(theirs.convert_format(boxes, source, target, 80, 120)), rtol=1e-5, atol=1e-4
        )


@pytest.mark.parity
def test_box_helpers_are_those_of_keras():
    theirs = pytest.importorskip("keras").utils.bounding_boxes
    first, second = _boxes(), _boxes()[:, ::-1] + 3
    second[0, 0] = -1
    calls = [
        lambda m: m.compute_iou(first, second, "xyxy"),
        lambda m: m.compute_iou(first[0], second[0], "yxyx"),
        lambda m: m.compute_ciou(first, second, "xyxy"),
        lambda m: m.crop(first, 5, 10, 30, 20),
        lambda m: m.pad(first, 5, 10),
        lambda m: m.encode_box_to_deltas(first[1], second[1], "xyxy", "xyxy", variance=[0.1, 0.1, 0.2, 0.2]),
        lambda m: m.decode_deltas_to_boxes(first[1], second[1] / 100, "xyxy", "xywh", "center_xywh"),
        lambda m: m.clip_to_image_size({"boxes": first, "labels": np.ones((3, 5))}, 20, 30)["labels"],
        lambda m: m.clip_to_image_size({"boxes": first}, 20, 30)["boxes"],
    ]
    for number, call in enumerate(calls):
        np.testing.assert_allclose(
            np.asarray(call(bounding_boxes)), np.asarray(call(theirs)), rtol=2e-4, atol=1e-4, err_msg=str(number)
        )


def test_iou_by_hand():
    a, b = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [-1.0] * 4])
    np.testing.assert_allclose(bounding_boxes.compute_iou(a, b, "xyxy", use_masking=True), [[1 / 7, 1, -1]], rtol=1e-5)
    with pytest.raises(ShapeError, match="four numbers"):
        bounding_boxes.convert_format(np.zeros((2, 3)), "xyxy", "xywh")
    with pytest.raises(InvalidArgumentError, match="size of the image"):
        bounding_boxes.convert_format(a, "rel_xyxy", "xyxy")
    with pytest.raises(UnsupportedError):
        bounding_boxes.affine_transform(a)


# -- images ---------------------------------------------------------------------------------------------------------
def test_images_to_arrays_and_back(tmp_path):
    pytest.importorskip("PIL")
    x = np.arange(60).reshape(4, 5, 3)
    picture = utils.array_to_img(x, scale=False)
    np.testing.assert_array_equal(utils.img_to_array(picture), x)
    assert utils.img_to_array(picture, data_format="channels_first").shape == (3, 4, 5)
    utils.save_img(tmp_path / "a.png", x.transpose(2, 0, 1), "channels_first", scale=False)
    np.testing.assert_array_equal(utils.img_to_array(utils.load_img(tmp_path / "a.png")), x)
    assert utils.load_img(tmp_path / "a.png", "grayscale", (2, 3)).size == (3, 2)
    assert utils.load_img(tmp_path / "a.png", target_size=(8, 2), keep_aspect_ratio=True).size == (2, 8)
    assert utils.load_img(str(tmp_path / "a.png"), grayscale=True).mode == "L"
    with pytest.warns(UserWarning, match="no transparency"):
        utils.save_img(tmp_path / "b.jpg", np.zeros((2, 2, 4)))
    with pytest.raises(FileNotFoundError, match="no image file"):
        utils.load_img(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("text")
    with pytest.raises(OSError, match="cannot be read as an image"):
        utils.load_img(tmp_path / "text.png")


def test_arrays_need_no_pillow():
    assert utils.img_to_array(np.zeros((2, 3))).shape == (2, 3, 1)
    with pytest.raises(ShapeError):
        utils.img_to_array(np.zeros(3))
    from kgraph.preprocessing.image import smart_resize

    x = np.arange(32.0).reshape(4, 8, 1).astype("float32")
    np.testing.assert_allclose(smart_resize(x, (4, 4), "nearest")[..., 0], x[:, 2:6, 0])


# -- graphs and functions of Keras 2 ----------------------------------------------------------------------------------
def test_source_inputs():
    a, b, c = (kgraph.Input((2,)) for _ in range(3))
    h = kgraph.layers.Dense(2)(kgraph.layers.add([b, a]))
    assert utils.get_source_inputs(kgraph.layers.multiply([h, b])) == [b, a]
    assert utils.get_source_inputs(c) == [c]


def test_generic_functions():
    assert generic.to_list((1, 2)) == [(1, 2)] and generic.to_list((1, 2), allow_tuple=True) == [1, 2]
    assert generic.unpack_singleton([3]) == 3 and generic.is_all_none([None, None])
    assert generic.has_arg(lambda x, y=1: 0, "y") and not generic.has_arg(lambda **k: 0, "y")
    assert generic.has_arg(lambda **k: 0, "y", accept_all=True)
    rows = generic.slice_arrays([np.arange(5), None], 1, 3)
    assert rows[0].tolist() == [1, 2] and rows[1] is None
    dense = kgraph.layers.Dense(3)
    dense.build((None, 4))
    assert generic.count_params([*dense.weights, *dense.weights]) == 15


@pytest.mark.parametrize(
    ("arguments", "length"),
    [((10, 3, "valid", 1), 8), ((10, 3, "same", 2), 5), ((10, 3, "full", 1), 12), ((None, 3, "valid", 1), None)],
)
def test_conv_output_length(arguments, length):
    assert conv_utils.conv_output_length(*arguments) == length


def test_conv_utils():
    assert conv_utils.conv_output_length(10, 3, "valid", 2, dilation=2) == 3
    assert conv_utils.conv_input_length(8, 3, "valid", 1) == 10
    assert conv_utils.deconv_length(4, 2, 3, "valid") == 9 and conv_utils.deconv_length(4, 2, 3, "same") == 8
    assert conv_utils.normalize_tuple(2, 2, "strides") == (2, 2)
    assert conv_utils.normalize_padding("SAME") == "same"
    with pytest.raises(InvalidArgumentError, match="strides"):
        conv_utils.normalize_tuple((1, 2, 3), 2, "strides")


def test_legacy_serialization():
    dense = kgraph.layers.Dense(3, name="d")
    described = legacy.serialize_keras_object(dense)
    assert described["class_name"] == "Dense"
    again = legacy.deserialize_keras_object(described, {"Dense": kgraph.layers.Dense})
    assert again.units == 3 and again.name == "d"
    assert legacy.serialize_keras_object(kgraph.activations.relu) == "relu"
    with pytest.raises(ValueError, match="unknown layer 'Dens'"):
        legacy.deserialize_keras_object("Dens", {}, printable_module_name="layer")


# -- trees ----------------------------------------------------------------------------------------------------------
Point = namedtuple("Point", "x y")
TREES = [
    {"b": [1, 2], "a": (3, {"c": 4})},
    OrderedDict([("b", 1), ("a", Point(2, [3]))]),
    [],
    (1, [2, (3,)]),
    5,
]


@pytest.mark.parity
@pytest.mark.parametrize("structure", TREES, ids=str)
def test_trees_are_those_of_keras(structure):
    theirs = pytest.importorskip("keras").tree
    assert tree.flatten(structure) == theirs.flatten(structure)
    assert tree.flatten_with_path(structure) == theirs.flatten_with_path(structure)
    doubled = tree.map_structure(lambda leaf: leaf * 2, structure)
    assert doubled == theirs.map_structure(lambda leaf: leaf * 2, structure) and type(doubled) is type(structure)
    assert tree.pack_sequence_as(structure, tree.flatten(doubled)) == doubled
    assert tree.lists_to_tuples(structure) == theirs.lists_to_tuples(structure)
    for top_down in (True, False):
        seen = [], []
        for module, list_ in zip((tree, theirs), seen):
            module.traverse(list_.append, structure, top_down=top_down)
        assert seen[0] == seen[1]


def test_tree_rules():
    assert tree.map_structure(lambda a, b: a + b, [1, (2,)], [3, (4,)]) == [4, (6,)]
    assert tree.map_structure_up_to([None, None], len, [[1, 1], [2]]) == [2, 1]
    assert tree.map_structure(str, [None, 1], none_is_leaf=False) == [None, "1"]
    assert tree.map_shape_structure(lambda s: len(s), {"a": (None, 3), "b": [(1,), (2, 2)]}) == {"a": 2, "b": [1, 2]}
    assert tree.traverse(lambda p: tree.MAP_TO_NONE if p == 1 else None, [1, 2]) == [None, 2]
    tree.assert_same_paths([0, 1], (2, 3))
    for call in (
        lambda: tree.assert_same_structure([0], (0,)),
        lambda: tree.assert_same_paths([0], [0, 1]),
        lambda: tree.map_structure(lambda a, b: a, [1], [1, 2]),
        lambda: tree.pack_sequence_as([1, 2], [1]),
        lambda: tree.map_structure_up_to([[1]], len, [1]),
    ):
        with pytest.raises(ValueError, match=r"nested alike|leaves"):
            call()
    with pytest.raises(CallError):
        tree.map_structure(None, [1])


# -- settings -------------------------------------------------------------------------------------------------------
def test_settings_of_keras(monkeypatch):
    assert config.backend() == "kgraph" and config.floatx() == "float32" and config.epsilon() == 1e-7
    assert config.image_data_format() == "channels_last" and not config.is_flash_attention_enabled()
    assert config.settings().num_threads >= 1  # kgraph's own are there too
    monkeypatch.setenv("KGRAPH_TRACEBACK", "short")
    config.disable_traceback_filtering()
    assert not config.is_traceback_filtering_enabled() and config.settings().traceback == "full"
    config.enable_traceback_filtering()
    assert config.is_traceback_filtering_enabled()
    with pytest.raises(UnsupportedError, match="safe_mode=False"):
        config.enable_unsafe_deserialization()
    with pytest.raises(UnsupportedError):
        config.set_max_epochs(3)
    config.set_max_epochs(None)
    with pytest.raises(AttributeError):
        _ = config.no_such_thing


def test_interactive_logging_chooses_what_auto_means(capsys):
    model = kgraph.Sequential([kgraph.Input((2,)), kgraph.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.zeros((4, 2)), np.zeros((4, 1)))
    assert "━" in capsys.readouterr().out
    utils.disable_interactive_logging()
    try:
        assert not config.is_interactive_logging_enabled()
        model.fit(np.zeros((4, 2)), np.zeros((4, 1)))
        assert "━" not in capsys.readouterr().out
    finally:
        utils.enable_interactive_logging()


def test_policies():
    assert mixed_precision.global_policy().name == "float32"
    mixed_precision.set_global_policy("float64")
    try:
        assert mixed_precision.global_policy().compute_dtype == "float64"
        assert kgraph.layers.Dense(2).dtype == "float64"
    finally:
        mixed_precision.set_global_policy(mixed_precision.Policy("float32"))
    for name in ("mixed_float16", "mixed_bfloat16", "bfloat16", "int8_from_float32"):
        with pytest.raises(UnsupportedError, match="float32"):
            config.set_dtype_policy(name)
    policy = dtype_policies.get("float64")
    assert dtype_policies.deserialize(dtype_policies.serialize(policy)) == policy == dtype_policies.get(policy)
    assert dtype_policies.get(None).name == "float32"
    with pytest.raises(UnsupportedError, match="QuantizedDTypePolicy"):
        _ = dtype_policies.QuantizedDTypePolicy


def test_name_scope_is_part_of_the_paths():
    with kgraph.name_scope("outer"):
        dense = kgraph.layers.Dense(2, name="d")
        dense.build((None, 3))
    assert [weight.path for weight in dense.weights] == ["outer/d/kernel", "outer/d/bias"]
    with pytest.raises(InvalidArgumentError), kgraph.name_scope("a/b"):
        pass
