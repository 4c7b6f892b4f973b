# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The chart of a live run's latency."""

from __future__ import annotations

from typing import Any

import numpy as np

from srkd_train.live.outcome import Outcome
from srkd_train.report.charts import legend, stacked_bars
from srkd_train.report.palette import LAYERS


def latency_over_time(outcome: Outcome, period_ms: float) -> str:
    """A stacked bar a frame: from the replayer's publish to the recorder's callback, by stage.

    Args:
        outcome: of the run.
        period_ms: between two frames, drawn as a line.
    """
    if not outcome.stage_ms["end_to_end"]:
        return "<p>No frame came back.</p>"
    layers = _layers(outcome)
    chart = stacked_bars(
        outcome.time_s,
        period_ms / 1e3,
        layers,
        {name: color for name, (_, color) in LAYERS.items()},
        (period_ms, f"next frame arrives after {period_ms:.0f} ms"),
        f"Latency of {len(outcome.time_s)} frames in milliseconds over time in seconds, by stage",
    )
    return chart + legend(dict(LAYERS[name] for name in layers))


def _layers(outcome: Outcome) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    stages = {name: np.nan_to_num(np.array(values, float)) for name, values in outcome.stage_ms.items()}
    if "total" not in stages:
        return {"transport": stages["end_to_end"]}
    layers = {name: stages[name].clip(0) for name in LAYERS if name in stages}
    layers["rest"] = (stages["end_to_end"] - sum(layers.values())).clip(0)
    return layers
