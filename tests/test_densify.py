# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses between poses, and clouds of several moments as one, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from bag_makers import cloud, nano_checkpoint, one_thread, points  # noqa: F401
from drives import SPEED_M_PER_S, TURN_RAD_PER_S, body, rigid, turned

from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd.intensity import match_intensity
from srkd.io.pointcloud2 import decode
from srkd.segmenter import Segmenter
from srkd_ros.densify import joined, measured, moved, within
from srkd_ros.frame import FrameOptions, label_frame
from srkd_ros.motion import Track, matrix, parse_pose, relative, slerp

S = 1_000_000_000


def about_z(angle: float) -> np.ndarray:
    return np.array([0, 0, np.sin(angle / 2), np.cos(angle / 2)])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, 3.0])
def test_slerp_turns_at_a_constant_rate_the_shorter_way(angle: float, sign: int) -> None:
    for share in (0.0, 0.25, 1.0):
        found = slerp(about_z(0.5), sign * about_z(0.5 + angle), share)
        np.testing.assert_allclose(matrix(np.zeros(3), found)[:3, :3], turned(0, 0, 0.5 + share * angle), atol=1e-9)


def test_a_pose_in_words_turns_about_fixed_axes_x_y_z() -> None:
    found = parse_pose("1 -2 0.5  0.1, -0.4, 2.5")
    np.testing.assert_allclose(found, rigid(turned(0.1, -0.4, 2.5), [1, -2, 0.5]), atol=1e-12)
    for text in ("", "1 2 3", "0 0 0 0 0 nan", "a b c d e f"):
        with pytest.raises(ConfigError, match=r"sensor_pose: .* six numbers"):
            parse_pose(text)


def drive(track: Track, until_s: float, period_s: float = 0.1) -> None:
    for number in range(round(until_s / period_s) + 1):
        seconds = number * period_s
        pose = body(seconds)
        assert track.add(round(seconds * S), pose[:3, 3], about_z(TURN_RAD_PER_S * seconds)) is None


def test_a_track_gives_poses_between_poses_and_none_beyond() -> None:
    track = Track(keep_s=10)
    drive(track, 2.0)
    np.testing.assert_allclose(track.at(S), body(1.0), atol=1e-9)
    found = track.at(round(1.234 * S))
    assert found is not None
    np.testing.assert_allclose(found[:3, :3], body(1.234)[:3, :3], atol=1e-9)
    # The chord of an arc of 0.1 s lies at most v w t^2 / 8 inside it.
    assert np.linalg.norm(found[:3, 3] - body(1.234)[:3, 3]) < SPEED_M_PER_S * TURN_RAD_PER_S * 0.01 / 8 + 1e-6
    assert track.at(-1) is None and track.at(2 * S + 1) is None
    assert track.add(3 * S, body(3.0)[:3, 3], about_z(0.6)) is None
    assert track.at(round(2.5 * S)) is None, "nothing is known of a whole second"
    assert track.at(3 * S) is not None


@pytest.mark.parametrize(
    ("stamp_s", "place", "turn", "odd", "kept"),
    [
        (1.1, [0, np.nan, 0], about_z(0), "finite", True),
        (1.1, [0, 0, 0], np.zeros(4), "quaternion", True),
        (0.9, [0, 0, 0], about_z(0), "older", True),
        (0.5, [0, 0, 0], about_z(0), "clock went back", False),
        (1.1, [30, 0, 0], about_z(0), "jumped", False),
        (1.1, [0, 0, 0], about_z(2.0), "jumped", False),
        (1.1, [3, 0, 0], about_z(0.3), None, True),
        (1.1, [3, 0, 0], -about_z(0.3), None, True),
    ],
)
def test_odd_poses_are_refused_or_begin_a_new_epoch(
    stamp_s: float, place: list[float], turn: np.ndarray, odd: str | None, kept: bool
) -> None:
    track = Track(keep_s=10)
    for number in range(11):
        assert track.add(number * S // 10, [0, 0, 0], about_z(0)) is None
    said = track.add(round(stamp_s * S), place, turn)
    assert (said is None) == (odd is None) and (odd or "") in (said or "")
    assert (track.at(S // 2) is not None, track.epoch) == ((True, 0) if kept else (stamp_s == 0.5, 1))


def test_memory_of_poses_is_bounded() -> None:
    track = Track(keep_s=1.0)
    for number in range(60_000):
        track.add(number * S // 100, [0, 0, 0], about_z(0))
    assert track.newest_ns is not None and track.newest_ns == 59_999 * S // 100
    assert len(track._stamps_ns) == len(track._poses) <= 201
    assert track.at(track.newest_ns - S) is not None
    for _ in range(60_000):
        track.add(track.newest_ns + 1000, [0, 0, 0], about_z(0))
    assert len(track._stamps_ns) <= 40_000


def test_moved_points_are_where_the_sensor_sees_them_now() -> None:
    world = np.random.default_rng(0).uniform(-50, 50, (1000, 3)) + body(0.0)[:3, 3]
    seen = [(world - body(t)[:3, 3]) @ body(t)[:3, :3] for t in (0.0, 2.0)]
    then = decode(cloud(np.hstack([seen[0], np.ones((1000, 1))]).astype("<f4")))
    found = moved(then, relative(body(2.0), body(0.0)))
    np.testing.assert_allclose(found.cloud.xyz, seen[1], atol=1e-4)
    assert np.abs(seen[1] - seen[0]).max() > 10
    np.testing.assert_array_equal(then.cloud.xyz, seen[0].astype(np.float32)), "not changed in place"


def test_no_returns_are_left_behind_and_thinning_keeps_the_first_of_a_voxel() -> None:
    made = points(6)
    made[:, :3] = [[0.01, 0, 0], [5, 5, 5], [0, 0, 0], [np.nan, 1, 1], [0.09, 0.09, 0], [1e5, 0, 0]]
    made[3, 0] = np.nan
    decoded = decode(cloud(made))
    assert len(measured(decoded).cloud) == 3
    thin = measured(decoded, 0.1)
    np.testing.assert_array_equal(thin.cloud.xyz, made[[0, 1], :3])
    np.testing.assert_array_equal(thin.cloud.intensity, made[[0, 1], 3])
    assert len(measured(decode(cloud(points(0))), 0.1).cloud) == 0


def test_the_newest_points_come_first_and_the_oldest_clouds_are_left_out() -> None:
    one, two = (Cloud.from_array(points(5, seed)) for seed in (0, 1))
    both = joined(one, [two])
    np.testing.assert_array_equal(both.xyz, np.vstack([one.xyz, two.xyz]))
    np.testing.assert_array_equal(both.intensity, np.concatenate([one.intensity, two.intensity]))
    assert joined(one, []) is one
    assert joined(one, [Cloud(two.xyz)]).intensity is None
    past = [decode(cloud(points(count))) for count in (10, 20, 5)]
    assert within(130, 100, past) == tuple(past[:2])
    assert within(100, 100, past) == ()


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return Segmenter.load(nano_checkpoint(tmp_path_factory.mktemp("model") / "nano.safetensors"), device="cpu")


def test_labels_are_those_of_the_newest_points_in_the_dense_cloud(segmenter: Segmenter) -> None:
    newest, unit = points(800), points(500, 1)
    newest[3, :3] = 0
    unit[:, 3] /= 255  # each cloud's scale is its own
    message, past = cloud(newest), [decode(cloud(unit)), decode(cloud(points(300, 2)))]
    frame = label_frame(message, segmenter, FrameOptions(), past=lambda: past)
    spec = segmenter.header.input
    parts = [match_intensity(each.cloud, spec)[0] for each in (decode(message), *past)]
    whole = segmenter(Cloud.from_array(np.vstack([np.column_stack([p.xyz, p.intensity]) for p in parts])))
    alone = label_frame(message, segmenter, FrameOptions())
    for name in ("class_id", "probability", "entropy"):
        np.testing.assert_array_equal(getattr(frame.labels, name), getattr(whole, name)[:800])
    assert (frame.num_valid, alone.num_valid, frame.past) == (799, 799, tuple(past))
    assert frame.num_voxels > alone.num_voxels
    assert not np.array_equal(frame.labels.probability, alone.labels.probability)

    again = label_frame(message, segmenter, FrameOptions(), frame)  # another network of the same process
    np.testing.assert_array_equal(again.labels.probability, frame.labels.probability)
    none = label_frame(message, segmenter, FrameOptions(), past=list)
    np.testing.assert_array_equal(none.labels.probability, alone.labels.probability)
    few = label_frame(message, segmenter, FrameOptions(max_points=1300), past=lambda: past)
    assert few.past == tuple(past[:1])
