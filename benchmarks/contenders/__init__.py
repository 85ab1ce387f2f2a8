"""One file per contender, with `train(workload, epochs, samples)` and `predict_one(workload, calls)`."""
