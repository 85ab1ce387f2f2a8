# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.utils import split_dataset

split_dataset(np.arange(10), left_size=12)
