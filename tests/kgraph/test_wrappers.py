"""Models as estimators of scikit-learn."""

import subprocess
import sys

import numpy as np
import pytest

import kgraph
from kgraph import layers
from kgraph.errors import CallError, DataError, InvalidArgumentError, NotCompiledError, ShapeError
from kgraph.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer
from kgraph.wrappers.estimator import NotFittedError, accuracy, r2
from kgraph.wrappers.scikit_learn import KerasClassifier, KerasRegressor


@pytest.fixture(autouse=True)
def seed():
    kgraph.utils.set_random_seed(3)


@pytest.fixture
def blobs():
    rng = np.random.default_rng(0)
    names = np.array(["low", "mid", "top"])[np.arange(90) % 3]
    x = rng.normal(size=(90, 4)) * 0.3 + (np.arange(90) % 3)[:, None]
    return x.astype("float32"), names


def classifier(X, y, units=8):
    model = kgraph.Sequential(
        [kgraph.Input(X.shape[1:]), layers.Dense(units, "relu"), layers.Dense(y.shape[1], "softmax")]
    )
    model.compile(kgraph.optimizers.Adam(0.05), "categorical_crossentropy", ["accuracy"])
    return model


def regressor(X=None, y=None, units=8):
    model = kgraph.Sequential([kgraph.Input((4,)), layers.Dense(units, "tanh"), layers.Dense(1)])
    model.compile(kgraph.optimizers.Adam(0.05), "mse")
    return model


def test_classifier(blobs):
    x, names = blobs
    one = SKLearnClassifier(classifier, model_kwargs={"units": 16}, fit_kwargs={"epochs": 40, "verbose": 0})
    assert one.fit(x, names) is one
    assert one.classes_.tolist() == ["low", "mid", "top"] and one.n_features_in_ == 4
    assert set(one.predict(x)) == {"low", "mid", "top"} and one.score(x, names) > 0.9
    np.testing.assert_allclose(one.decision_function(x).sum(axis=1), 1, rtol=1e-5)
    assert len(one.epoch_) == 40 and one.model_.layers[0].units == 16
    before = one.model_
    one.set_params(warm_start=True).fit(x, names, epochs=1)
    assert one.model_ is before


def test_regressor_from_a_model(blobs):
    x, _ = blobs
    y = x @ np.array([1.0, -1.0, 0.5, 2.0])
    given = regressor()
    start = [w.copy() for w in given.get_weights()]
    one = SKLearnRegressor(given, fit_kwargs={"epochs": 60, "verbose": 0}).fit(x, y)
    assert one.predict(x).shape == (90,) and one.score(x, y) > 0.5
    for before, after in zip(start, given.get_weights()):
        np.testing.assert_array_equal(before, after)  # a copy was trained
    pairs = SKLearnRegressor(lambda X, y: _two(), fit_kwargs={"verbose": 0}).fit(x, np.stack([y, y], 1))
    assert pairs.predict(x).shape == (90, 2)


def _two():
    model = kgraph.Sequential([kgraph.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    return model


def test_transformer(blobs):
    x, _ = blobs
    one = SKLearnTransformer(regressor, fit_kwargs={"verbose": 0})
    found = one.fit_transform(x, np.arange(90.0))
    np.testing.assert_allclose(found, one.model_.predict(x, verbose=0))
    assert found.shape == (90, 1)


def test_scikit_learn_takes_them(blobs):
    base = pytest.importorskip("sklearn.base")
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, names = blobs
    one = SKLearnClassifier(classifier, model_kwargs={"units": 4}, fit_kwargs={"epochs": 5, "verbose": 0})
    twin = base.clone(one)
    assert twin is not one and twin.get_params() == one.get_params()
    assert base.is_classifier(one) and base.is_regressor(SKLearnRegressor(regressor))
    grid = GridSearchCV(one, {"model_kwargs": [{"units": 4}, {"units": 8}]}, cv=2).fit(x, names)
    assert grid.best_params_["model_kwargs"]["units"] in (4, 8) and 0 <= grid.best_score_ <= 1
    chain = make_pipeline(StandardScaler(), base.clone(one)).fit(x, names)
    assert chain.predict(x).shape == (90,)
    reg = SKLearnRegressor(regressor(), fit_kwargs={"epochs": 1, "verbose": 0})
    assert cross_val_score(reg, x, x.sum(axis=1), cv=2).shape == (2,)


def build(units=8, optimizer="adam"):
    model = kgraph.Sequential([kgraph.Input((4,)), layers.Dense(units, "relu"), layers.Dense(3, "softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", ["accuracy"])
    return model


def build_binary():
    model = kgraph.Sequential([kgraph.Input((4,)), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", ["acc"])
    return model


def test_keras_2_classifier(blobs):
    x, names = blobs
    one = KerasClassifier(build_fn=build, units=16, nb_epoch=20, batch_size=8, verbose=0)
    history = one.fit(x, names)
    assert len(history.history["loss"]) == 20 and one.model.layers[0].units == 16
    assert one.score(x, names) == pytest.approx(np.mean(one.predict(x) == names))
    assert one.predict_proba(x).shape == (90, 3) and one.score(x, names) > 0.5
    two = KerasClassifier(build_binary, epochs=1, verbose=0)
    two.fit(x, (names == "top").astype(int))
    np.testing.assert_allclose(two.predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    assert set(two.predict(x)) <= {0, 1}


def test_keras_2_one_hot_loss(blobs):
    x, names = blobs

    def one_hot():
        model = kgraph.Sequential([kgraph.Input((4,)), layers.Dense(3, "softmax")])
        model.compile("sgd", "categorical_crossentropy", ["accuracy"])
        return model

    one = KerasClassifier(one_hot, verbose=0)
    one.fit(x, names)
    assert 0 <= one.score(x, names) <= 1
    one.fit(x, np.eye(3)[np.arange(90) % 3])
    assert one.classes_.tolist() == [0, 1, 2] and 0 <= one.score(x, np.eye(3)[np.arange(90) % 3]) <= 1


def test_keras_2_regressor_and_grid(blobs):
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV

    x, names = blobs
    one = KerasRegressor(regressor, epochs=2, verbose=0)
    one.fit(x, x.sum(axis=1))
    assert one.predict(x).shape == (90,) and one.score(x, x.sum(axis=1)) < 0
    assert clone(one).get_params() == one.get_params()
    grid = GridSearchCV(KerasClassifier(build, verbose=0), {"units": [2, 4], "epochs": [1]}, cv=2).fit(x, names)
    assert grid.best_params_["units"] in (2, 4)


def test_estimator_mistakes(blobs):
    x, names = blobs
    one = SKLearnClassifier(classifier, fit_kwargs={"verbose": 0})
    with pytest.raises(NotFittedError, match="not fitted yet") as caught:
        one.predict(x)
    assert isinstance(caught.value, (ValueError, AttributeError))
    with pytest.raises(DataError, match="only one class"):
        one.fit(x, np.zeros(90))
    with pytest.raises(DataError, match="binary and multiclass"):
        one.fit(x, np.linspace(0, 1, 90))
    with pytest.raises(NotCompiledError, match="compiled model"):
        SKLearnRegressor(kgraph.Sequential([kgraph.Input((4,)), layers.Dense(1)])).fit(x, x[:, 0])
    with pytest.raises(InvalidArgumentError, match="no parameter 'modell'"):
        one.set_params(modell=1)
    one.fit(x, names)
    with pytest.raises(ShapeError, match="X has 2 features"):
        one.predict(x[:, :2])
    with pytest.raises(DataError, match="NaN"):
        one.predict(x * np.nan)
    with pytest.raises(CallError, match="unit is not a legal parameter"):
        KerasClassifier(build, unit=3)
    with pytest.raises(InvalidArgumentError, match="pass build_fn"):
        KerasClassifier()


def test_scores_by_hand():
    assert accuracy([1, 2, 3], [1, 2, 4]) == pytest.approx(2 / 3)
    assert r2([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1 and r2([1.0, 2.0, 3.0], [2.0, 2.0, 2.0]) == 0
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(9, 2)), rng.normal(size=(9, 2)), rng.uniform(size=9)
    assert r2(a, b, w) == pytest.approx(metrics.r2_score(a, b, sample_weight=w))


def test_scikit_learn_is_loaded_only_when_it_asks():
    code = "import kgraph.wrappers.scikit_learn, kgraph.wrappers.sklearn, sys; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
