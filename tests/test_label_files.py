# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Label files in the data sets' own formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_data import real_data

from srkd.errors import CloudError
from srkd.io.label_files import label_path, label_suffix, read_labels, read_raw_labels, write_labels
from srkd.labels import IGNORE, SCHEMES


def test_names_follow_the_data_sets() -> None:
    cases = {
        "semantickitti": "a.label",
        "nuscenes": "a_lidarseg.bin",
        "waymo": "a.npy",
        "scannet": "a.npy",
        "street": "a.npy",
    }
    for name, expected in cases.items():
        for cloud in ("x/a.bin", "a.pcd.bin", "a.ply"):
            assert label_path("out", cloud, SCHEMES[name]) == Path("out") / expected
    assert label_path("out", "a.b.pcd", SCHEMES["street"]).name == "a.b.npy"


def test_bytes_of_each_format(tmp_path: Path) -> None:
    class_id = np.array([0, 4, IGNORE], np.uint8)
    expected = {
        "semantickitti": np.array([10, 20, 0], "<u4").tobytes(),
        "nuscenes": bytes([9, 18, 0]),
        "waymo": bytes([1, 5, 0]),
    }
    for name, data in expected.items():
        scheme = SCHEMES[name]
        path = label_path(tmp_path / "deep" / "folder", "a.bin", scheme)
        write_labels(path, class_id, scheme)
        assert path.read_bytes().endswith(data)
        if label_suffix(scheme) == ".npy":
            assert np.load(path).tolist() == list(data) and np.load(path).dtype == np.uint8
        else:
            assert path.read_bytes() == data
        assert read_labels(path, scheme, 3).tolist() == class_id.tolist()
        write_labels(path, class_id[:0], scheme)
        assert len(read_labels(path, scheme, 0)) == 0


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    street, kitti, nuscenes = SCHEMES["street"], SCHEMES["semantickitti"], SCHEMES["nuscenes"]
    with pytest.raises(CloudError, match=r"go to \*\.label"):
        write_labels(tmp_path / "a.npy", np.zeros(1, np.uint8), kitti)
    with pytest.raises(CloudError, match="class ids 12"):
        write_labels(tmp_path / "a.npy", np.full(1, 12, np.uint8), street)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.label").write_bytes(bytes(7))
    with pytest.raises(CloudError, match="7 bytes, expected a multiple of 4"):
        read_labels(tmp_path / "a.label", kitti)
    (tmp_path / "a.label").write_bytes(bytes(8))
    with pytest.raises(CloudError, match="2 labels, but the cloud has 3 points"):
        read_labels(tmp_path / "a.label", kitti, 3)
    (tmp_path / "a_lidarseg.bin").write_bytes(bytes([99]))
    with pytest.raises(CloudError, match=r"a_lidarseg\.bin: labels: raw ids 99"):
        read_labels(tmp_path / "a_lidarseg.bin", nuscenes)
    with pytest.raises(CloudError, match="cannot be read"):
        read_labels(tmp_path / "none.label", kitti)
    for array in (np.zeros((2, 2), np.uint8), np.zeros(2), np.array([-1])):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(CloudError, match="expected labels"):
            read_labels(tmp_path / "a.npy", street)


def test_own_scheme_uses_the_format_of_its_width(tmp_path: Path) -> None:
    wide = replace(SCHEMES["street"], name="own", raw_bits=32)
    assert label_suffix(wide) == ".label"
    write_labels(tmp_path / "a.label", np.array([3], np.uint8), wide)
    assert (tmp_path / "a.label").read_bytes() == bytes([4, 0, 0, 0])


def test_real_labels_go_round_but_for_instances_and_folds(tmp_path: Path) -> None:
    scheme = SCHEMES["semantickitti"]
    source = real_data("semantickitti_full", "sequences", "00", "labels", "000000.label")
    raw = read_raw_labels(source, scheme, 124_668)
    assert raw.max() > 0xFFFF
    class_id = read_labels(source, scheme, 124_668)
    copy = tmp_path / "000000.label"
    write_labels(copy, class_id, scheme)
    assert (read_labels(copy, scheme) == class_id).all()
    unfolded = (class_id != IGNORE) & ~np.isin(raw & 0xFFFF, (60, 13, 16, *range(252, 260)))
    assert ((raw & 0xFFFF) == read_raw_labels(copy, scheme))[unfolded].all() and unfolded.mean() > 0.5
