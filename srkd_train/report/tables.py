# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of a page: scores by class, milliseconds by stage, and plain ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from srkd_train.report.numbers import grouped, missing, number, percent
from srkd_train.report.palette import INK, LAYERS

Color = tuple[int, int, int]
_STAGE_NAMES = {
    "end_to_end": "end to end",
    "total": "in the node",
    "age": "from the cloud's stamp",
    "transport": "DDS, both ways",
    "wait": "waiting",
}


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML; the first column is left-aligned. On a narrow page it can be pushed sideways."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    body = "".join(f"<tr><th>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def stage_table(latency_ms: Mapping[str, Mapping[str, float | None]]) -> str:
    """Percentiles by stage as a table with a bar for p50 and a mark at p95."""
    largest = max((row["p95"] or 0.0 for row in latency_ms.values()), default=0.0) or 1.0
    rows = []
    for name, row in latency_ms.items():
        strong = ' class="strong"' if name in ("end_to_end", "total") else ""
        color = LAYERS.get(name, ("", INK))[1]
        cells = "".join(f"<td>{number(row[key])}</td>" for key in ("p50", "p95", "p99"))
        bar = _bar((row["p50"] or 0) / largest, color, mark=(row["p95"] or 0) / largest)
        rows.append(f'<tr{strong}><th>{_STAGE_NAMES.get(name, name)}</th><td class="bar">{bar}</td>{cells}</tr>')
    percentiles = "<th>p50 ms</th><th>p95 ms</th><th>p99 ms</th>"
    head = f"<tr><th>stage</th><th class='bar'>p50, mark at p95</th>{percentiles}</tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def class_table(score: Mapping[str, Any], colors: Mapping[str, Color]) -> str:
    """IoU, accuracy and points by class, the most frequent first; classes that do not occur are at the end.

    Args:
        score: `Score.to_dict()`.
        colors: red, green and blue of each class.
    """
    rows = []
    for name in sorted(score["iou"], key=lambda name: -score["points"][name]):
        iou, accuracy, points = score["iou"][name], score["accuracy"][name], score["points"][name]
        rows.append(
            f'<tr><th>{class_name(name, colors)}</th><td class="bar">{_bar(iou or 0.0, _css(colors[name]))}</td>'
            f"<td>{percent(iou)}</td><td>{percent(accuracy)}</td><td>{grouped(points)}</td></tr>"
        )
    rows.append(
        f'<tr class="strong"><th>mean</th><td class="bar">{_bar(score["miou"] or 0.0, INK)}</td>'
        f"<td>{percent(score['miou'])}</td><td>{percent(score['macc'])}</td>"
        f"<td>{grouped(score['counted_points'])}</td></tr>"
    )
    head = "<tr><th>class</th><th class='bar'></th><th>IoU %</th><th>accuracy %</th><th>points</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def share_table(points: Mapping[str, int], colors: Mapping[str, Color]) -> str:
    """Points by class and their share, the most frequent first; classes without a point are left out."""
    total = max(sum(points.values()), 1)
    largest = max(points.values(), default=0) / total or 1.0
    rows = [
        f'<tr><th>{class_name(name, colors)}</th><td class="bar">{_bar(count / total / largest, _css(colors[name]))}'
        f"</td><td>{percent(count / total)}</td><td>{grouped(count)}</td></tr>"
        for name, count in sorted(points.items(), key=lambda item: -item[1])
        if count
    ]
    head = "<tr><th>class</th><th class='bar'></th><th>of points %</th><th>points</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def iou_table(
    columns: Mapping[str, Mapping[str, float | None]], colors: Mapping[str, Color], means: Mapping[str, float | None]
) -> str:
    """IoU by class of several inputs beside each other, the best of each class in bold.

    Args:
        columns: heading to IoU by class, all of the same classes.
        colors: red, green and blue of each class.
        means: heading to mean IoU.
    """
    names = list(next(iter(columns.values())))
    rows = []
    for label, values in [
        *((class_name(name, colors), [column[name] for column in columns.values()]) for name in names),
        ("<b>mean</b>", [means[heading] for heading in columns]),
    ]:
        best = max((value for value in values if value is not None and not missing(value)), default=None)
        cells = [
            f"<b>{percent(value)}</b>" if value is not None and value == best else percent(value) for value in values
        ]
        rows.append([label, *cells])
    return plain_table(["IoU %", *(escape(heading) for heading in columns)], rows)


def class_name(name: str, colors: Mapping[str, Color]) -> str:
    """A class with its colour."""
    return f'<i style="background:{_css(colors[name])}"></i>{escape(name.replace("_", " "))}'


def _css(color: Color) -> str:
    red, green, blue = color
    return f"rgb({red} {green} {blue})"


def _bar(share: float, color: str, *, mark: float | None = None) -> str:
    tick = "" if mark is None else f'<b style="left:{100 * min(mark, 1):.1f}%"></b>'
    return f'<div class="track"><div style="width:{100 * min(share, 1):.1f}%;background:{color}"></div>{tick}</div>'
