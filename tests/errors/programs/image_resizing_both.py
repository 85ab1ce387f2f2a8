# raises: InvalidArgumentError, ValueError
from kgraph.layers import Resizing

Resizing(4, 4, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True, name="small")
