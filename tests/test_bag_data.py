# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags as a data set: the clouds that were written, in order, whatever the storage; labels only where asked for."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bag_makers import START_NS, cloud, one_thread, points, write_clouds  # noqa: F401
from small_networks import small_ptv3

from srkd.cloud import Cloud
from srkd.errors import BagError, CloudError, ConfigError
from srkd.input_spec import InputSpec
from srkd.io.bags import CLOUD_TYPE, BagWriter
from srkd.labels import get_scheme
from srkd_train.cloud_messages import truth_message, write_scheme
from srkd_train.cloud_sources import plan_sources, read_sources
from srkd_train.config import DataConfig
from srkd_train.data import bag_index
from srkd_train.data.augment import Augment
from srkd_train.data.bag import BagClouds, digest, named, open_bags, truth_scheme
from srkd_train.data.bag_index import index_bag
from srkd_train.data.bag_part import bag_digests, why_not_scored
from srkd_train.data.catalog import final_part, split_part, training_part
from srkd_train.data.loader import TrainingBatches, training_loader
from srkd_train.options import spell_out

STREET = get_scheme("street")
PERIOD_NS = 100_000_000


def unit(count: int, seed: int) -> np.ndarray:
    """As `points`, with intensities of 0 to 1."""
    made = points(count, seed)
    made[:, 3] /= 255
    return made


MADE = [unit(40 + seed, seed) for seed in range(7)]


def write_bag(
    path: Path,
    made: Sequence[np.ndarray] = MADE,
    *,
    storage: str = "mcap",
    labels: Sequence[np.ndarray | None] = (),
    scheme: str = "street",
    late_ns: int = 0,
) -> Path:
    """Clouds on /points; labels are recorded `late_ns` after them, under the stamps of their clouds."""
    messages = []
    for index, array in enumerate(made):
        stamp = START_NS + index * PERIOD_NS
        message = cloud(array, stamp)
        messages.append((stamp, "/points", message))
        if index < len(labels) and (label := labels[index]) is not None:
            truth = truth_message(Cloud.from_array(array), label, stamp, "lidar")
            messages.append((stamp + late_ns, "/points/labels", truth))
    with BagWriter(path, storage=storage) as writer:
        if labels:
            write_scheme(writer, "/points", scheme, START_NS)
        for stamp, topic, message in sorted(messages, key=lambda each: each[0]):
            writer.write_message(topic, CLOUD_TYPE, stamp, message)
    return path


def opened(path: Path, keep: Path, *, topic: str | None = None, **options: Any) -> BagClouds:
    return BagClouds(open_bags(str(path), topic, keep), STREET, **options)


def assert_clouds(found: BagClouds, made: Sequence[np.ndarray]) -> None:
    assert len(found) == len(made)
    for index in (*range(len(made)), *reversed(range(len(made)))):
        sample = found[index]
        assert sample.cloud.intensity is not None
        np.testing.assert_array_equal(np.column_stack([sample.cloud.xyz, sample.cloud.intensity]), made[index])
        assert sample.label.dtype == np.uint8 and (sample.label == 255).all()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_clouds_come_as_they_were_written_and_without_labels(tmp_path: Path, storage: str) -> None:
    labels = [np.full(len(made), 3, np.uint8) for made in MADE]
    found = opened(write_bag(tmp_path / "drive", storage=storage, labels=labels), tmp_path)
    assert_clouds(found, MADE)
    assert_clouds(pickle.loads(pickle.dumps(found)), MADE)
    assert found.scheme is STREET and found[2].name.startswith("drive/points 16000")


def test_clouds_are_those_that_predict_labels(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "drive")
    named = list(read_sources(plan_sources([str(path)], tmp_path)))
    found = opened(path, tmp_path)
    for index, each in enumerate(named):
        np.testing.assert_array_equal(found[index].cloud.xyz, each.read().xyz)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_messages_of_one_time_are_told_apart(tmp_path: Path, storage: str) -> None:
    with BagWriter(tmp_path / "drive", storage=storage) as writer:
        for made in MADE:  # a driver without a clock, recorded by a machine without one
            writer.write_message("/points", CLOUD_TYPE, START_NS, cloud(made, 0))
    assert_clouds(opened(tmp_path / "drive", tmp_path), MADE)


def test_every_nth_cloud_and_no_empty_ones(tmp_path: Path) -> None:
    nowhere = np.full((5, 4), np.nan, "<f4")
    path = write_bag(
        tmp_path / "drive", [MADE[0], nowhere, MADE[2], MADE[3], nowhere, np.zeros((0, 4), "<f4"), MADE[6]]
    )
    assert_clouds(opened(path, tmp_path), [MADE[0], MADE[2], MADE[3], MADE[6]])
    assert_clouds(opened(path, tmp_path, every=2), [MADE[0], MADE[2], MADE[6]])
    assert_clouds(opened(path, tmp_path, every=3), [MADE[0], MADE[3], MADE[6]])
    with pytest.raises(BagError, match="bag empty, /points: no cloud with a usable point"):
        opened(write_bag(tmp_path / "empty", [nowhere]), tmp_path)


def test_a_topic_is_chosen_or_asked_for(tmp_path: Path) -> None:
    made = {"/front": MADE[:3], "/rear": MADE[3:]}
    path = write_clouds(tmp_path / "drive", {topic: [cloud(each) for each in own] for topic, own in made.items()})
    with pytest.raises(
        ConfigError, match=r"drive: clouds on /front \(3\), /rear \(4\); say which, --data\.topic /front$"
    ):
        opened(path, tmp_path)
    for topic, own in made.items():
        assert_clouds(opened(path, tmp_path, topic=topic), own)
    with pytest.raises(BagError, match=r"no clouds on /top; it has /front \(3\), /rear \(4\)$"):
        opened(path, tmp_path, topic="/top")


def test_several_bags_are_one_data_set(tmp_path: Path) -> None:
    one, two = write_bag(tmp_path / "ring" / "one", MADE[:2]), write_bag(tmp_path / "ring" / "two", MADE[2:])
    for root in (f"{one},{two}", str(tmp_path / "ring")):
        found = BagClouds(open_bags(root, None, tmp_path), STREET)
        assert_clouds(found, MADE)
    assert named(found.indices) == "2 bags, one to two, /points"
    assert len(BagClouds(found.indices, STREET, every=2)) == 1 + 3, "counted bag by bag"


def test_labels_are_those_of_the_stamp(tmp_path: Path) -> None:
    labels = [np.full(len(made), index, np.uint8) for index, made in enumerate(MADE)]
    labels[3] = None  # type: ignore[call-overload]
    labels[5][::2] = 255
    path = write_bag(tmp_path / "drive", labels=labels, late_ns=int(2.5 * PERIOD_NS))
    found = opened(path, tmp_path, labels=True)
    assert truth_scheme(found.indices) is STREET and len(found) == 6
    for index, expected in enumerate([0, 1, 2, 4, 5, 6]):
        assert len(found[index].cloud) == len(MADE[expected])
        np.testing.assert_array_equal(found[index].label, labels[expected])
    assert_clouds(opened(path, tmp_path), MADE)


def test_labels_of_another_cloud_or_scheme_are_refused(tmp_path: Path) -> None:
    beyond = write_bag(tmp_path / "beyond", MADE[:1], labels=[np.full(40, 12, np.uint8)])
    with pytest.raises(
        CloudError, match=r"beyond/points \d+: .* classes up to 12, expected 40 uint8 below 12 \(street\)"
    ):
        opened(beyond, tmp_path, labels=True)[0]
    with BagWriter(tmp_path / "short") as writer:
        write_scheme(writer, "/points", "street", START_NS)
        writer.write_message("/points", CLOUD_TYPE, START_NS, cloud(MADE[0]))
        truth = truth_message(Cloud.from_array(MADE[0][:5]), np.zeros(5, np.uint8), START_NS, "lidar")
        writer.write_message("/points/labels", CLOUD_TYPE, START_NS, truth)
    with pytest.raises(CloudError, match="ground truth has 5 uint8 classes up to 0, expected 40"):
        opened(tmp_path / "short", tmp_path, labels=True)[0]
    other = write_bag(tmp_path / "other", MADE[:1], labels=[np.zeros(40, np.uint8)], scheme="waymo")
    with pytest.raises(ConfigError, match="ground truth of street and waymo; give bags of one scheme"):
        truth_scheme(open_bags(f"{beyond},{other}", None, tmp_path))


def test_intensities_are_brought_to_the_scale_of_the_network(tmp_path: Path) -> None:
    bytes_ = [made * np.array([1, 1, 1, 255], "<f4") for made in MADE]
    for made in bytes_:
        made[:, 3] = np.rint(made[:, 3])
    path = write_bag(tmp_path / "drive", bytes_)
    found = opened(path, tmp_path, spec=InputSpec(0.4))
    np.testing.assert_allclose(found[1].cloud.intensity, bytes_[1][:, 3] / 255, rtol=1e-6)
    assert str(found.note()).startswith("drive: intensity of 0 to 255 divided by 255")
    assert opened(path, tmp_path).note() is None
    assert opened(path, tmp_path, spec=InputSpec(0.4, intensity="divide_255")).note() is None


# --- the index ---


def test_an_index_is_kept_as_long_as_the_bag_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [np.full(len(made), 3, np.uint8) for made in MADE]
    path = write_bag(tmp_path / "drive", labels=labels)
    first = index_bag(path, None, tmp_path / "kept")
    (kept,) = (tmp_path / "kept").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(bag_index, "_make", None)
        again = index_bag(path, "/points", tmp_path / "kept")
    for name in ("clouds", "usable", "labels"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.scheme, first.digest, first.labels_digest) == (again.scheme, again.digest, again.labels_digest)
    kept.write_bytes(kept.read_bytes()[:100])
    assert index_bag(path, None, tmp_path / "kept").digest == first.digest
    shutil.rmtree(path)
    write_bag(path, MADE[:3])
    assert len(index_bag(path, None, tmp_path / "kept").clouds) == 3
    (tmp_path / "file").touch()
    assert len(index_bag(path, None, tmp_path / "file").clouds) == 3, "it is made where it cannot be kept"


def test_a_digest_is_of_what_is_in_the_bag(tmp_path: Path) -> None:
    labels = [np.full(len(made), 3, np.uint8) for made in MADE]
    paths = {
        "mcap": write_bag(tmp_path / "mcap"),
        "sqlite3": write_bag(tmp_path / "sqlite3", storage="sqlite3"),
        "labelled": write_bag(tmp_path / "labelled", labels=labels),
        "shorter": write_bag(tmp_path / "shorter", MADE[:-1]),
    }
    indices = {name: open_bags(str(path), None, tmp_path) for name, path in paths.items()}
    plain = {name: digest(own, labels=False) for name, own in indices.items()}
    assert plain["mcap"] == plain["sqlite3"] == plain["labelled"] != plain["shorter"]
    assert digest(indices["labelled"], labels=True) != digest(indices["mcap"], labels=True)
    config = DataConfig(name="bag", root=str(paths["mcap"]), val_root=str(paths["labelled"]), cache_dir=str(tmp_path))
    assert bag_digests(config) == [digest(indices[name], labels=True) for name in ("mcap", "labelled")]


# --- parts ---


def config_of(root: object, keep: Path, **more: Any) -> DataConfig:
    return DataConfig(name="bag", root=str(root), cache_dir=str(keep), **more)


def test_parts_of_a_run_on_bags(tmp_path: Path) -> None:
    labels = [np.full(len(made), 3, np.uint8) for made in MADE]
    plain, labelled = write_bag(tmp_path / "plain"), write_bag(tmp_path / "labelled", labels=labels)
    config = config_of(plain, tmp_path, every=2, val_root=str(labelled))
    part = training_part(config, STREET)
    assert part.described == "bag plain, /points, one cloud in 2" and len(part.clouds) == 4
    assert part.clouds.scheme is STREET and part.digest == digest(open_bags(str(plain), None, tmp_path), labels=False)
    final = final_part(config)
    assert len(final.clouds) == 7 and (final.clouds[0].label == 3).all()
    assert why_not_scored(config, STREET) is None
    assert "bag plain, /points: no ground truth; --data.val_root" in str(
        why_not_scored(config_of(plain, tmp_path), STREET)
    )
    assert why_not_scored(config_of(labelled, tmp_path), STREET) is None
    why = str(why_not_scored(config_of(labelled, tmp_path), get_scheme("waymo")))
    assert why == "bag labelled, /points: its ground truth is of street, the classes learnt of waymo"
    truth = training_part(config_of(labelled, tmp_path, labels=True))
    assert (truth.clouds[4].label == 3).all()
    shared = training_part(config_of(plain, tmp_path, share=0.5), STREET)
    assert len(shared.clouds) == 4 and shared.described == "4 of 7 clouds of bag plain, /points"
    assert split_part("bag", "all", root=str(labelled), cache=tmp_path).clouds.scheme is STREET


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "drive")
    with BagWriter(tmp_path / "silent"):
        pass
    with BagWriter(tmp_path / "other") as writer:
        write_scheme(writer, "/points", "street", START_NS)
    flat = [replace(cloud(MADE[0]), data=b"")]
    write_clouds(tmp_path / "broken", {"/points": flat})

    def refused(kind: type[Exception], match: str, root: object, taught: Any = STREET, **more: Any) -> None:
        with pytest.raises(kind, match=match) as caught:
            training_part(config_of(root, tmp_path, **more), taught)
        assert "\n" not in str(caught.value)

    refused(BagError, "nowhere: no such file or folder", tmp_path / "nowhere")
    refused(BagError, "nowhere: no such file or folder", f"{path},{tmp_path / 'nowhere'}")
    refused(BagError, "silent: no message of .*PointCloud2; it holds nothing", tmp_path / "silent")
    refused(BagError, "other: no message of .*PointCloud2; it holds std_msgs/msg/String", tmp_path / "other")
    refused(CloudError, r"broken: /points at \d+ ns: data: 0 bytes", tmp_path / "broken")
    refused(ConfigError, "have no labels to learn from; .*srkd distill.*--data.labels true", path, None)
    refused(ConfigError, "drive, /points: no ground truth", path, None, labels=True)
    with pytest.raises(ConfigError, match=r"data\.every=0 takes no cloud"):
        config_of(path, tmp_path, every=0)
    for more in ({"topic": "/points"}, {"every": 2}, {"labels": True}, {"val_root": "x"}):
        with pytest.raises(ConfigError, match=r"is for bags, leave it out for street"):
            training_part(DataConfig(**more))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"data\.root is not set, bag needs a rosbag2"):
        DataConfig(name="bag")
    with pytest.raises(ConfigError, match="--topic /points is for bag, leave it out for street"):
        split_part("street", "val", topic="/points")


def test_a_bag_that_vanishes_is_named(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "drive")
    found = pickle.loads(pickle.dumps(opened(path, tmp_path)))
    shutil.rmtree(path)
    with pytest.raises(BagError, match="drive: no such file or folder"):
        found[0]
    write_bag(path, MADE[:2])
    with pytest.raises(BagError, match=r"drive: no message of /points at .* any more"):
        opened(path, tmp_path / "no") and found[5]


def test_the_words_of_a_command_line() -> None:
    full = ["--data.name", "bag", "--data.root", "a b,c"]
    assert spell_out(["--x", "1", "--data", "bag:a b,c", "--y"]) == ["--x", "1", *full, "--y"]
    assert spell_out(["--data=bag:a b,c"]) == full
    assert spell_out(["--data", "bag:d"], "data") == ["--data", "bag", "--data.root", "d"]
    for words in (["--data"], ["--data", "street"], ["--data", "x.yaml"], ["--other", "bag:x"], ["bag:x"]):
        assert spell_out(words) == words


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_workers_read_what_the_process_itself_reads(tmp_path: Path, storage: str) -> None:
    found = opened(write_bag(tmp_path / "drive", storage=storage), tmp_path)
    found[3]  # a bag that is open when workers are forked
    spec = InputSpec(0.5)
    batches = TrainingBatches(found, spec, small_ptv3().plan_spec, Augment(), batch_size=2, seed=0)
    alone = [batches[step] for step in range(6)]
    loader = training_loader(batches, steps=6, start=0, num_workers=2)
    for one, other in zip(alone, loader, strict=True):
        assert torch.equal(one.features, other.features) and one.names == other.names
        assert (other.label == 255).all()
    loader.close()
