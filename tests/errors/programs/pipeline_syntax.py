# raises: InvalidArgumentError, ValueError


from kgraph.ir.passes import parse_pipeline

parse_pipeline("simplify cse")
