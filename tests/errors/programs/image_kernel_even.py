# raises: InvalidArgumentError, ValueError
from kgraph.layers import RandomGaussianBlur

RandomGaussianBlur(kernel_size=4, name="blur")
