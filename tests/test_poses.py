# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quaternions against the turns that they stand for, velocities against motions that are integrated from them."""

from __future__ import annotations

import numpy as np
import pytest
from bag_oracles import matrix
from waymo_makers import transform, turn

from srkd.cloud import Cloud
from srkd_train.bag_sources import Frame
from srkd_train.bag_writing import with_velocities
from srkd_train.poses import Floats, quaternion, velocity


class Named:
    def __init__(self, *values: float) -> None:
        self.x, self.y, self.z, self.w = (*map(float, values), 0.0)[:4]


def axis_turns() -> list[Floats]:
    """All that is awkward: no turn, half turns, near half turns, quarter turns, and any."""
    angles = (0.0, 1e-9, 1e-4, np.pi / 2, np.pi - 1e-9, np.pi, -np.pi / 2)
    turns = [turn(*(angle * unit)) for angle in angles for unit in np.eye(3)]
    return turns + [turn(*angles) for angles in np.random.default_rng(0).uniform(-3, 3, (200, 3))]


def test_a_quaternion_turns_as_its_matrix() -> None:
    for rotation in axis_turns():
        found = quaternion(rotation)
        assert found[3] >= 0
        np.testing.assert_allclose(matrix(Named(0, 0, 0), Named(*found))[:3, :3], rotation, atol=1e-12)


@pytest.mark.parametrize("angular", [(0, 0, 0), (0, 0, 1e-6), (0.02, -0.01, 0.4), (0, 0, 12.0), (-9.0, 3.0, 1.0)])
def test_a_constant_velocity_is_found(angular: tuple[float, float, float]) -> None:
    """The pose after 0.25 s from many short steps, each a turn and a move: within the error of the steps."""
    linear, steps, seconds = np.array([5.0, 0.3, -0.1]), 200_000, 0.25
    step = transform(turn(*(np.array(angular) * seconds / steps)), linear * seconds / steps)  # type: ignore[arg-type]
    motion = np.linalg.matrix_power(step, steps)
    before = transform(turn(0.3, -0.2, 2.0), (5000.0, -3000.0, 20.0))
    moved, turned = velocity(before, before @ motion, seconds)
    np.testing.assert_allclose(moved, linear, atol=2e-4)
    np.testing.assert_allclose(turned, angular, atol=2e-4)
    for still in (velocity(before, before, seconds), velocity(before, before @ motion, 0.0)):
        np.testing.assert_allclose(still, 0, atol=1e-9)


def test_frames_get_the_velocity_since_the_one_before() -> None:
    cloud = Cloud(np.zeros((1, 3), np.float32))
    places = (0.0, 1.0, 4.0, None, 9.0)
    frames = [
        Frame(cloud, index * 500_000_000, pose=None if x is None else transform(np.eye(3), (x, 0, 0)))
        for index, x in enumerate(places)
    ]
    assert [linear[0] for _, (linear, _) in with_velocities(frames)] == [2, 2, 6, 0, 0]
    assert [frame for frame, _ in with_velocities(frames)] == frames
    assert [linear[0] for _, (linear, _) in with_velocities(frames[:1])] == [0] and not list(with_velocities([]))
