# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service between bags and rclpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from srkd.io.bags import TopicQos

DEPTH = 10


def replay_profile(recorded: TopicQos | None, reliability: str) -> QoSProfile:
    """What to offer for a topic of a bag.

    Args:
        recorded: what was offered when it was recorded; reliable and volatile where that is not known.
        reliability: "reliable" or "best_effort" instead of the recorded one, or "recorded".
    """
    known = TopicQos() if recorded is None else recorded
    wanted = known.reliability if reliability == "recorded" else reliability
    return QoSProfile(
        depth=max(DEPTH, known.depth if known.durability == "transient_local" else 0),
        reliability=ReliabilityPolicy.BEST_EFFORT if wanted == "best_effort" else ReliabilityPolicy.RELIABLE,
        durability=_durability(known.durability == "transient_local"),
    )


def offered_qos(publishers: Sequence[Any]) -> TopicQos:
    """What all publishers of a topic offer, given rclpy's infos of them: the weakest of each policy."""
    profiles = [info.qos_profile for info in publishers]
    best_effort = any(each.reliability == ReliabilityPolicy.BEST_EFFORT for each in profiles)
    latched = bool(profiles) and all(each.durability == DurabilityPolicy.TRANSIENT_LOCAL for each in profiles)
    return TopicQos("best_effort" if best_effort else "reliable", "transient_local" if latched else "volatile")


def record_profile(offered: TopicQos) -> QoSProfile:
    """What to ask for in order to hear publishers that offer this: reliable where they are."""
    best_effort = offered.reliability == "best_effort"
    return QoSProfile(
        depth=DEPTH,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=_durability(offered.durability == "transient_local"),
    )


def _durability(latched: bool) -> DurabilityPolicy:
    return DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
