"""`from kgraph import backend as K`: the functions that scripts for Keras 2 use, in terms of `kgraph.ops`.

They work on arrays, Variables, symbolic and traced tensors alike.  `K.eval` and `K.get_value` give NumPy arrays.
"""

from kgraph.backend import aliases, arithmetic, draws, graphs, loops, neural, shapes, values
from kgraph.backend.aliases import *  # noqa: F403
from kgraph.backend.arithmetic import *  # noqa: F403
from kgraph.backend.draws import *  # noqa: F403
from kgraph.backend.graphs import *  # noqa: F403
from kgraph.backend.loops import *  # noqa: F403
from kgraph.backend.neural import *  # noqa: F403
from kgraph.backend.shapes import *  # noqa: F403
from kgraph.backend.values import *  # noqa: F403

__all__: list[str] = []
__all__ += aliases.__all__
__all__ += arithmetic.__all__
__all__ += draws.__all__
__all__ += graphs.__all__
__all__ += loops.__all__
__all__ += neural.__all__
__all__ += shapes.__all__
__all__ += values.__all__
