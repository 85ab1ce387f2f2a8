# raises: UnknownNameError, ValueError


from kgraph.ir.passes import parse_pipeline

parse_pipeline("simplify,csee")
