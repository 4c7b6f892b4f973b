# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A plan that serves one network, made to serve another: only what is missing is computed."""

from __future__ import annotations

from dataclasses import replace

from srkd.plan import GeometryPlan, PlanSpec
from srkd.plan_build import build_plan


def extend_plan(plan: GeometryPlan, spec: PlanSpec, *, depth: int | None = None, lists: bool = False) -> GeometryPlan:
    """The plan with all that it holds and all that a spec wants, as if built for the union of both specs; lists may
    hold the neighbours of a row in another order.

    Args:
        plan: is not changed, and shares its tables with the result.
        spec: the tables wanted.
        depth, lists: those with which the plan was built, see :func:`srkd.plan_build.build_plan`.

    Returns:
        The same plan where it lacks nothing.
    """
    held, around = plan.tables, "read" if lists else "neighbours"
    missing = PlanSpec(
        max(spec.num_stages, plan.num_stages),
        frozenset((stage, size) for stage, size in spec.kernels if f"{around}/{stage}/{size}" not in held),
        frozenset(
            (stage, curve, size) for stage, curve, size in spec.patches if f"patch/{stage}/{curve}/{size}" not in held
        ),
    )
    if not missing.kernels and not missing.patches and missing.num_stages == plan.num_stages:
        return plan
    ends = plan.offsets(0)[1:].tolist()
    found = build_plan(plan.coord(0), ends, missing, depth=depth, lists=lists)
    return replace(plan, tables={**found.tables, **held}, _memo=dict(plan._memo))
