# raises: UnsupportedError, NotImplementedError
import kgraph.distribution  # noqa: F401
