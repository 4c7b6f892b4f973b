# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Clouds from above: truth, baseline, distilled student and teacher (Figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from srkd.segmenter import Segmenter
from srkd_train.data.catalog import final_part
from srkd_train.data.dense_part import raw_part
from srkd_train.data.order import spread_indices
from srkd_train.experiments.outcome import weights_of
from srkd_train.experiments.pool import Pool
from srkd_train.experiments.rows import gap
from srkd_train.experiments.setup import Setup
from srkd_train.experiments.table import write_figures
from srkd_train.machine import describe_machine
from srkd_train.picture import side_by_side

_CLOUDS = 3


def draw_pictures(setup: Setup, pool: Pool, folder: Path, *, command: Sequence[str]) -> list[Path]:
    """Trains what is not trained yet for the first seed, and draws clouds of the final evaluation.

    `setup.values` are the numbers of the clouds; by default three, spread.

    Raises:
        SrkdError, Stopped: see :meth:`Pool.complete`; matplotlib is not installed.
    """
    seed = setup.seeds[0]
    runs = {row.series: row.runs[seed] for row in gap(setup)[:3]}
    results = pool.complete(list(runs.values()))
    order = ("baseline", "distilled", "teacher")
    device = "cpu" if setup.base.trainer.accelerator == "cpu" else "auto"
    segmenters = {name: Segmenter.load(weights_of(runs[name], results), device=device) for name in order}
    part = raw_part(final_part(setup.base.data), setup.base.data.raw_share)
    indices = list(map(int, setup.values)) if setup.values else spread_indices(len(part.clouds), _CLOUDS)
    indoors = setup.base.data.name == "scannet"
    written, entries = [], []
    for index in indices:
        sample = part.clouds[index]
        predictions = {name: segmenter(sample.cloud).class_id for name, segmenter in segmenters.items()}
        path = folder / f"pictures_{index:04d}.png"
        extent_m = 5.0 if indoors else 50.0
        side_by_side(sample.cloud.xyz, sample.label, predictions, part.clouds.scheme, path, half_extent_m=extent_m)
        written.append(path)
        entries.append({"index": index, "cloud": sample.name, "file": path.name})
    title = "Truth, baseline, distilled student, teacher"
    figures = {
        "title": title,
        "experiment": "pictures",
        "command": list(command),
        "machine": describe_machine(),
        "seed": seed,
        "data": part.described,
        "runs": {name: results[runs[name]].path.name for name in order},
        "pictures": entries,
    }
    lines = [f"# {title}", "", f"Seed {seed}; {part.described}.", ""]
    lines += [f"![{entry['cloud']}]({entry['file']})" for entry in entries]
    return [*write_figures(folder, "pictures", figures, "\n".join(lines) + "\n", None), *written]
