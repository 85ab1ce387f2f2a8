# raises: MissingModuleError, ModuleNotFoundError
import kgraph.layers.convolutionl  # noqa: F401
