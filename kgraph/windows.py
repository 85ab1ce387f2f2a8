"""Window functions for spectra, in NumPy.  SciPy, where it is installed, gives the rarer ones."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from kgraph.errors import InvalidArgumentError, ShapeError, UnsupportedError

__all__ = ["check_window", "window_values"]

Array = npt.NDArray[np.float64]

# Sums of cosines: w(n) = sum_k (-1)^k a_k cos(2 pi k n / N)  (F. Harris, "On the use of windows", 1978; SciPy).
_COSINES = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_ALIASES = {
    "hanning": "hann",
    "rect": "boxcar",
    "rectangular": "boxcar",
    "ones": "boxcar",
    "blackharr": "blackmanharris",
}


def check_window(name: str, window: Any) -> None:
    """Check that a window given by name is known.

    Raises:
        InvalidArgumentError: there is none of that name.
        UnsupportedError: only SciPy could know, and it is not installed.
    """
    if isinstance(window, str):
        try:
            window_values(window, 1)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{name}: {error.message}", got=error.got, needed=error.needed) from None


def window_values(window: Any, size: int, periodic: bool = False) -> Array:
    """f64[size]: a window.

    Args:
        window: its name, or its values.
        size: how many.
        periodic: of the period `size`, for spectra; else symmetric.

    Raises:
        InvalidArgumentError: there is none of that name.
        ShapeError: values of another number.
        UnsupportedError: only SciPy could know the name, and it is not installed.
    """
    if not isinstance(window, str):
        values = np.asarray(window, np.float64)
        if values.shape != (size,):
            raise ShapeError(
                "a window needs one value for each sample of a frame", got=f"shape {values.shape}", needed=f"({size},)"
            )
        return values
    terms = _COSINES.get(_ALIASES.get(window, window))
    if terms is None:
        return _of_scipy(window, size, periodic)
    if size == 1:
        return np.ones(1)
    angle = 2 * np.pi * np.arange(size) / (size if periodic else size - 1)
    made: Array = np.sum([(-1) ** k * a * np.cos(k * angle) for k, a in enumerate(terms)], axis=0)
    return made


def _of_scipy(window: str, size: int, periodic: bool) -> Array:
    try:
        signal = import_module("scipy.signal")
    except ImportError:
        raise UnsupportedError(
            f"window {window!r} is not known without SciPy",
            needed="one of " + ", ".join(_COSINES),
            fix="install scipy, or pass the values of the window",
        ) from None
    try:
        values: Array = np.asarray(signal.get_window(window, size, periodic), np.float64)
    except ValueError:
        raise InvalidArgumentError(
            "unknown window", got=repr(window), needed="one of " + ", ".join(_COSINES) + ", or another of scipy.signal"
        ) from None
    return values
