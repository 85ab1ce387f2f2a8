# raises: MissingKeyError, KeyError
import tempfile
from pathlib import Path

import h5py

from kgraph.utils import HDF5Matrix

path = Path(tempfile.gettempdir()) / "data.h5"
with h5py.File(path, "w") as file:
    file["features"] = [[1.0]]
HDF5Matrix(path, "x")
