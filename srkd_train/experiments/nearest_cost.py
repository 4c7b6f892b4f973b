# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long the search for nearest points takes: one scan of a street against ten others of it, brought together."""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, default_rng

from srkd_train.losses.nearest import nearest

_QUERIES, _POINTS, _SCANS = 50_000, 500_000, 10
_RADII_M = (0.05, 0.4)


def time_nearest(device: torch.device, *, repeats: int) -> dict[str, Any]:
    """Seconds of a search by radius in metres, with the threads that there are and on a CPU with one as well; plain
    JSON values.

    Args:
        device: where the points lie.
        repeats: searches of each kind.
    """
    rng = default_rng(0)
    query = _scan(rng, _QUERIES, 0.0).to(device)
    others = [_scan(rng, _POINTS // _SCANS, at) for at in np.linspace(-8, 8, _SCANS)]
    points = torch.cat(others).to(device)
    threads = torch.get_num_threads()
    found: dict[str, Any] = {"queries": _QUERIES, "points": _POINTS, "threads": threads, "search": []}
    for radius_m in _RADII_M:
        times, share = _search_s(query, points, radius_m, repeats)
        entry = {"radius_m": radius_m, "found": round(share, 3), "search_s": times}
        if device.type == "cpu":
            torch.set_num_threads(1)
            entry["search_s_one_thread"], _ = _search_s(query, points, radius_m, repeats)
            torch.set_num_threads(threads)
        found["search"].append(entry)
    return found


def nearest_line(figures: dict[str, Any]) -> str:
    """A sentence of Markdown."""
    parts = []
    for entry in figures["search"]:
        alone = f" ({1e3 * entry['search_s_one_thread']:.0f} with one)" if "search_s_one_thread" in entry else ""
        parts.append(f"{1e3 * entry['search_s']:.0f} ms{alone} within {entry['radius_m']} m")
    counts = f"{figures['queries']:,} queries among {figures['points']:,} points, {figures['threads']} threads"
    return f"Nearest points, {counts}: {', '.join(parts)}."


def _search_s(query: torch.Tensor, points: torch.Tensor, radius_m: float, repeats: int) -> tuple[float, float]:
    """Median seconds of a search after a first one, and the share of queries that found a point."""
    taken, share = [], 0.0
    for _ in range(1 + repeats):
        start = time.perf_counter()
        found = nearest(query, points, query_offsets=[len(query)], point_offsets=[len(points)], radius_m=radius_m)
        share = float((found.index >= 0).double().mean())  # waits for a GPU
        taken.append(time.perf_counter() - start)
    return round(statistics.median(taken[1:]), 5), share


def _scan(rng: Generator, count: int, at_m: float) -> torch.Tensor:
    """(count, 3) points of an uneven ground between two walls, as dense as a spinning sensor `at_m` down the street
    sees them: evenly spread over directions and over the logarithm of the range."""
    reach = np.exp(rng.uniform(np.log(2.5), np.log(70), count))
    angle = rng.uniform(-np.pi, np.pi, count)
    x, y = reach * np.cos(angle) + at_m, reach * np.sin(angle)
    z = -1.7 + 0.1 * np.sin(x / 5) * np.cos(y / 7) + 0.02 * rng.standard_normal(count)
    wall = rng.random(count) < 0.4
    z[wall] = rng.uniform(-1.7, 4, wall.sum())
    y[wall] = np.sign(y[wall]) * (8 + 0.02 * rng.standard_normal(wall.sum()))
    return torch.from_numpy(np.stack([x, y, z], 1).astype(np.float32))
