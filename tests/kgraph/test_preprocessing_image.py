"""`kgraph.preprocessing.image`: warps against SciPy and Keras, statistics by hand, batches for `fit`."""

import warnings

import numpy as np
import pytest

import kgraph
from kgraph.errors import DataError, FileMissingError, InvalidArgumentError, ShapeError, UnsupportedError
from kgraph.preprocessing import image
from kgraph.preprocessing.image import ImageDataGenerator


@pytest.fixture
def square():
    return np.random.default_rng(0).uniform(0, 255, (9, 9, 3)).astype("float32")


def keras_image():
    pytest.importorskip("scipy")
    return pytest.importorskip("keras.src.legacy.preprocessing.image")


AXES = {"row_axis": 0, "col_axis": 1, "channel_axis": 2}
CHANGES = [
    {"theta": 30},
    {"theta": -100, "shear": 20},
    {"tx": 1.6, "ty": -2},
    {"zx": 0.5, "zy": 1.7},
    {"theta": 10, "tx": 20, "ty": 3.25, "shear": -15, "zx": 2.5, "zy": 3},
    {"tx": -8, "ty": 16},
]


@pytest.mark.parity
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect", "wrap"])
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_affine_transform_is_that_of_keras(square, change, fill_mode, order):
    options = {**AXES, **change, "fill_mode": fill_mode, "cval": 7.0, "order": order}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name space that Keras takes SciPy's function from
        theirs = keras_image().apply_affine_transform(square, **options)
    ours = image.apply_affine_transform(square, **options)
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    wrong = np.abs(ours - theirs) > 1e-3
    # A place half-way between two pixels is rounded either way.
    assert wrong.mean() <= (0.05 if order == 0 else 0), wrong.mean()


def test_shift_and_zoom_by_hand():
    x = np.arange(12.0).reshape(3, 4, 1)
    right = image.apply_affine_transform(x, tx=1, **AXES)[..., 0]
    assert right.tolist() == [[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]]
    down = image.apply_affine_transform(x, ty=1, fill_mode="constant", cval=-1, **AXES)[..., 0]
    assert down.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [-1, -1, -1, -1]]
    around = image.apply_affine_transform(x, theta=180, **AXES)[..., 0]
    np.testing.assert_allclose(around, x[::-1, ::-1, 0], atol=1e-9)  # the middle stays, though it is not square
    first = image.apply_affine_transform(np.moveaxis(x, 2, 0), tx=1)[0]
    assert first.tolist() == right.tolist()


def test_small_changes_by_hand():
    x = np.array([[[0.0], [10.0]], [[20.0], [30.0]]])
    assert image.apply_channel_shift(x, 5, 2)[..., 0].tolist() == [[5, 15], [25, 30]]
    assert image.flip_axis(x, 1)[..., 0].tolist() == [[10, 0], [30, 20]]
    lit = image.apply_brightness_shift(np.array([[[0.0], [100.0]], [[200.0], [255.0]]]), 1.5, scale=False)
    assert lit[..., 0].tolist() == [[0, 150], [255, 255]]


def test_brightness_is_that_of_pillow(square):
    pytest.importorskip("PIL")
    from PIL import ImageEnhance

    for shape in ((9, 9, 3), (9, 9, 1), (9, 9, 4)):
        x = np.random.default_rng(1).uniform(-3, 260, shape).astype("float32")
        picture = image.array_to_img(x, scale=True)
        theirs = image.img_to_array(ImageEnhance.Brightness(picture).enhance(1.3))
        np.testing.assert_array_equal(image.apply_brightness_shift(x, 1.3), theirs)


@pytest.mark.parity
def test_random_transform_draws_as_keras_does(square):
    options = dict(rotation_range=40, shear_range=10, zoom_range=0.3, horizontal_flip=True, vertical_flip=True)
    options |= dict(channel_shift_range=20.0, width_shift_range=0.2, height_shift_range=3, brightness_range=(0.5, 1.5))
    ours, theirs = ImageDataGenerator(**options), keras_image().ImageDataGenerator(**options)
    for seed in range(5):
        one, other = (generator.get_random_transform(square.shape, seed) for generator in (ours, theirs))
        # Keras moves an image sideways by height_shift_range; here it goes up and down, as the name says.
        other["tx"], other["ty"] = other["ty"], other["tx"]
        for name, value in one.items():
            assert value == pytest.approx(other[name]), name
    np.testing.assert_array_equal(ours.random_transform(square, 3), ours.random_transform(square, 3))


def test_height_shift_moves_up_and_down():
    x = np.zeros((8, 8, 1), "float32")
    x[4] = 1.0
    moved = ImageDataGenerator(height_shift_range=[2]).random_transform(x, seed=0)
    assert sorted(np.flatnonzero(moved[:, 0, 0])) in ([2], [6])
    np.testing.assert_array_equal(ImageDataGenerator(width_shift_range=[2]).random_transform(x, seed=0), x)


@pytest.mark.parity
@pytest.mark.parametrize(
    "options",
    [
        {"featurewise_center": True},
        {"featurewise_std_normalization": True, "rescale": 1 / 255},
        {"samplewise_std_normalization": True},
        {"zca_whitening": True},
        {"preprocessing_function": lambda x: x * 2, "rescale": 0.5, "samplewise_center": True},
    ],
    ids=lambda options: "-".join(options),
)
def test_standardize_is_that_of_keras(options):
    x = np.random.default_rng(2).uniform(0, 255, (6, 3, 3, 3)).astype("float32")
    ours = ImageDataGenerator(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says which options it adds
        theirs = keras_image().ImageDataGenerator(**options)
    found = []
    for generator in (ours, theirs):
        generator.fit(x)
        found.append(generator.standardize(x[0].copy()))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-3)


def test_statistics_by_hand():
    x = np.array([1.0, 3.0]).reshape(2, 1, 1, 1)
    generator = ImageDataGenerator(featurewise_std_normalization=True)
    generator.fit(x)
    assert generator.mean.ravel() == [2] and generator.std.ravel() == [1]
    np.testing.assert_allclose(generator.standardize(x[1].astype("float32")).ravel(), [1], rtol=1e-5)
    with pytest.warns(UserWarning, match=r"needs ImageDataGenerator\.fit"):
        ImageDataGenerator(featurewise_center=True).standardize(x[0])


# -- batches --------------------------------------------------------------------------------------------------------
def test_flow_gives_every_row_once(square):
    x, y = np.arange(10.0).reshape(10, 1, 1, 1), np.arange(10)
    flow = ImageDataGenerator(rescale=2.0).flow(x, y, batch_size=4, seed=1)
    assert len(flow) == 3 and flow.n == 10
    for read in (lambda: [flow[i] for i in range(3)], lambda: [next(flow) for _ in range(3)]):
        batches = read()
        rows = np.concatenate([labels for _, labels in batches])
        assert sorted(rows) == list(range(10))
        np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]).ravel(), 2 * rows)


def test_flow_with_a_seed_repeats():
    x = np.random.default_rng(0).uniform(size=(6, 5, 5, 3))
    runs = [ImageDataGenerator(rotation_range=90).flow(x, batch_size=2, seed=5) for _ in range(2)]
    for _ in range(4):
        np.testing.assert_array_equal(next(runs[0]), next(runs[1]))


@pytest.mark.parity
def test_flow_with_a_seed_is_that_of_keras():
    x, y = np.random.default_rng(0).uniform(0, 255, (7, 6, 6, 3)).astype("float32"), np.arange(7)
    weights = np.linspace(0, 1, 7)
    options = dict(rotation_range=40, zoom_range=(0.5, 1.0), horizontal_flip=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (
            module.ImageDataGenerator(**options).flow(x, y, 3, sample_weight=weights, seed=2)
            for module in (image, keras_image())
        )
        for _ in range(5):
            for one, other in zip(next(ours), next(theirs)):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2)


def test_flow_subsets_and_several_inputs():
    x, y = np.arange(10.0).reshape(10, 1, 1, 1), np.tile([0, 1], 5)
    generator = ImageDataGenerator(validation_split=0.2)
    parts = {name: generator.flow(x, y, shuffle=False, subset=name) for name in ("training", "validation")}
    assert parts["validation"][0][0].ravel().tolist() == [0, 1] and parts["training"].n == 8
    (images, other), labels = generator.flow((x, y * 3), y, shuffle=False)[0]
    assert images.shape == (10, 1, 1, 1) and other.tolist() == (y * 3).tolist() and labels.tolist() == y.tolist()


def _model():
    model = kgraph.Sequential([kgraph.Input((6, 6, 1)), kgraph.layers.Flatten(), kgraph.layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
    return model


def test_a_model_trains_on_a_flow():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=(20, 6, 6, 1)), np.arange(20) % 2
    generator = ImageDataGenerator(rotation_range=20, horizontal_flip=True)
    model = _model()
    history = model.fit_generator(generator.flow(x, y, batch_size=8), steps_per_epoch=4, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    plain = ImageDataGenerator().flow(x, y, batch_size=8, shuffle=False)
    next(plain)  # what was read by hand does not move what predict reads
    np.testing.assert_allclose(model.predict(plain, verbose=0), model.predict(x, verbose=0), rtol=1e-5)
    assert model.evaluate(plain, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-5)


@pytest.fixture
def pictures(tmp_path):
    pytest.importorskip("PIL")
    for number, name in enumerate(("cats", "dogs")):
        (tmp_path / name).mkdir()
        for i in range(4):
            image.save_img(tmp_path / name / f"{i}.png", np.full((6, 8, 3), 60 * number + i), scale=False)
    (tmp_path / "cats" / "notes.txt").write_text("no image")
    return tmp_path


def test_flow_from_directory(pictures, capsys):
    flow = ImageDataGenerator().flow_from_directory(pictures, (6, 6), "grayscale", class_mode="sparse", shuffle=False)
    assert capsys.readouterr().out == "Found 8 images belonging to 2 classes.\n"
    assert flow.class_indices == {"cats": 0, "dogs": 1} and flow.classes.tolist() == [0] * 4 + [1] * 4
    images, labels = flow[0]
    assert images.shape == (8, 6, 6, 1) and labels.tolist() == [0] * 4 + [1] * 4
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 60, 61, 62, 63]
    _model().fit(flow, verbose=0)
    split = ImageDataGenerator(validation_split=0.5)
    held = split.flow_from_directory(pictures, (6, 6), subset="validation", shuffle=False)
    assert [str(name)[-5:] for name in held.filenames] == ["0.png", "1.png"] * 2
    assert held[0][1].tolist() == [[1, 0]] * 2 + [[0, 1]] * 2
    again = split.flow_from_directory(pictures, (6, 6), class_mode=None, batch_size=3, save_to_dir=pictures)
    next(again)
    assert len(list(pictures.glob("_*.png"))) == 3


def test_image_mistakes(square, tmp_path):
    generator = ImageDataGenerator()
    with pytest.raises(ShapeError, match="takes images"):
        generator.flow(square)
    with pytest.raises(DataError, match="x has 2 rows, y has 3"):
        generator.flow(np.zeros((2, 3, 3, 1)), np.zeros(3))
    with pytest.raises(InvalidArgumentError, match="needs a share"):
        generator.flow(np.zeros((2, 3, 3, 1)), subset="training")
    with pytest.raises(FileMissingError, match="no directory"):
        generator.flow_from_directory(tmp_path / "nowhere")
    with pytest.raises(UnsupportedError, match="flow_from_dataframe"):
        generator.flow_from_dataframe(None)
    for wrong in ({"fill_mode": "mirror"}, {"zoom_range": (1, 2, 3)}, {"validation_split": 1.5}):
        with pytest.raises(InvalidArgumentError):
            ImageDataGenerator(**wrong)
    with pytest.raises(UnsupportedError, match="interpolation_order=3"):
        ImageDataGenerator(interpolation_order=3)
