# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label schemes against the data sets' own definitions, restated here in the form in which they publish them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srkd.errors import CloudError, ConfigError
from srkd.labels import IGNORE, SCHEMES, LabelScheme, get_scheme, load_scheme

# nuscenes-devkit: the lidarseg index of each of the 32 categories, and its class in the challenge (None: ignored)
NUSCENES = [
    ("noise", None),
    ("animal", None),
    ("human.pedestrian.adult", "pedestrian"),
    ("human.pedestrian.child", "pedestrian"),
    ("human.pedestrian.construction_worker", "pedestrian"),
    ("human.pedestrian.personal_mobility", None),
    ("human.pedestrian.police_officer", "pedestrian"),
    ("human.pedestrian.stroller", None),
    ("human.pedestrian.wheelchair", None),
    ("movable_object.barrier", "barrier"),
    ("movable_object.debris", None),
    ("movable_object.pushable_pullable", None),
    ("movable_object.trafficcone", "traffic_cone"),
    ("static_object.bicycle_rack", None),
    ("vehicle.bicycle", "bicycle"),
    ("vehicle.bus.bendy", "bus"),
    ("vehicle.bus.rigid", "bus"),
    ("vehicle.car", "car"),
    ("vehicle.construction", "construction_vehicle"),
    ("vehicle.emergency.ambulance", None),
    ("vehicle.emergency.police", None),
    ("vehicle.motorcycle", "motorcycle"),
    ("vehicle.trailer", "trailer"),
    ("vehicle.truck", "truck"),
    ("flat.driveable_surface", "driveable_surface"),
    ("flat.other", "other_flat"),
    ("flat.sidewalk", "sidewalk"),
    ("flat.terrain", "terrain"),
    ("static.manmade", "manmade"),
    ("static.other", None),
    ("static.vegetation", "vegetation"),
    ("vehicle.ego", None),
]
NUSCENES_CLASSES = ["barrier", "bicycle", "bus", "car", "construction_vehicle", "motorcycle", "pedestrian"]
NUSCENES_CLASSES += ["traffic_cone", "trailer", "truck", "driveable_surface", "other_flat", "sidewalk", "terrain"]
NUSCENES_CLASSES += ["manmade", "vegetation"]

# semantic-kitti.yaml: learning_map, 0 is ignored; and learning_map_inv
KITTI = {
    0: 0,
    1: 0,
    10: 1,
    11: 2,
    13: 5,
    15: 3,
    16: 5,
    18: 4,
    20: 5,
    30: 6,
    31: 7,
    32: 8,
    40: 9,
    44: 10,
    48: 11,
    49: 12,
}
KITTI |= {50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8}
KITTI |= {256: 5, 257: 5, 258: 4, 259: 5}
KITTI_INVERSE = [10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81]

SCANNET_NYU40 = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]
STREET = ["road", "sidewalk", "building", "vegetation", "terrain", "pole"]
STREET += ["car", "truck", "bus", "bicycle", "pedestrian", "fence"]


def test_nuscenes_is_the_challenge_map() -> None:
    scheme = SCHEMES["nuscenes"]
    assert scheme.class_names == tuple(NUSCENES_CLASSES)
    got = scheme.from_raw(np.arange(32, dtype=np.uint8))
    assert got.tolist() == [IGNORE if c is None else NUSCENES_CLASSES.index(c) for _, c in NUSCENES]


def test_semantickitti_is_the_learning_map_with_instances_cut_off() -> None:
    scheme = SCHEMES["semantickitti"]
    raw = np.array(sorted(KITTI), np.uint32)
    expected = [(KITTI[int(r)] - 1) % 256 for r in raw]
    assert len(raw) == 34
    assert scheme.from_raw(raw).tolist() == expected
    assert scheme.from_raw(raw | np.uint32(4711 << 16)).tolist() == expected
    assert scheme.to_raw(np.arange(19, dtype=np.uint8)).tolist() == KITTI_INVERSE
    assert scheme.to_raw(np.arange(19, dtype=np.uint8)).dtype == np.uint32


def test_waymo_and_street_are_raw_less_one() -> None:
    for name, count in (("waymo", 22), ("street", 12)):
        scheme = SCHEMES[name]
        assert scheme.num_classes == count
        assert scheme.from_raw(np.arange(count + 1)).tolist() == [IGNORE, *range(count)]
    assert SCHEMES["street"].class_names == tuple(STREET)
    assert (SCHEMES["waymo"].class_names[0], SCHEMES["waymo"].class_names[21]) == ("car", "sidewalk")


def test_scannet_is_twenty_of_the_nyu_ids_and_two_stray_ones() -> None:
    scheme = SCHEMES["scannet"]
    got = scheme.from_raw(np.array([*range(41), 50, 149], np.uint16))
    expected = [SCANNET_NYU40.index(raw) if raw in SCANNET_NYU40 else IGNORE for raw in range(41)]
    assert got.tolist() == [*expected, IGNORE, IGNORE]


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_every_scheme_goes_round(scheme: LabelScheme) -> None:
    every = np.array([*range(scheme.num_classes), IGNORE], np.uint8)
    assert (scheme.from_raw(scheme.to_raw(every)) == every).all()
    assert LabelScheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme
    assert len(set(scheme.colors)) == scheme.num_classes
    assert scheme.palette().shape == (256, 3)
    assert tuple(scheme.palette()[0]) == scheme.colors[0]
    assert len(set(map(tuple, scheme.palette()[scheme.num_classes :]))) == 1


def test_unknown_ids_are_named_with_the_scheme() -> None:
    with pytest.raises(CloudError, match=r"raw ids 32 200 .*scheme nuscenes"):
        SCHEMES["nuscenes"].from_raw(np.array([0, 200, 32, 5, 200], np.uint8))
    with pytest.raises(CloudError, match=r"300 .*waymo"):
        SCHEMES["waymo"].from_raw(np.array([1, 300], np.int64))
    with pytest.raises(CloudError, match=r"-1 .*waymo"):
        SCHEMES["waymo"].from_raw(np.array([1, -1], np.int8))
    with pytest.raises(CloudError, match=r"class ids 12 254 .*street"):
        SCHEMES["street"].to_raw(np.array([11, 12, 254, 255], np.uint8))
    with pytest.raises(CloudError, match="float"):
        SCHEMES["street"].from_raw(np.zeros(3))


@given(st.lists(st.integers(-(2**40), 2**40), max_size=20), st.sampled_from(sorted(SCHEMES)))
@settings(max_examples=100, deadline=None)
def test_from_raw_looks_up_or_refuses(raw: list[int], name: str) -> None:
    scheme = SCHEMES[name]
    table = dict(scheme.raw_to_class)
    cut = [value & 0xFFFF if scheme.raw_bits == 32 else value for value in raw]
    array = np.array(raw, np.int64)
    if set(cut) <= set(table):
        assert scheme.from_raw(array).tolist() == [table[value] for value in cut]
    else:
        with pytest.raises(CloudError, match=name):
            scheme.from_raw(array)


YARD = """
name: yard
ignored_raw: [0, 7]
classes:
  - {name: ground, color: [120, 110, 130], raw: [1, 2]}
  - {name: forklift, color: [255, 120, 0], raw: [3]}
"""


def test_own_scheme_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "yard.yaml"
    path.write_text(YARD)
    scheme = get_scheme(path)
    assert scheme == get_scheme(str(path)) == load_scheme(path)
    assert scheme.from_raw(np.array([0, 1, 2, 3, 7])).tolist() == [255, 0, 0, 1, 255]
    assert scheme.to_raw(np.array([1, 255], np.uint8)).tolist() == [3, 0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: [", "no valid YAML"),
        ("- 1", "list, expected a mapping"),
        ("name: yard\nclasses: []", "0 classes"),
        (YARD.replace("raw: [3]", "raw: [2]"), "raw ids 2 are mapped more than once"),
        (YARD.replace("forklift", "ground"), "used once"),
        (YARD.replace("raw: [3]", "raw: [300]"), "raw id 300"),
        (YARD.replace("[255, 120, 0]", "[255, 120]"), "colours"),
        (YARD.replace("ignored_raw: [0, 7]", "ignored_raw: [7]"), "unlabelled_raw 0 is not ignored"),
        (YARD.replace("raw: [3]", "raw: []"), "'forklift' has no raw id"),
        (YARD + "colour: 3", "unknown key 'colour'"),
        (YARD.replace("name: yard", "name: !!python/object/apply:os.getcwd []"), "no valid YAML"),
    ],
)
def test_a_bad_scheme_file_is_refused_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=reason) as caught:
        get_scheme(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unknown_scheme_names_the_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'kitty'.*nuscenes.*semantickitti"):
        get_scheme("kitty")
    with pytest.raises(ConfigError, match="cannot be read"):
        get_scheme(tmp_path / "none.yaml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.sampled_from(["name", "raw_bits", "unlabelled_raw", "ignored_raw", "classes", 0, "color", "raw"])), JSON
)
@settings(max_examples=200, deadline=None)
def test_from_dict_takes_any_damage(place: list[Any], value: Any) -> None:
    tree: Any = copy.deepcopy(SCHEMES["street"].to_dict())
    node = {"root": tree}
    key: Any = "root"
    for step in place:
        if (isinstance(node[key], dict) and step in node[key]) or (
            isinstance(node[key], list) and step == 0 and node[key]
        ):
            node, key = node[key], step
    node[key] = value
    try:
        scheme = LabelScheme.from_dict(node["root"] if key == "root" else tree)
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert LabelScheme.from_dict(scheme.to_dict()) == scheme
        hash(scheme)
