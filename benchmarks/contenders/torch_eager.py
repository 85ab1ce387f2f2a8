"""torch, eager and compiled; the data are tensors in memory, shuffled and indexed.

Optimizers follow Keras 3, so that losses can be compared; both are as fast as torch's own or faster.
- RMSprop: torch adds epsilon to the root of the mean square, Keras to the mean square itself, where 1e-7 is large
  beside the gradients of a seldom used row: with torch's own, the embedding of `lstm_multi` learns its random labels by
  heart within three epochs (loss 0.07 against 0.81).
- Adam: torch corrects the root before epsilon is added, Keras after; a step-dependent epsilon makes them equal.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch

from benchmarks.contenders import common
from benchmarks.contenders.common import Plan
from benchmarks.nets import torch_net
from benchmarks.nets.torch_net import TorchNet


class RMSprop:
    """Keras' RMSprop with its defaults, in torch's multi-tensor operations."""

    def __init__(self, parameters: list[torch.Tensor]):
        self.parameters = parameters
        self.squares = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self) -> None:
        grads = [p.grad for p in self.parameters]
        torch._foreach_mul_(self.squares, 0.9)
        torch._foreach_addcmul_(self.squares, grads, grads, 0.1)
        roots = torch._foreach_add(self.squares, 1e-7)
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(self.parameters, grads, roots, -1e-3)


class Adam:
    """torch's fused Adam with Keras' epsilon."""

    def __init__(self, parameters: list[torch.Tensor]):
        self.inner, self.count = torch.optim.Adam(parameters, lr=1e-3, fused=True), 0

    def step(self) -> None:
        self.count += 1
        self.inner.param_groups[0]["eps"] = 1e-7 / (1 - 0.999**self.count) ** 0.5
        self.inner.step()


OPTIMIZERS = {"rmsprop": RMSprop, "adam": Adam}


def build(contender: str, workload: ModuleType) -> tuple[TorchNet, Any]:
    """(module, what is called): the module itself or its compiled form."""
    torch.set_num_threads(common.threads())
    torch.manual_seed(common.SEED)
    net = TorchNet(workload, common.weights(workload))
    return net, torch.compile(net) if contender == "torch-compile" else net


def make_step(workload: ModuleType, net: TorchNet, call: Any):
    """Return the step: (x, y) -> loss, accuracy."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer, weighting = OPTIMIZERS[workload.OPTIMIZER](parameters), common.loss_weights(workload)

    def step(x: list[torch.Tensor], y: list[torch.Tensor]) -> tuple[torch.Tensor, Any]:
        logits = call(*x)
        losses = [torch_net.loss(*entry) for entry in zip(workload.LOSSES, logits, y, strict=True)]
        total = sum(loss if weight == 1 else weight * loss for weight, loss in zip(weighting, losses, strict=True))
        right = torch_net.accuracy(workload.LOSSES[0], logits[0].detach(), y[0]) if workload.ACCURACY else 0.0
        for parameter in parameters:
            parameter.grad = None
        total.backward()
        optimizer.step()
        return total.detach(), right

    return step


def train(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, y = common.data(workload, plan.samples)
    inputs, targets = [torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y]
    net, call = build(contender, workload)
    step = make_step(workload, net, call)

    def epoch(shuffled: bool) -> float:
        order = torch.randperm(plan.samples) if shuffled else torch.arange(plan.samples)
        loss_sum, right_sum = torch.zeros(()), torch.zeros(())
        for rows in order.split(workload.BATCH):
            loss, right = step([a[rows] for a in inputs], [a[rows] for a in targets])
            loss_sum += loss * len(rows)
            right_sum += right * len(rows)
        return float(loss_sum) / plan.samples

    return common.time_training(workload, plan, lambda epochs, shuffled: [epoch(shuffled) for _ in range(epochs)][-1])


def _predictor(contender: str, workload: ModuleType, limit: int):
    """One call: inputs -> activated outputs as NumPy arrays."""
    net, call = build(contender, workload)
    torch.set_num_threads(limit)
    net.eval()
    finish = {"binary": net.sigmoid, "mse": lambda z: z}
    last = [finish.get(kind, net.softmax) for kind in workload.LOSSES]

    def predict(*x):
        with torch.inference_mode():
            logits = call(*[torch.from_numpy(a) for a in x])
            return [activation(z).numpy() for activation, z in zip(last, logits, strict=True)]

    return predict


def predict(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, plan.samples)
    return common.time_predict(plan, common.in_batches(x, _predictor(contender, workload, common.threads())))


def row(contender: str, workload: ModuleType, plan: Plan) -> dict[str, Any]:
    x, _ = common.data(workload, 1)
    call = _predictor(contender, workload, common.threads(workload))
    return common.time_row(plan, lambda: call(*x))


def first_step(contender: str, workload: ModuleType) -> None:
    x, y = common.data(workload, workload.BATCH)
    make_step(workload, *build(contender, workload))([torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y])
