# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Some clouds of a data set: picked by index, or a share of its scenes."""

from collections.abc import Sequence

from torch.utils.data import Dataset

from srkd.labels import LabelScheme
from srkd_train.data.loader import LabelledClouds
from srkd_train.data.sample import Sample


class Picked(Dataset[Sample]):
    """The clouds of a data set at some indices, in their order."""

    def __init__(self, clouds: LabelledClouds, indices: Sequence[int]) -> None:
        self.clouds = clouds
        self.indices = indices

    @property
    def scheme(self) -> LabelScheme:
        return self.clouds.scheme

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Sample:
        return self.clouds[self.indices[position]]

    def name(self, position: int) -> str:
        """Name of a cloud, unread where the data set knows it."""
        return name_of(self.clouds, self.indices[position])


def name_of(clouds: LabelledClouds, index: int) -> str:
    """The name that cloud `index` has as a `Sample`; it is read where its data set cannot tell without."""
    name = getattr(clouds, "name", None)
    return str(clouds[index].name if name is None else name(index))


def evenly(count: int, share: float) -> list[int]:
    """A share of `range(count)` (at least one), spread evenly; a smaller share is a subset of a larger one.

    Numbers are taken in the order of their reversed bits, so a half is every second, a quarter every fourth of them.

    Args:
        count: at least 1.
        share: above 0, at most 1.
    """
    bits = count.bit_length()
    order = sorted(range(count), key=lambda number: int(f"{number:0{bits}b}"[::-1], 2))
    return sorted(order[: max(1, round(share * count))])


def share_of(clouds: LabelledClouds, share: float) -> tuple[LabelledClouds, str]:
    """A share of the scenes of a data set, all clouds of each; of its clouds where it knows no scenes.

    A data set knows scenes if it has a method `scene(index)` that gives the name of the scene of a cloud.

    Returns:
        The clouds, and the share in words.
    """
    scene_of = getattr(clouds, "scene", None)
    if share == 1:
        return clouds, ""
    if scene_of is None:
        kept = evenly(len(clouds), share)
        return Picked(clouds, kept), f"{len(kept)} of {len(clouds)} clouds of "
    scenes = [scene_of(index) for index in range(len(clouds))]
    names = list(dict.fromkeys(scenes))
    chosen = {names[number] for number in evenly(len(names), share)}
    kept = [index for index, scene in enumerate(scenes) if scene in chosen]
    return Picked(clouds, kept), f"{len(chosen)} of {len(names)} scenes of "
