# raises: MissingImportError, ImportError
from kgraph.layers.embeddings import Embeding  # noqa: F401
