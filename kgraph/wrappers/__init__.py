"""Models as estimators of scikit-learn: `SKLearnClassifier` and its kin of Keras 3, `KerasClassifier` of Keras 2.

None of them inherits from scikit-learn, so that it is loaded only when it asks for its tags.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kgraph.keras_paths import missing

if TYPE_CHECKING:
    from kgraph.wrappers import scikit_learn
    from kgraph.wrappers.sklearn import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer", "scikit_learn"]


def __getattr__(name: str) -> Any:
    if name == "scikit_learn":
        return import_module("kgraph.wrappers.scikit_learn")
    if name in __all__:
        return getattr(import_module("kgraph.wrappers.sklearn"), name)
    raise missing(__name__, name, __all__)
