# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""AdamW with a smaller rate inside blocks, the one-cycle schedule, and averaged weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from srkd_train.config import OptimConfig


def build_optimizer(module: nn.Module, config: OptimConfig, max_steps: int) -> tuple[AdamW, OneCycleLR]:
    """AdamW over two parameter groups and its schedule of `max_steps` steps.

    Parameters whose name contains "block" get `config.block_lr_factor` times the rate (the recipe of PTv3, CDSegNet and
    SRKD); frozen parameters are left out.
    """
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    inside = [parameter for name, parameter in named if "block" in name]
    outside = [parameter for name, parameter in named if "block" not in name]
    rates = [(outside, config.lr), (inside, config.lr * config.block_lr_factor)]
    groups = [{"params": parameters, "lr": rate} for parameters, rate in rates if parameters]
    # On a GPU not fused: a fused step unscales gradients itself, after they should have been clipped.
    fused = all(parameter.device.type == "cpu" for _, parameter in named)
    optimizer = AdamW(groups, weight_decay=config.weight_decay, fused=fused)
    total_steps = max(max_steps, 2) + 1
    schedule = OneCycleLR(
        optimizer,
        max_lr=[rate for parameters, rate in rates if parameters],
        total_steps=total_steps,
        pct_start=max(config.pct_start, 2 / total_steps),  # torch divides by zero where the rise is one step long
        anneal_strategy="cos",
        div_factor=config.div_factor,
        final_div_factor=config.final_div_factor,
        cycle_momentum=True,
    )
    return optimizer, schedule


class AveragedWeights:
    """Exponential moving average of a module's parameters; its buffers are taken as they are.

    The decay rises from 0 as (1 + n) / (10 + n) to the given one, so a short run is not averaged with its random start.

    Args:
        module: the module to follow.
        decay: weight of the past per step, below 1.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._live = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._mean = [parameter.detach().clone() for parameter in self._live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of one more step."""
        self.steps += 1
        self._follow()
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._mean, [parameter.detach() for parameter in self._live], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the module holds the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, int | list[Tensor]]:
        """Plain tensors and numbers, fit for a weights-only load."""
        return {"steps": self.steps, "mean": self._mean}

    def load_state_dict(self, state: dict[str, int | list[Tensor]]) -> None:
        """Take back what `state_dict` gave."""
        steps, mean = state["steps"], state["mean"]
        if not isinstance(steps, int) or not isinstance(mean, list) or len(mean) != len(self._mean):
            raise ValueError("averaged weights of another network: resume with the network the run was started with")
        self.steps = steps
        with torch.no_grad():
            for own, saved in zip(self._mean, mean, strict=True):
                own.copy_(saved)

    def _follow(self) -> None:
        """The means live where the module lives, which may have moved since they were loaded."""
        self._mean = [mean.to(parameter.device) for parameter, mean in zip(self._live, self._mean, strict=True)]

    @torch.no_grad()
    def _swap(self) -> None:
        self._follow()
        for parameter, mean in zip(self._live, self._mean, strict=True):
            held = parameter.detach().clone()
            parameter.copy_(mean)
            mean.copy_(held)
