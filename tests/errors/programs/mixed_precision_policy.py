# raises: UnsupportedError, NotImplementedError
from kgraph import mixed_precision

mixed_precision.set_global_policy("mixed_float16")
