# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A drive through a synthetic street as frames for a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from srkd_train.bag_sources.source import EPOCH_NS, Frame, Source, limit


def street_source(seed: int, sensor: str, frames: int) -> Source:
    """A drive, 10 clouds a second, with ground truth and the poses of the sensor.

    Raises:
        ConfigError: there is no such sensor, or less than one frame is asked for.
    """
    from srkd_train.data.street import StreetConfig, drive
    from srkd_train.data.street.config import FRAME_PERIOD_S

    count = limit(frames, frames)
    short = StreetConfig()
    needed_m = short.start_m[1] + short.end_margin_m + count * FRAME_PERIOD_S * short.ego_speed_mps[1]
    config = replace(short, length_m=max(short.length_m, needed_m))
    samples = drive(seed, sensor, count, config=config)

    def made() -> Iterator[Frame]:
        for index, sample in enumerate(samples):
            at_once = np.zeros(len(sample.cloud), np.float32)  # the simulated sensor turns in no time
            stamp_ns = EPOCH_NS + round(index * FRAME_PERIOD_S * 1e9)
            yield Frame(sample.cloud, stamp_ns, sample.label, at_once, sample.pose)

    return Source(count, made(), "street", f"street {seed} {sensor}")
