"""One file per model that is measured.

    TITLE                          a line for the table
    BATCH, SAMPLES, EPOCHS         of training: SAMPLES per epoch, EPOCHS per timed call
    OPTIMIZER                      "adam" or "rmsprop", with the defaults of Keras
    LOSSES, LOSS_WEIGHTS           per output: "binary", "categorical", "sparse" or "mse"; LOSS_WEIGHTS if not all are 1
    ACCURACY                       accuracy of the first output is counted too
    DROPOUT                        losses of contenders differ by chance (default: False)
    SCAN                           False: JAX runs one call per step, not a scan over an epoch (default: True)
    WIDTHS, ROWS, ROW_THREADS      where prediction is measured: widths of the outputs, rows of the test set, threads
                                   for one row (default: 1; 0 for all)
    data(rng, samples)             (inputs, targets): lists of arrays
    init(rng)                      {layer: Weights}: the initial weights of every contender (see `arrays`)
    build_keras(keras)             the compiled model, for kgraph and for Keras; its layers have the names of `init`
    network(net, *inputs)          the same model written in the layers of `benchmarks.nets`: a tuple of logits

A layer inside another model is named "model/layer".
"""
