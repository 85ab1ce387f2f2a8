"""One file per thing that is measured.

A training workload has `BATCH`, `SAMPLES`, `EPOCHS`, `OPTIMIZER`, and
    data(rng, samples)                        -> (inputs, targets): lists of arrays
    build_keras(keras)                        -> compiled model (kgraph and Keras)
    init_jax(rng)                             -> tree of parameters
    forward_jax(params, inputs, targets, key) -> (loss, accuracy or None)
    build_torch(torch)                        -> (module, loss: (outputs, targets) -> (loss, accuracy or None))
"""
