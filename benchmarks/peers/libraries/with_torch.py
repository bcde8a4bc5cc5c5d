"""PyTorch, eager."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..problem import Problem

COUNTS = (1, 2)


def network(sizes: Any, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1])


class Step:
    """`nn.Sequential`, `autograd.grad` and an update in place.

    Up to 1.9 times faster than `backward` and `torch.optim.SGD`, which do more than is needed.
    """

    def __init__(self, problem: Problem) -> None:
        activation = nn.ReLU if problem.activation == "relu" else nn.Tanh
        self.net = network([problem.X.shape[1], *(len(b) for _, b in problem.layers)], activation)
        self.linear = [layer for layer in self.net if isinstance(layer, nn.Linear)]
        for layer, (W, b) in zip(self.linear, problem.copied_layers(), strict=True):
            layer.weight.data, layer.bias.data = torch.from_numpy(W), torch.from_numpy(b)
        self.X, self.y = torch.tensor(problem.X), torch.tensor(problem.y)
        self.weights, self.lr = list(self.net.parameters()), problem.lr

    def __call__(self) -> None:
        loss = nn.functional.cross_entropy(self.net(self.X), self.y)
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for weight, gradient in zip(self.weights, gradients, strict=True):
                weight.sub_(gradient, alpha=self.lr)

    def parameters(self) -> list[tuple[Any, Any]]:
        return [(x.weight.detach().numpy(), x.bias.detach().numpy()) for x in self.linear]


@contextmanager
def threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fit(
    sizes: tuple[int, ...], X: Any, y: Any, *, batch_size: int, epochs: int, seed: int
) -> Callable[[Any], Any]:
    torch.manual_seed(seed)
    net, loss = network(sizes), nn.CrossEntropyLoss()
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
    tX, ty = torch.tensor(X), torch.tensor(y)
    for _ in range(epochs):
        order = torch.randperm(len(tX))
        batches = zip(tX[order].split(batch_size), ty[order].split(batch_size), strict=True)
        for rows, classes in batches:
            adam.zero_grad()
            loss(net(rows), classes).backward()
            adam.step()

    def predict(rows: Any) -> Any:
        with torch.no_grad():
            return net(torch.tensor(rows)).argmax(1).numpy()

    return predict
