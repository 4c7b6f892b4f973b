# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The look that all pages share: style, document and the parts that need no chart."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

_STYLE = """
:root{--ink:#141b2b;--soft:#5b667a;--line:#e3e7ee;--blue:#2a6ab5;--good:#19744b;--bad:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:#f4f6f9;color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1120px;margin:0 auto;padding:44px 24px 72px}
h1{font-size:34px;line-height:1.15;letter-spacing:-.02em;margin:0 0 10px}
h2{font-size:20px;letter-spacing:-.01em;margin:0 0 4px}
h2.input{font-size:27px;letter-spacing:-.02em;margin:60px 0 4px;overflow-wrap:anywhere}
h3{font-size:16px;margin:26px 0 2px}
p{margin:0 0 14px;color:var(--soft);max-width:78ch}
p b,li b{color:var(--ink);font-weight:600}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
.verdict{display:inline-block;padding:3px 12px;border-radius:99px;font-size:14px;font-weight:600;margin-bottom:14px}
.good{background:#dcf1e6;color:var(--good)}.bad{background:#fbe3e1;color:var(--bad)}
ul.bad{border-radius:10px;padding:12px 12px 12px 32px;margin:6px 0 18px}
ul.absent{margin:16px 0 0;padding:0 0 0 18px;color:var(--soft);font-size:14.5px}
section{background:#fff;border:1px solid var(--line);border-radius:14px;padding:24px 26px;margin-top:20px}
.tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin-top:26px}
.tile{background:#fff;border:1px solid var(--line);border-radius:14px;padding:16px 20px}
.tile small{display:block;color:var(--soft);font-size:13.5px}
.tile strong{display:block;font-size:31px;line-height:1.25;letter-spacing:-.02em;font-weight:650}
.tile strong span{font-size:17px;font-weight:500;color:var(--soft);letter-spacing:0;margin-left:3px}
figure{margin:18px 0 0}figure img{display:block;max-width:100%;height:auto;border-radius:10px}
figure img+img{margin-top:6px}
figcaption{font-size:14px;color:var(--soft);margin-top:6px}
svg{display:block;width:100%;height:auto;margin-top:10px}
svg text{font:12.5px system-ui,sans-serif;fill:#5b667a}
svg text.on-dark{fill:#fff}svg text.name{fill:#141b2b}
.grid{stroke:#e8ebf1}
.budget{stroke:#b3261e;stroke-dasharray:5 4}
.ideal{stroke:#eba23b;stroke-width:2;stroke-dasharray:6 4}
svg .budget-text{fill:#b3261e;paint-order:stroke;stroke:#fff;stroke-width:4px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13.5px;color:var(--soft);margin:6px 0 22px 70px}
.legend:last-child{margin-bottom:0}
i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:7px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14.5px;font-variant-numeric:tabular-nums;margin-top:10px}
th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child{text-align:left;font-weight:400;padding-left:0}
thead th{color:var(--soft);font-weight:500;font-size:13px;line-height:1.3;white-space:normal;vertical-align:bottom}
thead th:first-child{font-weight:500}
td.left,th.left{text-align:left}td b{font-weight:650}
.bar{width:46%;text-align:left}tr.strong th,tr.strong td{font-weight:650}
.track{position:relative;height:11px;background:#eef1f6;border-radius:4px}
.track>div{height:100%;border-radius:4px;min-width:1px}
.track b{position:absolute;top:-3px;width:2px;height:17px;background:var(--ink);opacity:.55}
.way{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin:16px 0 4px}
.way div{background:#f4f6f9;border-radius:10px;padding:10px 16px}
.way strong{display:block;font-size:23px}.way small{color:var(--soft)}
.small{display:grid;grid-template-columns:repeat(3,1fr);gap:18px 26px;margin-top:14px}
.small h3{margin:0;font-size:15px}.small p{margin:0;font-size:13.5px}.small svg{margin-top:4px}
.pair svg{max-width:560px}.pair{display:grid;grid-template-columns:3fr 2fr;gap:32px;align-items:center}
dl{display:grid;grid-template-columns:max-content 1fr;gap:5px 24px;margin:12px 0 0;font-size:14.5px}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:760px){.tiles,.way,.small{grid-template-columns:1fr 1fr}section{padding:18px}
dl,.pair{grid-template-columns:1fr}
svg.wide text{font-size:16px}.bar{width:30%}table{font-size:14px}th,td{padding:5px 6px}
dd{margin-bottom:6px}.legend{margin-left:0}}
@media print{body{background:#fff}section,.tile,figure{break-inside:avoid}}
"""


@dataclass(frozen=True)
class Picture:
    """One or several PNG files below each other, with what they show."""

    png: bytes
    caption: str
    more: tuple[bytes, ...] = ()


def document(title: str, body: str, generator: str) -> str:
    """A whole page that loads nothing and runs nothing.

    Args:
        title: of the window.
        body: HTML.
        generator: the <meta> element that says which command made it.
    """
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
{generator}
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{escape(title)}</title><style>{_STYLE}</style></head>
<body><main>{body}</main></body></html>
"""


def section(title: str, text: str, *parts: str) -> str:
    """A card: heading, one paragraph (HTML, may be empty), and what follows."""
    paragraph = f"<p>{text}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>\n{paragraph}{''.join(parts)}</section>\n"


def tile(name: str, value: str, unit: str) -> str:
    """A figure that stands out."""
    return f'<div class="tile"><small>{name}</small><strong>{value}<span>{unit}</span></strong></div>'


def station(name: str, value: int) -> str:
    """A count on the way of the frames."""
    return f"<div><strong>{value}</strong><small>{name}</small></div>"


def figure(picture: Picture) -> str:
    """Pictures with their caption."""
    caption = escape(picture.caption)
    images = "".join(
        f'<img alt="{caption}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
        for png in (picture.png, *picture.more)
    )
    return f"<figure>{images}<figcaption>{caption}</figcaption></figure>"


def facts(values: Mapping[str, str]) -> str:
    """Names and values below each other."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in values.items())}</dl>"


def absent(lines: Sequence[str]) -> str:
    """What is left out, a line each; nothing where nothing is."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="absent">{items}</ul>' if lines else ""
