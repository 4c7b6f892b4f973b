# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A drive through a synthetic street as frames for a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from srkd.errors import ConfigError
from srkd_train.bag_sources.source import EPOCH_NS, Frame, Source, limit


def street_source(seed: int, sensor: str, frames: int, *, world: str = "street", step: int = 1) -> Source:
    """A drive with ground truth and the poses of the sensor, 10 clouds a second or fewer.

    Args:
        seed: of the street.
        sensor: name of the sensor.
        frames: clouds.
        world: kind of street, a key of `srkd_train.data.street.WORLDS`.
        step: tenths of a second from a cloud to the next.

    Raises:
        ConfigError: there is no such sensor or world, or less than one frame, or a step of none, is asked for.
    """
    from srkd_train.data.street import drive, get_world
    from srkd_train.data.street.config import FRAME_PERIOD_S

    count = limit(frames, frames)
    if step < 1:
        raise ConfigError(f"step: {step}, expected at least 1")
    short = get_world(world)
    needed_m = short.start_m[1] + short.end_margin_m + count * step * FRAME_PERIOD_S * short.ego_speed_mps[1]
    config = replace(short, length_m=max(short.length_m, needed_m))
    samples = drive(seed, sensor, count, config=config, step=step)

    def made() -> Iterator[Frame]:
        for index, sample in enumerate(samples):
            at_once = np.zeros(len(sample.cloud), np.float32)  # the simulated sensor turns in no time
            stamp_ns = EPOCH_NS + round(index * step * FRAME_PERIOD_S * 1e9)
            yield Frame(sample.cloud, stamp_ns, sample.label, at_once, sample.pose)

    name = "street" if world == "street" else f"street ({world})"
    return Source(count, made(), "street", f"{name} {seed} {sensor}")
