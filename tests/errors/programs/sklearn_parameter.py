# raises: CallError, TypeError
import kgraph as keras
from kgraph.wrappers.scikit_learn import KerasClassifier


def build(units):
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])


KerasClassifier(build, nodes=8)
