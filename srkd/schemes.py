# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The label tables of the data sets, as plain data: class rows of (name, colour, raw ids) and ignored raw ids.

Rows are in class order, the first row is class 0. The first raw id of a row is the one written back. Sources:
nuscenes-devkit eval/lidarseg/utils.py, semantic-kitti-api config/semantic-kitti.yaml, waymo protos/segmentation.proto,
the ScanNet benchmark's 20 of the 40 NYU ids. Raw ids and colours are the data sets' own; only Waymo's and street's
colours are ours.
"""

from __future__ import annotations

from typing import NamedTuple

Row = tuple[str, tuple[int, int, int], tuple[int, ...]]


class Table(NamedTuple):
    """One data set's labels; the fields are those of `srkd.labels.LabelScheme`."""

    name: str
    raw_bits: int
    unlabelled_raw: int
    ignored_raw: tuple[int, ...]
    rows: tuple[Row, ...]


_NUSCENES = Table(
    name="nuscenes",
    raw_bits=8,
    unlabelled_raw=0,
    ignored_raw=(0, 1, 5, 7, 8, 10, 11, 13, 19, 20, 29, 31),
    rows=(
        ("barrier", (112, 128, 144), (9,)),
        ("bicycle", (220, 20, 60), (14,)),
        ("bus", (255, 127, 80), (16, 15)),
        ("car", (255, 158, 0), (17,)),
        ("construction_vehicle", (233, 150, 70), (18,)),
        ("motorcycle", (255, 61, 99), (21,)),
        ("pedestrian", (0, 0, 230), (2, 3, 4, 6)),
        ("traffic_cone", (47, 79, 79), (12,)),
        ("trailer", (255, 140, 0), (22,)),
        ("truck", (255, 99, 71), (23,)),
        ("driveable_surface", (0, 207, 191), (24,)),
        ("other_flat", (175, 0, 75), (25,)),
        ("sidewalk", (75, 0, 75), (26,)),
        ("terrain", (112, 180, 60), (27,)),
        ("manmade", (222, 184, 135), (28,)),
        ("vegetation", (0, 175, 0), (30,)),
    ),
)

_SEMANTICKITTI = Table(
    name="semantickitti",
    raw_bits=32,
    unlabelled_raw=0,
    ignored_raw=(0, 1, 52, 99),
    rows=(
        ("car", (100, 150, 245), (10, 252)),
        ("bicycle", (100, 230, 245), (11,)),
        ("motorcycle", (30, 60, 150), (15,)),
        ("truck", (80, 30, 180), (18, 258)),
        ("other-vehicle", (0, 0, 255), (20, 13, 16, 256, 257, 259)),
        ("person", (255, 30, 30), (30, 254)),
        ("bicyclist", (255, 40, 200), (31, 253)),
        ("motorcyclist", (150, 30, 90), (32, 255)),
        ("road", (255, 0, 255), (40, 60)),
        ("parking", (255, 150, 255), (44,)),
        ("sidewalk", (75, 0, 75), (48,)),
        ("other-ground", (175, 0, 75), (49,)),
        ("building", (255, 200, 0), (50,)),
        ("fence", (255, 120, 50), (51,)),
        ("vegetation", (0, 175, 0), (70,)),
        ("trunk", (135, 60, 0), (71,)),
        ("terrain", (150, 240, 80), (72,)),
        ("pole", (255, 240, 150), (80,)),
        ("traffic-sign", (255, 0, 0), (81,)),
    ),
)

_WAYMO = Table(
    name="waymo",
    raw_bits=8,
    unlabelled_raw=0,
    ignored_raw=(0,),
    rows=(
        ("car", (66, 135, 245), (1,)),
        ("truck", (110, 84, 214), (2,)),
        ("bus", (165, 94, 234), (3,)),
        ("other_vehicle", (75, 190, 220), (4,)),
        ("motorcyclist", (214, 51, 132), (5,)),
        ("bicyclist", (255, 92, 168), (6,)),
        ("pedestrian", (255, 59, 59), (7,)),
        ("sign", (255, 214, 10), (8,)),
        ("traffic_light", (255, 170, 0), (9,)),
        ("pole", (232, 220, 170), (10,)),
        ("construction_cone", (255, 122, 26), (11,)),
        ("bicycle", (240, 130, 190), (12,)),
        ("motorcycle", (190, 80, 160), (13,)),
        ("building", (200, 170, 130), (14,)),
        ("vegetation", (46, 160, 67), (15,)),
        ("tree_trunk", (130, 82, 45), (16,)),
        ("curb", (205, 205, 215), (17,)),
        ("road", (120, 110, 130), (18,)),
        ("lane_marker", (255, 255, 255), (19,)),
        ("other_ground", (160, 120, 110), (20,)),
        ("walkable", (150, 200, 120), (21,)),
        ("sidewalk", (190, 140, 180), (22,)),
    ),
)

_SCANNET_ROWS: tuple[Row, ...] = (
    ("wall", (174, 199, 232), (1,)),
    ("floor", (152, 223, 138), (2,)),
    ("cabinet", (31, 119, 180), (3,)),
    ("bed", (255, 187, 120), (4,)),
    ("chair", (188, 189, 34), (5,)),
    ("sofa", (140, 86, 75), (6,)),
    ("table", (255, 152, 150), (7,)),
    ("door", (214, 39, 40), (8,)),
    ("window", (197, 176, 213), (9,)),
    ("bookshelf", (148, 103, 189), (10,)),
    ("picture", (196, 156, 148), (11,)),
    ("counter", (23, 190, 207), (12,)),
    ("desk", (247, 182, 210), (14,)),
    ("curtain", (219, 219, 141), (16,)),
    ("refrigerator", (255, 127, 14), (24,)),
    ("shower curtain", (158, 218, 229), (28,)),
    ("toilet", (44, 160, 44), (33,)),
    ("sink", (112, 128, 144), (34,)),
    ("bathtub", (227, 119, 194), (36,)),
    ("otherfurniture", (82, 84, 163), (39,)),
)
_SCANNET_USED = {raw for _, _, raws in _SCANNET_ROWS for raw in raws}
_SCANNET_STRAY = (50, 149)  # outside the 40 NYU ids, but found in released files: ScanNet/ScanNet#20
_SCANNET = Table(
    name="scannet",
    raw_bits=8,
    unlabelled_raw=0,
    ignored_raw=(*(raw for raw in range(41) if raw not in _SCANNET_USED), *_SCANNET_STRAY),
    rows=_SCANNET_ROWS,
)

_STREET = Table(
    name="street",
    raw_bits=8,
    unlabelled_raw=0,
    ignored_raw=(0,),
    rows=(
        ("road", (118, 128, 166), (1,)),
        ("sidewalk", (200, 150, 190), (2,)),
        ("building", (214, 178, 128), (3,)),
        ("vegetation", (62, 168, 84), (4,)),
        ("terrain", (158, 204, 98), (5,)),
        ("pole", (255, 226, 120), (6,)),
        ("car", (74, 144, 255), (7,)),
        ("truck", (142, 100, 240), (8,)),
        ("bus", (64, 206, 224), (9,)),
        ("bicycle", (255, 120, 200), (10,)),
        ("pedestrian", (255, 72, 72), (11,)),
        ("fence", (255, 150, 60), (12,)),
    ),
)

TABLES = (_NUSCENES, _SEMANTICKITTI, _WAYMO, _SCANNET, _STREET)
