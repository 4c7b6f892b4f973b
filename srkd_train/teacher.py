# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The frozen teacher: always in eval mode, never with a gradient, the same output for the same cloud."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from srkd.architectures import Network
from srkd.cdsegnet import CDSegNet
from srkd.errors import CheckpointError
from srkd.input_spec import InputSpec
from srkd.labels import LabelScheme
from srkd.plan import GeometryPlan, PlanSpec
from srkd.ptv3 import PTv3Features, from_rows


@dataclass(frozen=True, eq=False)
class View:
    """What a network sees in a batch."""

    logits: Tensor
    """(N, K), in the order of the voxels."""
    decoder: tuple[Tensor, ...]
    """(N_s, C_s) a decoder stage, fine to coarse; the first in the order of the voxels, the rest in the plan's rows."""
    encoder: tuple[Tensor, ...] = ()
    """(N_s, C_s) an encoder stage, fine to coarse, in the plan's rows."""

    @property
    def features(self) -> Tensor:
        """(N, C) what the head reads."""
        return self.decoder[0]


def view(network: Network, features: PTv3Features, plan: GeometryPlan) -> View:
    """Logits and features of a pass."""
    finest = features.decoder[0]
    decoder = (from_rows(finest, plan), *features.decoder[1:])
    return View(from_rows(network.head(finest), plan), decoder, features.encoder)


class FrozenTeacher:
    """A teacher network outside of the module that is trained, so that neither optimiser, checkpoint, nor the
    trainer's `train()` reaches it.

    A parent's `train()` would bring back drop path and batch statistics (a defect of published code);
    evaluation mode is asserted again at every call all the same, for callers who hold the network.

    Args:
        network: is frozen and put into eval mode.
        seed: of the noise that a CDSegNet looks at, drawn cloud by cloud, so that a cloud's does not depend on its
            batch mates. A single step at the last time; the noise decoder is skipped.
    """

    def __init__(self, network: Network, *, seed: int = 0) -> None:
        self.network = network.requires_grad_(False).eval()
        self.seed = seed

    @property
    def plan_spec(self) -> PlanSpec:
        """The tables that it reads of a plan."""
        return self.network.plan_spec

    @torch.no_grad()
    def __call__(self, features: Tensor, plan: GeometryPlan) -> View:
        """What it sees in the voxels of a batch, along fixed curves whatever orders the plan has drawn.

        Args:
            features: (N, C) in the order of the voxels.
            plan: theirs; where both networks see the same voxels it is the student's, too.
        """
        if self.network.head.weight.device != features.device:
            self.network.to(features.device)
        self.network.eval()
        fixed = replace(plan, orders=())
        if isinstance(self.network, CDSegNet):
            noise = self._noise(plan, features.shape[1]).to(features.device)
            return view(self.network, self.network.forward_features(features, fixed, noise=noise), fixed)
        return view(self.network, self.network.forward_features(features, fixed), fixed)

    def _noise(self, plan: GeometryPlan, channels: int) -> Tensor:
        sizes = plan.offsets(0).diff().tolist()
        return torch.cat(
            [torch.randn(size, channels, generator=torch.Generator().manual_seed(self.seed)) for size in sizes]
        )


def check_pair(
    teacher: str, given: InputSpec, teacher_scheme: LabelScheme, wanted: InputSpec, scheme: LabelScheme
) -> None:
    """Whether a teacher can look at the student's voxels.

    Args:
        teacher: its name, for messages.
        given, teacher_scheme: of the teacher.
        wanted, scheme: of the student and the data.

    Raises:
        CheckpointError: input or classes differ.
    """
    if teacher_scheme.class_names != scheme.class_names:
        raise CheckpointError(
            f"teacher {teacher} knows {len(teacher_scheme.class_names)} classes of {teacher_scheme.name}, the data has"
            f" {len(scheme.class_names)} of {scheme.name}: give a teacher that was trained on them"
        )
    before, now = given.to_dict(), wanted.to_dict()
    for key in before:
        if before[key] != now[key]:
            raise CheckpointError(
                f"teacher {teacher} was trained with {key} {before[key]!r}, data.input.{key} is {now[key]!r}: both see"
                " the same voxels, so make them equal"
            )
