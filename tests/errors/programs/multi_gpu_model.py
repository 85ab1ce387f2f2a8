# raises: UnsupportedError, NotImplementedError
from kgraph.utils import multi_gpu_model  # noqa: F401
