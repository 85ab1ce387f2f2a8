"""Operations on tensors, named and typed as in `keras.ops`.

Every function works on NumPy arrays (computed by the reference interpreter, NumPy arrays come back), on symbolic
tensors of functional models (the call is recorded) and on traced tensors (IR is emitted).
"""

from kgraph.ops import control, convolution, image, linalg, math, nn, reduction, shaping
from kgraph.ops.control import *  # noqa: F403
from kgraph.ops.convolution import *  # noqa: F403
from kgraph.ops.image import *  # noqa: F403
from kgraph.ops.linalg import *  # noqa: F403
from kgraph.ops.math import *  # noqa: F403
from kgraph.ops.nn import *  # noqa: F403
from kgraph.ops.reduction import *  # noqa: F403
from kgraph.ops.shaping import *  # noqa: F403

__all__: list[str] = []
__all__ += control.__all__
__all__ += convolution.__all__
__all__ += image.__all__
__all__ += linalg.__all__
__all__ += math.__all__
__all__ += nn.__all__
__all__ += reduction.__all__
__all__ += shaping.__all__
