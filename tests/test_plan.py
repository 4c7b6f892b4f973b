# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Geometry plans against dictionaries and hand-worked patches, and the promises that batches and copies rest on."""

import copy
import io
import pickle
from collections.abc import Sequence

import pytest
import torch
from naive_curves import naive_code
from small_networks import features_of, plan_of, small_ptv3, voxels
from torch.utils import _pytree

from srkd.curves import CURVES
from srkd.errors import CloudError
from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import MAX_CLOUDS, build_plan
from srkd.plan_extension import extend_plan

SPEC = PlanSpec(
    4,
    frozenset({(0, 5), (0, 3), (1, 3), (2, 3), (3, 3)}),
    frozenset((stage, curve, 8) for stage in range(4) for curve in CURVES),
)


def line(count: int) -> torch.Tensor:
    """Voxels 0 ... count - 1 of the z axis: every curve but the Hilbert ones visits them in order."""
    return torch.stack([torch.zeros(count), torch.zeros(count), torch.arange(count)], dim=1).to(torch.int32)


def build(clouds: Sequence[torch.Tensor], spec: PlanSpec = SPEC, **arguments: object) -> GeometryPlan:
    ends = torch.tensor([len(cloud) for cloud in clouds]).cumsum(0).tolist()
    return build_plan(torch.cat(list(clouds)), ends, spec, **arguments)  # type: ignore[arg-type]


def same(one: GeometryPlan, other: GeometryPlan) -> bool:
    return (
        one.orders == other.orders
        and list(one.tables) == list(other.tables)
        and all(
            torch.equal(one.tables[name], other.tables[name]) and other.tables[name].dtype == torch.int32
            for name in one.tables
        )
    )


def test_rows_are_the_cells_of_every_stride_sorted_by_cloud_and_z_code() -> None:
    clouds = [voxels(200, 0, 12), voxels(30, 1, 5), voxels(90, 2, 20)]
    plan = build(clouds)
    assert (plan.num_stages, plan.num_clouds) == (4, 3)
    for stage in range(4):
        expected = [
            (number, *cell)
            for number, cloud in enumerate(clouds)
            for cell in sorted(
                {tuple(v >> stage for v in voxel) for voxel in cloud.tolist()}, key=lambda c: naive_code(c, "z", 16)
            )
        ]
        found = torch.cat([plan.batch(stage).unsqueeze(1), plan.coord(stage)], dim=1).tolist()
        assert [tuple(row) for row in found] == expected and plan.num_rows(stage) == len(expected)
        counts = [sum(row[0] == number for row in expected) for number in range(3)]
        assert plan.offsets(stage).tolist() == [0, counts[0], counts[0] + counts[1], sum(counts)]


def test_a_row_lies_in_its_parent() -> None:
    plan = build([voxels(200, 0, 12), voxels(90, 2, 20)])
    for stage in range(3):
        for ancestor in range(stage + 1, 4):
            parent = plan.parent(stage, ancestor)
            assert torch.equal(plan.coord(ancestor)[parent], plan.coord(stage) >> (ancestor - stage))
            assert torch.equal(plan.batch(ancestor)[parent], plan.batch(stage))


def test_input_order_and_rows_undo_each_other() -> None:
    clouds = [voxels(50, 0), voxels(60, 1)]
    plan = build(clouds)
    order, rows = plan.input_order(), plan.input_rows()
    assert order is not None and rows is not None
    assert torch.equal(torch.cat(clouds)[order], plan.coord(0)) and torch.equal(plan.coord(0)[rows], torch.cat(clouds))
    in_order = build([plan.coord(0)[plan.batch(0) == number] for number in (0, 1)])
    assert in_order.input_order() is None and in_order.input_rows() is None
    assert all(torch.equal(in_order.tables[name], plan.tables[name]) for name in in_order.tables)


@pytest.mark.parametrize("depth", [None, 4, 5, 16])
@pytest.mark.parametrize("curve", CURVES)
def test_patches_follow_the_curve_at_every_stage(curve: str, depth: int | None) -> None:
    clouds = [voxels(100, 0, 10), voxels(20, 1, 4)]
    plan = build(clouds, depth=depth)
    depths = [depth or int(cloud.max()).bit_length() for cloud in clouds]
    for stage in range(4):
        patches = plan.patches(stage, curve, 8)
        walk = patches.rows.reshape(-1)
        lengths = torch.full((len(patches.rows),), 8) if patches.lengths is None else patches.lengths
        at = 0
        for number, (cloud, bits) in enumerate(zip(clouds, depths, strict=True)):
            member = {tuple(v >> stage for v in voxel): voxel for voxel in cloud.tolist()}
            expected = sorted(member, key=lambda cell: naive_code(member[cell], curve, bits) >> 3 * stage)
            found = walk[at : at + len(expected)]
            assert [tuple(cell) for cell in plan.coord(stage)[found].tolist()] == expected
            assert (plan.batch(stage)[found] == number).all()
            at += -(-len(expected) // patches.rows.shape[1]) * patches.rows.shape[1]
        assert at == len(walk) and bool((lengths > 0).all())
        assert torch.equal(walk[patches.slots], torch.arange(plan.num_rows(stage), dtype=torch.int32))


def test_patches_by_hand() -> None:
    """Clouds of 10, 3, 8 and 9 voxels along a line, patches of 4: the last one is filled from the patch before."""
    spec = PlanSpec(1, frozenset(), frozenset({(0, "z", 4)}))
    patches = build([line(10), line(3), line(8), line(9)], spec).patches(0, "z", 4)
    assert patches.rows.tolist() == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 6, 7],
        [10, 11, 12, 10],
        [13, 14, 15, 16],
        [17, 18, 19, 20],
        [21, 22, 23, 24],
        [25, 26, 27, 28],
        [29, 26, 27, 28],
    ]
    assert patches.lengths is not None and patches.lengths.tolist() == [4, 4, 4, 3, 4, 4, 4, 4, 4]
    assert patches.slots.tolist() == [*range(10), 12, 13, 14, *range(16, 24), *range(24, 33)]
    mask = patches.key_mask()
    assert mask is not None and mask.shape == (9, 1, 1, 4)
    assert mask[3].flatten().tolist() == [True, True, True, False] and bool(mask[torch.arange(9) != 3].all())


def test_patches_are_no_wider_than_the_largest_cloud() -> None:
    spec = PlanSpec(1, frozenset(), frozenset({(0, "z", 1024)}))
    short = build([line(5), line(2)], spec).patches(0, "z", 1024)
    assert short.rows.shape == (2, 5) and short.lengths is not None and short.lengths.tolist() == [5, 2]
    full = build([line(5), line(5)], spec).patches(0, "z", 1024)
    assert full.rows.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]] and full.lengths is None and full.key_mask() is None


@pytest.mark.parametrize("count", [1, 2, 9, 50])
def test_tiny_clouds_alone_and_beside_a_larger_one(count: int) -> None:
    tiny, large = voxels(count, count, 4), voxels(300, 0, 12)
    alone, beside = build([tiny]), build([large, tiny])
    for stage in range(4):
        start = int(beside.offsets(stage)[1])
        assert torch.equal(beside.coord(stage)[start:], alone.coord(stage))
        table, shared = alone.neighbours(stage, 3), beside.neighbours(stage, 3)[start:]
        occupied = table < alone.num_rows(stage)
        assert torch.equal(occupied, shared < beside.num_rows(stage))
        assert torch.equal(table[occupied] + start, shared[occupied])
        for curve in CURVES:
            own, other = alone.patches(stage, curve, 8), beside.patches(stage, curve, 8)
            walk, within = own.rows.view(-1)[own.slots.sort().values.long()], other.slots[start:].sort().values.long()
            assert torch.equal(walk + start, other.rows.view(-1)[within])


def test_an_empty_cloud_in_a_batch_has_no_rows() -> None:
    plan = build([voxels(20, 0), line(0), voxels(9, 2)])
    assert plan.num_clouds == 3
    for stage in range(4):
        offsets = plan.offsets(stage).tolist()
        assert offsets[1] == offsets[2] < offsets[3] == plan.num_rows(stage)
        assert 1 not in plan.batch(stage).tolist()


def test_a_depth_makes_clouds_follow_one_curve() -> None:
    clouds = [voxels(60, 0, 3), voxels(200, 1, 16)]
    free, fixed = build(clouds), build(clouds, depth=4)
    rows = {name: plan.patches(0, "hilbert", 8).rows[0].tolist() for name, plan in (("free", free), ("fixed", fixed))}
    assert rows["free"] != rows["fixed"]
    # Depths equal modulo three order alike.
    assert torch.equal(build(clouds, depth=7).patches(0, "hilbert", 8).rows, fixed.patches(0, "hilbert", 8).rows)


@pytest.mark.parametrize(
    ("grid", "ends", "depth", "message"),
    [
        ([[0, 0, 0], [0, -1, 0]], [2], None, "coordinate -1 is negative"),
        ([[0, 0, 65536]], [1], None, "65536 needs 17 bits, the limit is 16"),
        ([[0, 0, 8]], [1], 3, "8 needs 4 bits, the limit is 3"),
        ([[0, 0, 0]], [1], 17, "depth is 17, expected 0 to 16"),
        ([[0, 0, 0]], [1], -1, "depth is -1, expected 0 to 16"),
        ([[0, 0, 0], [0, 0, 0]], [2], None, r"voxel \[0, 0, 0\] occurs more than once"),
        ([[0, 0, 1], [7, 5, 3], [0, 0, 2], [7, 5, 3]], [4], None, r"voxel \[7, 5, 3\] occurs more than once"),
        ([[0, 0, 0], [0, 0, 1]], [1], None, "do not cut 2 voxels"),
        ([[0, 0, 0], [0, 0, 1]], [2, 1], None, "do not cut 2 voxels"),
        ([[0, 0, 0], [0, 0, 1]], [], None, "do not cut 2 voxels"),
        ([], [0], None, "do not cut 0 voxels"),
        ([[0, 0, 0]], [1] * (MAX_CLOUDS + 1), None, "clouds in one plan"),
    ],
)
def test_refusals(grid: list[list[int]], ends: list[int], depth: int | None, message: str) -> None:
    with pytest.raises(CloudError, match=message) as caught:
        build_plan(torch.tensor(grid, dtype=torch.int32).reshape(-1, 3), ends, SPEC, depth=depth)
    assert "\n" not in str(caught.value)


def test_equal_voxels_of_two_clouds_are_no_mistake() -> None:
    assert build([line(3), line(3)]).coord(0).tolist() == [*line(3).tolist(), *line(3).tolist()]


def test_what_the_spec_left_out_is_named() -> None:
    plan = build([line(4)], PlanSpec(1, frozenset({(0, 3)}), frozenset({(0, "z", 8)})))
    with pytest.raises(KeyError, match=r"neighbours/0/5.*kernels"):
        plan.neighbours(0, 5)
    with pytest.raises(KeyError, match=r"patch/0/hilbert/8.*patches"):
        plan.patches(0, "hilbert", 8)


def test_a_union_serves_all_and_all_curves_adds_the_missing_ones() -> None:
    small = PlanSpec(2, frozenset({(0, 3)}), frozenset({(0, "z", 8), (1, "z", 8)}))
    other = PlanSpec(3, frozenset({(2, 3)}), frozenset({(2, "hilbert", 16)}))
    union = small.union(other)
    assert union == other.union(small) and union.num_stages == 3
    assert union.kernels == small.kernels | other.kernels and union.patches == small.patches | other.patches
    expected = {(stage, curve, size) for stage, size in ((0, 8), (1, 8), (2, 16)) for curve in CURVES}
    assert union.all_curves().patches == expected and union.all_curves().kernels == union.kernels


def test_shuffled_orders_are_permutations_drawn_by_the_generator() -> None:
    plans = [build([line(9)], shuffle=torch.Generator().manual_seed(seed), num_streams=2) for seed in (0, 0, 1)]
    assert plans[0].orders == plans[1].orders != plans[2].orders
    assert len(plans[0].orders) == 2 and all(len(stream) == 4 for stream in plans[0].orders)
    assert all(sorted(order) == [0, 1, 2, 3] for stream in plans[0].orders for order in stream)
    for stream, stage, index in ((0, 0, 0), (1, 3, 2), (1, 1, 5)):
        assert plans[0].curve(index, stage, stream) == CURVES[plans[0].orders[stream][stage][index % 4]]
    assert [build([line(9)]).curve(index, 2, 1) for index in range(6)] == [*CURVES, *CURVES[:2]]


def test_copies_through_pickle_deepcopy_and_pytree_are_equal() -> None:
    plan = build([voxels(60, 0), voxels(9, 1)], shuffle=torch.Generator().manual_seed(1))
    plan.pairs(0, 3)
    for copied in (pickle.loads(pickle.dumps(plan)), copy.deepcopy(plan), plan.to("cpu")):
        assert same(plan, copied)
    leaves, spec = _pytree.tree_flatten(plan)
    assert all(isinstance(leaf, torch.Tensor) for leaf in leaves) and len(leaves) == len(plan.tables)
    back = _pytree.tree_unflatten(leaves, spec)
    assert isinstance(back, GeometryPlan) and same(plan, back)
    assert _pytree.tree_map(lambda table: table + 1, plan).num_rows(0) == plan.num_rows(0)


def test_a_plan_is_pickled_as_one_tensor() -> None:
    class Counting(pickle.Pickler):
        tensors = 0

        def persistent_id(self, obj: object) -> None:
            self.tensors += isinstance(obj, torch.Tensor)

    plan = build([voxels(60, 0)])
    counting = Counting(io.BytesIO())
    counting.dump(plan)
    assert counting.tensors == 1 and len(plan.tables) > 20


def test_a_move_keeps_shapes_orders_and_types() -> None:
    plan = build([voxels(60, 0)], shuffle=torch.Generator().manual_seed(1))
    moved = plan.to("meta")
    assert moved.device.type == "meta" and moved.orders == plan.orders
    assert {name: table.shape for name, table in moved.tables.items()} == {
        name: table.shape for name, table in plan.tables.items()
    }
    assert all(table.dtype == torch.int32 for table in moved.tables.values())
    assert plan.to("cpu") is plan


def test_pair_lists_are_derived_once() -> None:
    plan = build([voxels(60, 0)])
    assert plan.pairs(0, 3) is plan.pairs(0, 3)
    assert pickle.loads(pickle.dumps(plan))._memo == {}


def test_voxels_in_any_order_get_the_same_logits() -> None:
    network = small_ptv3()
    clouds = [voxels(70, 0), voxels(9, 1)]
    features = features_of(79, 0)
    mixed = torch.cat([torch.randperm(70), 70 + torch.randperm(9)])
    with torch.no_grad():
        plain = network(features, plan_of(clouds, network))
        other = network(
            features[mixed], plan_of([torch.cat(clouds)[mixed][:70], torch.cat(clouds)[mixed][70:]], network)
        )
    assert torch.equal(plain[mixed], other)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("first_stages", [2, 4])
def test_an_extended_plan_is_that_of_the_union(lists: bool, first_stages: int) -> None:
    first = PlanSpec(first_stages, frozenset({(0, 5), (1, 3)}), frozenset({(0, "z", 8), (1, "hilbert", 8)}))
    second = PlanSpec(3, frozenset({(0, 3), (1, 3), (2, 3)}), frozenset({(0, "z-trans", 8), (1, "hilbert", 5)}))
    clouds = [voxels(200, 0, 12), voxels(7, 2, 20)]
    plan = build(clouds, first, lists=lists)
    before = dict(plan.tables)
    extended, union = extend_plan(plan, second, lists=lists), build(clouds, first.union(second), lists=lists)
    assert set(extended.tables) == set(union.tables) and plan.tables == before
    for name, table in union.tables.items():
        kind, *where = name.split("/")
        if kind in ("read", "tap"):  # a row's neighbours, in any order
            stage, kernel = map(int, where)
            assert torch.equal(extended.neighbours(stage, kernel), union.neighbours(stage, kernel))
        else:
            assert torch.equal(extended.tables[name], table), name
    assert all(extended.tables[name] is table for name, table in before.items()), "nothing is computed again"
    assert extend_plan(extended, second, lists=lists) is extended
