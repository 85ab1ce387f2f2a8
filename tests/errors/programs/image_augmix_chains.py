# raises: InvalidArgumentError, ValueError
from kgraph.layers import AugMix

AugMix(num_chains=0, name="mix")
