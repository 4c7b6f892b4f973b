# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The official splits of nuScenes, by scene. Source of the scene numbers: nuscenes-devkit, utils/splits.py.

Of the 850 scenes of v1.0-trainval, 150 are for validation and the other 700 for training. The 150 scenes of v1.0-test
have no public labels. v1.0-mini holds 10 scenes of v1.0-trainval and has a split of its own, which does not follow the
large one: scenes 553 and 796 of mini_train belong to val.
"""

from __future__ import annotations

from typing import NamedTuple

_VAL_RANGES = (
    (3, 3), (12, 18), (35, 36), (38, 39), (92, 110), (221, 221), (268, 278), (329, 332), (344, 346), (519, 524),
    (552, 565), (625, 627), (629, 630), (632, 638), (770, 771), (775, 775), (777, 778), (780, 784), (794, 800),
    (802, 802), (904, 917), (919, 931), (962, 963), (966, 969), (971, 972), (1059, 1073),
)  # fmt: skip
VAL = frozenset(f"scene-{number:04d}" for first, last in _VAL_RANGES for number in range(first, last + 1))
"""Names of the 150 validation scenes."""
MINI_VAL = frozenset({"scene-0103", "scene-0916"})
"""Names of the 2 validation scenes of v1.0-mini."""


class Split(NamedTuple):
    """Some scenes of one release."""

    version: str
    """Folder of its tables."""
    scenes: frozenset[str] | None
    """Names of its scenes, or with `inverted` of the others; None for all."""
    inverted: bool = False
    labelled: bool = True

    def holds(self, scene: str) -> bool:
        """Whether a scene of the release, by name, belongs to the split."""
        return self.scenes is None or (scene in self.scenes) != self.inverted


SPLITS = {
    "train": Split("v1.0-trainval", VAL, inverted=True),
    "val": Split("v1.0-trainval", VAL),
    "test": Split("v1.0-test", None, labelled=False),
    "mini_train": Split("v1.0-mini", MINI_VAL, inverted=True),
    "mini_val": Split("v1.0-mini", MINI_VAL),
}
"""The splits by name."""
