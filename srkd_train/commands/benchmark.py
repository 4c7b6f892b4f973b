# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""`srkd benchmark`: how long a frame takes, stage by stage, and how far that is from what the machine allows."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from srkd.architectures import ARCHITECTURES, build_network
from srkd.cloud import Cloud
from srkd.errors import ConfigError
from srkd.header import Header
from srkd.intensity import match_intensity
from srkd.io.atomic import write_atomic
from srkd.io.files import find_clouds, read_cloud
from srkd.labels import get_scheme
from srkd.plan_build import build_plan
from srkd.progress import Progress
from srkd.segmenter import STAGES, Segmenter
from srkd.voxel import voxelize
from srkd_train.cli import EXIT_OK, add_runtime_arguments, load_segmenter, make_parser, table
from srkd_train.commands.convert import INPUTS
from srkd_train.machine import describe_machine, peak_memory_mib
from srkd_train.memory import keep_freed_memory
from srkd_train.workload import count_work, measure_rates


def main(argv: list[str]) -> int:
    """`srkd benchmark FILE... [--checkpoint PATH | --arch NAME --scheme NAME] [--output JSON]`."""
    parser = make_parser(
        "benchmark",
        "Times whole frames (file to labels) on your clouds. On a CPU the network's time is also held against a"
        " floor: the work its plan asks for, at the GEMM, exp and copy rates measured on this machine in the same run.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="clouds, or folders of clouds; they are taken in turn")
    parser.add_argument("--checkpoint", default=None, help="what to run; default: the bundled student-nano")
    parser.add_argument(
        "--arch", default=None, choices=list(ARCHITECTURES), help="run this network with random weights instead"
    )
    parser.add_argument("--scheme", default="nuscenes", choices=list(INPUTS), help="with --arch: its input and classes")
    parser.add_argument("--frames", type=int, default=20, help="frames to time")
    parser.add_argument("--warmup", type=int, default=3, help="frames before that")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads")
    parser.add_argument("--output", default=None, help="also write the figures as JSON")
    add_runtime_arguments(parser)
    args = parser.parse_args(argv)
    if args.frames < 1 or args.warmup < 0 or (args.threads is not None and args.threads < 1):
        raise ConfigError(
            f"--frames {args.frames} --warmup {args.warmup} --threads {args.threads}: give at least 1, 0 and 1"
        )
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    keep_freed_memory()
    options = {"device": args.device, "precision": args.precision, "backend": args.backend}
    if args.arch is None:
        segmenter = load_segmenter(args.checkpoint, args)
    else:
        segmenter = random_segmenter(args.arch, args.scheme, options)
    figures = benchmark(segmenter, find_clouds(args.files), frames=args.frames, warmup=args.warmup)
    sys.stdout.write(report(figures))
    if args.output is not None:
        write_atomic(args.output, [(json.dumps(figures, indent=2) + "\n").encode()])
    return EXIT_OK


def random_segmenter(arch: str, scheme_name: str, options: dict[str, Any]) -> Segmenter:
    """A network of an architecture with random weights of a fixed seed; its time is that of trained ones."""
    scheme, spec = get_scheme(scheme_name), INPUTS[scheme_name]
    torch.manual_seed(0)
    network = build_network(arch, scheme.num_classes, len(spec.features))
    return Segmenter(network, Header.of(network, arch, spec, scheme), **options)


def benchmark(segmenter: Segmenter, files: list[Path], *, frames: int, warmup: int) -> dict[str, Any]:
    """Times frames, reading included.

    Args:
        segmenter: what runs.
        files: clouds, taken in turn.
        frames: how many are timed.
        warmup: how many go before, untimed.

    Returns:
        Plain data: the machine, the network, milliseconds by stage (p50, p95, p99, mean), points, voxels, memory and,
        on a CPU, the floor.
    """
    progress = Progress(frames + warmup, "timed")
    stages: dict[str, list[float]] = {name: [] for name in ("decode", *STAGES, "total")}
    points, voxels = [], []
    for frame in range(-warmup, frames):
        start = time.perf_counter()
        cloud, _ = match_intensity(read_cloud(files[frame % len(files)]), segmenter.header.input)
        decoded = time.perf_counter()
        segmenter(cloud)
        done = time.perf_counter()
        progress.step()
        if frame < 0:
            continue
        stages["decode"].append((decoded - start) * 1e3)
        for name, value in segmenter.last_timing.items():
            stages[name].append(value)
        stages["total"].append((done - start) * 1e3)
        points.append(segmenter.last_frame.num_points)
        voxels.append(segmenter.last_frame.num_voxels)
    progress.close()
    figures: dict[str, Any] = {
        "machine": describe_machine(segmenter.device),
        "network": segmenter.header.architecture,
        "parameters": sum(parameter.numel() for parameter in segmenter.network.parameters()),
        "voxel_size_m": segmenter.header.input.voxel_size_m,
        "device": str(segmenter.device),
        "precision": segmenter.precision,
        "frames": frames,
        "clouds": sorted({file.name for file in files})[:20],
        "points": _summary(points),
        "voxels": _summary(voxels),
        "stage_ms": {name: _summary(values) for name, values in stages.items()},
        "plan_share": round(float(np.median(stages["plan"]) / np.median(stages["total"])), 4),
        "peak_memory_mib": peak_memory_mib(segmenter.device),
    }
    if segmenter.device.type == "cpu" and segmenter.precision == "fp32":
        figures["floor"] = floor(segmenter, files[0], float(np.median(stages["network"])))
    return figures


def floor(segmenter: Segmenter, file: Path, network_ms: float) -> dict[str, Any]:
    """The floor under the network's time on one cloud, and the ratio of ``network_ms`` to it."""
    cloud, _ = match_intensity(read_cloud(file), segmenter.header.input)
    kept: Cloud = cloud.select(np.flatnonzero(segmenter.header.input.valid_mask(cloud.xyz)))
    voxels = voxelize(torch.from_numpy(kept.xyz), segmenter.header.input.voxel_size_m)
    plan = build_plan(voxels.grid_coord, [voxels.grid_coord.shape[0]], segmenter.network.plan_spec)
    features = torch.from_numpy(segmenter.header.input.make_features(kept)).index_select(0, voxels.point)
    work = count_work(segmenter.network, features, plan)
    rates = measure_rates()
    limit = work.floor_ms(rates)
    return {
        "cloud": file.name,
        "work": asdict(work),
        "rates": asdict(rates),
        "floor_ms": {name: round(value, 2) for name, value in limit.items()},
        "network_over_floor": round(network_ms / limit["total"], 3),
    }


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    heading = ("stage", "p50 ms", "p95 ms", "p99 ms")
    rows = [
        (name, *(f"{values[key]:.1f}" for key in ("p50", "p95", "p99"))) for name, values in figures["stage_ms"].items()
    ]
    lines = [
        f"{figures['network']} ({figures['parameters']:,} parameters), {figures['device']}, {figures['precision']},"
        f" {figures['machine']['threads']} threads, {figures['machine']['processor']}",
        f"{figures['points']['p50']:.0f} points, {figures['voxels']['p50']:.0f} voxels of {figures['voxel_size_m']} m,"
        f" {figures['frames']} frames, peak {figures['peak_memory_mib']['process']:.0f} MiB",
        "",
        table([heading, *rows]),
        "",
        f"plan: {100 * figures['plan_share']:.1f} % of the frame",
    ]
    if "floor" in figures:
        limit, rates = figures["floor"]["floor_ms"], figures["floor"]["rates"]
        lines.append(
            f"network over floor: {figures['floor']['network_over_floor']:.2f} (floor {limit['total']:.0f} ms: GEMM"
            f" {limit['gemm']:.0f} at {rates['gemm_flop_per_s'] / 1e9:.0f} Gflop/s, exp {limit['exp']:.0f} at"
            f" {rates['exp_per_s'] / 1e9:.2f} G/s, copy {limit['copy']:.0f} at {rates['copy_bytes_per_s'] / 1e9:.1f}"
            " GB/s)"
        )
    return "\n".join(lines) + "\n"


def _summary(values: list[float] | list[int]) -> dict[str, float]:
    array = np.asarray(values, np.float64)
    quantiles = {name: float(np.percentile(array, q)) for name, q in (("p50", 50), ("p95", 95), ("p99", 99))}
    return {key: round(value, 3) for key, value in {**quantiles, "mean": float(array.mean())}.items()}
