# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing frames together: rigid motions and moving objects in closed form, windows, classes, boxes, cells."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from srkd.cloud import Cloud
from srkd.errors import CloudError, ConfigError
from srkd.labels import get_scheme
from srkd_train.data.accumulate.config import Accumulation
from srkd_train.data.accumulate.dense import Dense, aggregate, dense_clouds
from srkd_train.data.accumulate.motion import shift_between
from srkd_train.data.accumulate.timeline import Frame
from srkd_train.data.sample import Sample

Floats = npt.NDArray[np.float64]
ALL = Accumulation(cell_m=None, near_m=0.0)


def pose_of(number: int, far_m: float = 0.0) -> Floats:
    """A turned and tilted pose, spelled out by Rodrigues' formula."""
    axis = np.array([0.1, -0.2, 1.0]) / np.linalg.norm([0.1, -0.2, 1.0])
    angle = 0.3 * number
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    pose = np.eye(4)
    pose[:3, :3] = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    pose[:3, 3] = far_m + 1.7 * number, -0.4 * number, 0.05 * number
    return pose


def seen_from(pose: Floats, world: Floats) -> npt.NDArray[np.float32]:
    """World points as a sensor sees them: R^T (p - t), point by point."""
    return np.array([pose[:3, :3].T @ (point - pose[:3, 3]) for point in world], np.float32).reshape(-1, 3)


def frame_of(
    number: int,
    world: Floats,
    *,
    label: Sequence[int] | None = None,
    moving: Sequence[int] | None = None,
    objects: dict[int, Floats] | None = None,
    far_m: float = 0.0,
) -> Frame:
    pose, count = pose_of(number, far_m), len(world)
    cloud = Cloud(seen_from(pose, world), intensity=np.full(count, number, np.float32))
    classes = np.full(count, number, np.uint8) if label is None else np.array(label, np.uint8)
    return Frame(
        Sample(cloud, classes, f"s/{number}", pose),
        np.zeros(count, np.int64) if moving is None else np.array(moving, np.int64),
        objects or {},
    )


class Kept:
    """A timeline that counts the frames that are alive."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.names: list[str | None] = [frame.sample.name for frame in frames]
        self.asked: list[int] = []
        self.alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        self.most = 0

    def read(self, positions: Sequence[int]) -> Iterator[Frame]:
        for position in positions:
            self.asked.append(position)
            frame = replace(self.frames[position])
            self.alive.add(frame)
            self.most = max(self.most, len(self.alive))
            yield frame
            del frame


def points(seed: int, count: int = 30) -> Floats:
    return np.random.default_rng(seed).uniform(-20, 20, (count, 3))


def test_standing_points_of_all_frames_fall_into_their_places() -> None:
    far_m = 4_000_000.0  # coordinates of a map projection: float32 would be off by a quarter of a metre
    worlds = [points(seed) + (far_m, 0, 0) for seed in range(3)]
    frames = [frame_of(number, world, far_m=far_m) for number, world in enumerate(worlds)]
    dense = aggregate(frames[1], [frames[0], frames[2]], ALL)
    assert dense.own.tolist() == [True] * 30 + [False] * 60
    np.testing.assert_array_equal(dense.xyz[:30], frames[1].sample.cloud.xyz)
    pose = pose_of(1, far_m)
    for part, number in ((dense.xyz[30:60], 0), (dense.xyz[60:], 2)):
        back = part.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
        np.testing.assert_allclose(back, worlds[number], atol=2e-5)
    assert dense.label.tolist() == [1] * 30 + [0] * 30 + [2] * 30
    assert dense.intensity.tolist() == dense.label.astype(float).tolist()
    assert [part.dtype for part in parts(dense)] == [np.float32, np.float32, np.uint8, np.bool_]


@pytest.mark.parametrize(("past", "future", "every"), [(2, 1, 1), (0, 3, 1), (2, 2, 3), (1, 0, 4)])
def test_windows_hold_the_frames_that_are_asked_for(past: int, future: int, every: int) -> None:
    timeline = Kept([frame_of(number, points(number, 2)) for number in range(20)])
    config = replace(ALL, past=past, future=future, every=every)
    targets = [0, 1, 2, 5, 11, 18, 19]
    asked = [f"s/{number}" for number in targets]
    for number, (name, dense) in zip(targets, dense_clouds(timeline, asked, config), strict=True):
        around = [number + step * every for step in range(-past, future + 1) if step]
        expected = {other for other in around if 0 <= other < 20}
        assert name == f"s/{number}" and set(dense.label[~dense.own].tolist()) == expected
        nearest_first = dense.label[~dense.own][::2].astype(int) - number
        assert (np.diff(np.abs(nearest_first)) >= 0).all()
        del dense
    assert timeline.asked == sorted(set(timeline.asked))  # every frame once, none that nobody needs
    assert timeline.most <= (past + future) * every + 2  # a window, and the frame that comes next


def test_positions_tell_time_where_frames_are_missing() -> None:
    timeline = Kept([frame_of(number, points(number, 2)) for number in range(9)])
    timeline.names = [None if number in (3, 5) else name for number, name in enumerate(timeline.names)]
    config = replace(ALL, past=2, future=2)
    ((name, dense),) = dense_clouds(timeline, ["s/4"], config)
    assert name == "s/4" and set(dense.label[~dense.own].tolist()) == {2, 6}
    with pytest.raises(CloudError, match="s/5: not among the 7 frames"):
        next(dense_clouds(timeline, ["s/5"], config))


def test_where_nothing_tells_what_moves_nothing_is_taken_along_unnoticed() -> None:
    target, other = (replace(frame_of(number, points(number)), moving=None) for number in range(2))
    for moving in ("align", "drop"):
        with pytest.raises(CloudError, match=r"^s/1: no boxes or instances tell what moves; .*--moving keep"):
            aggregate(target, [other], replace(ALL, moving=moving))
    assert len(aggregate(target, [other], replace(ALL, moving="keep")).own) == 60


def objects_of(number: int) -> dict[int, Floats]:
    """An object that drives and turns by itself."""
    pose = np.eye(4)
    cos, sin = np.cos(0.2 * number), np.sin(0.2 * number)
    pose[:2, :2] = (cos, -sin), (sin, cos)
    pose[:3, 3] = 3.0 + 0.8 * number, 0.5 * number, 0.2
    return {7: pose}


def driving(number: int, *, known: bool = True, moving: int = 7) -> Frame:
    """Five standing points, then fifteen on the object, the same ones in every frame."""
    body = points(99, 15) / 20
    pose = objects_of(number)[7]
    world = np.concatenate([points(number, 5), body @ pose[:3, :3].T + pose[:3, 3]])
    return frame_of(number, world, moving=[0] * 5 + [moving] * 15, objects=objects_of(number) if known else None)


def test_moving_objects_are_taken_along_left_out_or_left_behind() -> None:
    target, other = driving(2), driving(0)
    own = target.sample.cloud.xyz[5:]
    aligned = aggregate(target, [other], ALL)
    assert len(aligned.own) == 40
    np.testing.assert_allclose(aligned.xyz[25:], own, atol=1e-5)
    dropped = aggregate(target, [other], replace(ALL, moving="drop"))
    assert len(dropped.own) == 25
    np.testing.assert_array_equal(dropped.xyz[20:], aligned.xyz[20:25])
    kept = aggregate(target, [other], replace(ALL, moving="keep"))
    np.testing.assert_array_equal(kept.xyz[20:25], aligned.xyz[20:25])
    start, end = objects_of(0)[7], objects_of(2)[7]
    body = points(99, 15) / 20
    smear = (body @ start[:3, :3].T + start[:3, 3]) - (body @ end[:3, :3].T + end[:3, 3])
    apart = np.linalg.norm(kept.xyz[25:] - own, axis=1)
    np.testing.assert_allclose(apart, np.linalg.norm(smear, axis=1), atol=1e-5)


def test_objects_without_poses_are_followed_by_their_points() -> None:
    rng = np.random.default_rng(3)
    body = rng.uniform(0, 1, (150, 3)) * (4, 1.8, 1.5)
    sides = rng.integers(0, 3, 150)
    body[np.arange(150), sides] = np.where(rng.random(150) < 0.5, 0, np.array([4, 1.8, 1.5])[sides])
    shift = np.array([0.9, 0.2, 0.0])
    found, fit_m = shift_between(body[:120], body[30:] + shift)
    np.testing.assert_allclose(found, shift, atol=0.05)
    assert fit_m < 0.1
    two = [frame_of(number, body + number * shift, moving=[1] * 150) for number in range(2)]
    dense = aggregate(two[1], [two[0]], ALL)
    np.testing.assert_allclose(dense.xyz[150:], two[1].sample.cloud.xyz, atol=0.02)
    unlike = frame_of(0, rng.uniform(-5, 5, (150, 3)), moving=[1] * 150)  # does not fit: its motion is not known
    assert len(aggregate(two[1], [unlike], ALL).own) == 150


@pytest.mark.parametrize("moving", [8, -1])
def test_objects_that_cannot_be_followed_are_left_out(moving: int) -> None:
    dense = aggregate(driving(2), [driving(0, moving=moving, known=False)], ALL)
    assert len(dense.own) == 25


def test_unlabelled_accumulation_does_not_look_at_labels() -> None:
    config = Accumulation(by_pose=True, moving="keep", near_m=0.0)
    frames = [driving(number) for number in range(3)]
    bare = [Frame(replace(frame.sample, label=np.full(20, 255, np.uint8), instance=None)) for frame in frames]
    known, unknown = (aggregate(each[1], [each[0], each[2]], config) for each in (frames, bare))
    np.testing.assert_array_equal(known.xyz, unknown.xyz)
    assert (unknown.label == 255).all() and known.label.max() == 2


def test_classes_clip_and_near_choose_what_is_added() -> None:
    world = np.array([[5.0, 0, 0], [9, 0, 0], [-5, 0, 1], [0, 7, 3], [1.7, 1, 0]])
    frame = frame_of(0, world, label=[0, 1, 1, 2, 1])
    target = frame_of(1, points(1, 4), label=[5] * 4)
    into = seen_from(pose_of(1), world)

    def added(config: Accumulation, class_ids: Sequence[int] | None = None) -> npt.NDArray[np.float32]:
        dense = aggregate(target, [frame], config, class_ids)
        np.testing.assert_array_equal(dense.xyz[:4], target.sample.cloud.xyz)  # itself it stays as it is
        return dense.xyz[4:]

    np.testing.assert_allclose(added(ALL, (1,)), into[[1, 2, 4]], atol=1e-5)
    box = (*(into[1] - 0.1).tolist(), *(into[1] + 0.1).tolist())
    np.testing.assert_allclose(added(replace(ALL, clip_m=box)), into[[1]], atol=1e-5)
    np.testing.assert_allclose(added(replace(ALL, near_m=2.0)), into[:4], atol=1e-5)  # 1.97 m from frame 0


def test_no_returns_are_not_carried_over() -> None:
    frame, target = frame_of(0, points(0, 4)), frame_of(1, points(1, 3))
    frame.sample.cloud.xyz[1] = 0
    frame.sample.cloud.xyz[2] = np.nan
    target.sample.cloud.xyz[0] = np.nan
    for cell_m in (None, 0.5):
        dense = aggregate(target, [frame], replace(ALL, cell_m=cell_m))
        assert len(dense.own) == 5 and dense.own.sum() == 3
        np.testing.assert_array_equal(dense.xyz[:3], target.sample.cloud.xyz)


def test_one_added_point_a_cell_and_none_where_the_cloud_has_one() -> None:
    rng = np.random.default_rng(0)
    frames = [frame_of(number, rng.uniform(-2, 2, (400, 3))) for number in range(3)]
    whole = aggregate(frames[1], [frames[0], frames[2]], ALL)
    dense = aggregate(frames[1], [frames[0], frames[2]], replace(ALL, cell_m=0.5))
    seen, kept = set(), []
    for row, point in enumerate(whole.xyz.astype(np.float64)):
        cell = tuple(int(np.floor(value / 0.5)) for value in point)
        if row < 400 or cell not in seen:
            kept.append(row)
        seen.add(cell)
    assert 400 < len(kept) < 1000
    for one, other in zip(parts(dense), parts(whole), strict=True):
        np.testing.assert_array_equal(one, other[kept])


def parts(dense: Dense) -> tuple[npt.NDArray[np.generic], ...]:
    return dense.xyz, dense.intensity, dense.label, dense.own


def test_frames_need_poses() -> None:
    sample = frame_of(0, points(0)).sample
    for pose in (None, np.full((4, 4), np.nan), np.zeros((4, 4))):
        with pytest.raises(CloudError, match=r"s/0: no usable pose"):
            Frame(replace(sample, pose=pose))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"past": 0, "future": 0}, "--past 0 --future 0"),
        ({"past": -1}, "--past -1"),
        ({"every": 0}, "--every 0"),
        ({"cell_m": 0.001}, "--cell 0.001"),
        ({"near_m": float("nan")}, "--near nan"),
        ({"clip_m": (0, 0, 0, 1, -1, 1)}, "--clip 0 0 0 1 -1 1"),
        ({"by_pose": True, "moving": "drop"}, "--by-pose with --moving drop"),
        ({"by_pose": True, "moving": "keep", "classes": ("car",)}, "--by-pose with --classes"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Accumulation(**changes)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_classes_are_those_of_the_scheme() -> None:
    scheme = get_scheme("street")
    assert Accumulation(classes=("car", "road")).class_ids(scheme) == (6, 0)
    assert Accumulation().class_ids(scheme) is None
    with pytest.raises(ConfigError, match=r"--classes boat: street has road"):
        Accumulation(classes=("boat",)).class_ids(scheme)
