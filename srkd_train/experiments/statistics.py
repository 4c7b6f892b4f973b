# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Mean and spread over seeds, and the share of a gap that is closed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAST_GAP = 0.03
"""Smallest gap between teacher and baseline, in mIoU, of which a closed share is quoted: that of a smaller one is noise
over noise."""


@dataclass(frozen=True)
class Summary:
    """A figure over seeds; what is not a number is left out."""

    per_seed: Mapping[int, float]

    @property
    def known(self) -> list[float]:
        """The numbers."""
        return [value for value in self.per_seed.values() if math.isfinite(value)]

    @property
    def mean(self) -> float | None:
        """Their mean; None without any."""
        return sum(self.known) / len(self.known) if self.known else None

    @property
    def std(self) -> float | None:
        """Their standard deviation with n - 1 degrees of freedom; None for fewer than two."""
        if self.mean is None or len(self.known) < 2:
            return None
        return math.sqrt(sum((value - self.mean) ** 2 for value in self.known) / (len(self.known) - 1))

    def minus(self, other: Summary) -> Summary:
        """Differences, seed by seed, of the seeds that both have."""
        return Summary(
            {seed: value - other.per_seed[seed] for seed, value in self.per_seed.items() if seed in other.per_seed}
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a number that is none becomes None."""
        plain = {str(seed): round(value, 6) if math.isfinite(value) else None for seed, value in self.per_seed.items()}
        return {"mean": _rounded(self.mean), "std": _rounded(self.std), "per_seed": plain}

    def percent(self, *, sign: bool = False) -> str:
        """`mean ± std` of a share in percent, for a table."""
        if self.mean is None:
            return "-"
        spread = "" if self.std is None else f" ± {100 * self.std:.1f}"
        return f"{100 * self.mean:{'+' if sign else ''}.1f}{spread}"


def gap_closed(teacher: Summary, baseline: Summary, distilled: Summary) -> Summary:
    """(distilled - baseline) / (teacher - baseline), seed by seed; NaN where the gap is below `LEAST_GAP`."""
    gap, gain = teacher.minus(baseline), distilled.minus(baseline)
    return Summary(
        {
            seed: gain.per_seed[seed] / gap.per_seed[seed] if gap.per_seed[seed] >= LEAST_GAP else math.nan
            for seed in gap.per_seed
            if seed in gain.per_seed
        }
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
