# raises: NotBuiltError, ValueError
import numpy as np

from kgraph.models import Sequential

Sequential(name="empty").predict(np.ones((4, 3)), verbose=0)
