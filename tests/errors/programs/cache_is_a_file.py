# raises: SettingError, ValueError
import os
import tempfile
from pathlib import Path

import numpy as np

from kgraph.layers import Dense, Input
from kgraph.models import Sequential

file = Path(tempfile.gettempdir()) / "cache"
file.write_text("no directory")
os.environ["KGRAPH_CACHE"] = str(file)
model = Sequential([Input((3,)), Dense(1)])
model.predict(np.ones((2, 3)), verbose=0)
# then:
os.environ["KGRAPH_CACHE"] = "off"
assert model.predict(np.ones((2, 3)), verbose=0).shape == (2, 1)
