# raises: InvalidArgumentError, ValueError
from kgraph.datasets import cifar100

cifar100.load_data("all")
