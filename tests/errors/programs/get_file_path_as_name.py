# raises: InvalidArgumentError, ValueError
from kgraph.utils import get_file

get_file("../mnist.npz", "https://example.org/mnist.npz")
