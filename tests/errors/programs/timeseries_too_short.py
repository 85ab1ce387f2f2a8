# raises: InvalidArgumentError, ValueError
import numpy as np

from kgraph.preprocessing.sequence import TimeseriesGenerator

TimeseriesGenerator(np.arange(5), np.arange(5), length=8)
