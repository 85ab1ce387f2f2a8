# raises: UnsupportedError, NotImplementedError
from kgraph.layers import Dense, Merge

Merge([Dense(3), Dense(3)], mode="concat")
