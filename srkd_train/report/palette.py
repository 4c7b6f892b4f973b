# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Colours of the charts."""

from __future__ import annotations

INK, SOFT, BLUE, LIGHT_BLUE, AMBER, GREEN, RED = (
    "#10294a",
    "#8b94a7",
    "#2a6ab5",
    "#a3c8ec",
    "#eba23b",
    "#2f9e77",
    "#b3261e",
)
SERIES = (BLUE, AMBER, GREEN, "#8a5cc2", "#d0557a", "#3aa6b9", "#7a6a4f", SOFT)
"""Of inputs beside each other, in order."""
LAYERS = {
    "transport": ("DDS, both ways", "#b6bdca"),
    "wait": ("waiting for the frame before", AMBER),
    "decode": ("decode", "#cfe2f5"),
    "voxelize": ("voxelize", LIGHT_BLUE),
    "plan": ("plan", "#66a3dc"),
    "network": ("network", BLUE),
    "labels": ("labels", "#174a82"),
    "rest": ("encode, publish and the rest", INK),
}
"""Layers of the chart of latencies from the bottom up: stage to (name, colour); together they are the whole way."""
