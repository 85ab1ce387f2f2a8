# raises: ShapeError, ValueError
import kgraph as keras
from kgraph.layers import Input

keras.layers.Softmax(axis=3, name="probabilities")(Input((4,)))
