"""One file per way to run a model; `worker` calls these, where the contender has them.

train(contender, workload, plan)      time of a training step
predict(contender, workload, plan)    time per row, a whole test set in batches of `BATCH`
row(contender, workload, plan)        time for one row
first_step(contender, workload)       build and take one training step
"""
