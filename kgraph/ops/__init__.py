"""Operations on tensors, named and typed as in `keras.ops`.

Every function works on NumPy arrays (computed by the reference interpreter, NumPy arrays come back), on symbolic
tensors of functional models (the call is recorded) and on traced tensors (IR is emitted).
"""

from typing import Any

from kgraph.errors import UnsupportedError
from kgraph.keras_paths import child, missing, widen
from kgraph.ops import (
    arranging,
    bits,
    control,
    convolution,
    creating,
    ctc,
    fourier,
    image,
    indexing,
    linalg,
    losses,
    making,
    math,
    nan_reductions,
    nn,
    normalising,
    numbers,
    patches,
    products,
    rectifying,
    reduction,
    segments,
    shaping,
    sorting,
    special,
    statistics,
    taking,
)
from kgraph.ops.arranging import *  # noqa: F403
from kgraph.ops.bits import *  # noqa: F403
from kgraph.ops.control import *  # noqa: F403
from kgraph.ops.convolution import *  # noqa: F403
from kgraph.ops.creating import *  # noqa: F403
from kgraph.ops.ctc import *  # noqa: F403
from kgraph.ops.fourier import *  # noqa: F403
from kgraph.ops.image import *  # noqa: F403
from kgraph.ops.indexing import *  # noqa: F403
from kgraph.ops.left_out import LEFT_OUT
from kgraph.ops.linalg import *  # noqa: F403
from kgraph.ops.losses import *  # noqa: F403
from kgraph.ops.making import *  # noqa: F403
from kgraph.ops.math import *  # noqa: F403
from kgraph.ops.nan_reductions import *  # noqa: F403
from kgraph.ops.nn import *  # noqa: F403
from kgraph.ops.normalising import *  # noqa: F403
from kgraph.ops.numbers import *  # noqa: F403
from kgraph.ops.patches import *  # noqa: F403
from kgraph.ops.products import *  # noqa: F403
from kgraph.ops.rectifying import *  # noqa: F403
from kgraph.ops.reduction import *  # noqa: F403
from kgraph.ops.segments import *  # noqa: F403
from kgraph.ops.shaping import *  # noqa: F403
from kgraph.ops.sorting import *  # noqa: F403
from kgraph.ops.special import *  # noqa: F403
from kgraph.ops.statistics import *  # noqa: F403
from kgraph.ops.taking import *  # noqa: F403

__all__: list[str] = []
__all__ += arranging.__all__
__all__ += bits.__all__
__all__ += control.__all__
__all__ += convolution.__all__
__all__ += creating.__all__
__all__ += ctc.__all__
__all__ += fourier.__all__
__all__ += image.__all__
__all__ += indexing.__all__
__all__ += linalg.__all__
__all__ += losses.__all__
__all__ += making.__all__
__all__ += math.__all__
__all__ += nan_reductions.__all__
__all__ += nn.__all__
__all__ += normalising.__all__
__all__ += numbers.__all__
__all__ += patches.__all__
__all__ += products.__all__
__all__ += rectifying.__all__
__all__ += reduction.__all__
__all__ += segments.__all__
__all__ += shaping.__all__
__all__ += sorting.__all__
__all__ += special.__all__
__all__ += statistics.__all__
__all__ += taking.__all__


def __getattr__(name: str) -> Any:
    if name in LEFT_OUT:
        raise UnsupportedError(f"keras.ops.{name} is not supported", fix=f"use {LEFT_OUT[name]}")
    found = None if name[:2] == "__" else child(__name__, name)
    if found is None:
        raise missing(__name__, name, __all__)
    return found


widen(__name__)
