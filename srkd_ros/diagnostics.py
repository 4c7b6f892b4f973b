# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the node is doing, as a level, a line and fixed keys: plain functions, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from srkd.intensity import POORER
from srkd_ros.counts import OUTCOMES, Counts, PastCounts
from srkd_ros.vitals import WINDOW_S, Reading

OK, WARN, ERROR = 0, 1, 2
"""Levels of diagnostic_msgs/DiagnosticStatus."""


@dataclass(frozen=True)
class Limits:
    """Above which the node is not well; the fields are the parameters of these names."""

    input_timeout_s: float
    latency_warn_ms: float
    latency_error_ms: float


@dataclass(frozen=True)
class Health:
    """All that a status is made from."""

    state: str
    """Label of the lifecycle state."""
    failure: str
    """Why the last transition failed; empty where it did not."""
    model: str
    """File name of the network; empty where none is loaded."""
    device: str
    precision: str
    input_name: str
    """Private name of the input, e.g. ~/input/points."""
    input_topic: str
    """What that is remapped to."""
    publishers: int
    """Who publish the input, fit or unfit."""
    unheard: tuple[str, ...]
    """Publishers of the input that this node cannot hear, a line each, with what to change."""
    unserved: tuple[str, ...]
    """Subscribers of its outputs that cannot hear this node; likewise."""
    counts: Counts
    reading: Reading
    limits: Limits
    past: PastCounts = field(default_factory=PastCounts)


@dataclass(frozen=True)
class Status:
    """One status of /diagnostics."""

    level: int
    message: str
    values: dict[str, str]
    """The same keys in the same order always."""


def judge(health: Health) -> Status:
    """The status of a node: the worst of all that is found, and every finding in the message."""
    findings = list(_findings(health))
    level = max((level for level, _ in findings), default=OK)
    message = "; ".join(text for found, text in findings if found == level or level == ERROR) or _all_well(health)
    return Status(level, message, _values(health))


def _findings(health: Health) -> Iterator[tuple[int, str]]:
    reading, limits = health.reading, health.limits
    if health.failure:
        yield ERROR, f"{health.state}: {health.failure}"
    elif health.state == "unconfigured":
        yield WARN, "unconfigured: configure and activate the node to have clouds labelled"
    for text in health.unheard + health.unserved:
        yield WARN, text
    if health.state != "active":
        return
    if reading.silence_s > limits.input_timeout_s:
        yield WARN, silence(health)
    if reading.lost:
        yield WARN, f"{reading.lost} clouds lost in transport in {WINDOW_S:.0f} s: {TRANSPORT_HINT}"
    for note in reading.notes:
        if POORER in note:
            yield WARN, note
    if reading.rejected:
        yield WARN, f"{reading.rejected} clouds rejected in {WINDOW_S:.0f} s, the last because of {reading.last_reject}"
    if reading.out_of_memory:
        yield WARN, f"{reading.out_of_memory} clouds dropped in {WINDOW_S:.0f} s: {reading.last_memory}"
    high = reading.latency_ms[1]
    for level, name in ((ERROR, "latency_error_ms"), (WARN, "latency_warn_ms")):
        if high > getattr(limits, name):
            yield level, f"latency p95 {high:.0f} ms, {name} is {getattr(limits, name):g}"
            break


TRANSPORT_HINT = (
    "clouds of more than 0.5 MB need shared memory: start the driver with the Fast DDS profile of this package"
    " (FASTDDS_DEFAULT_PROFILES_FILE), or set input_reliability to reliable where the driver is reliable"
)


def silence(health: Health) -> str:
    """Why nothing may be coming in, and what to check."""
    topic = health.input_topic
    since = f"no cloud on {topic} for {health.reading.silence_s:.1f} s"
    if not health.publishers:
        return f"{since}, and nobody publishes there: remap {health.input_name}, or check ROS_DOMAIN_ID and the driver"
    plural = "publisher is" if health.publishers == 1 else "publishers are"
    who = f"{since}, though {health.publishers} {plural} there"
    if len(health.unheard) >= health.publishers:
        return f"{who}: see what does not match"
    if health.counts.received:
        return f"{who}: check that the driver still sends; {TRANSPORT_HINT}"
    return f"{who}: the driver sends nothing, or all is lost; {TRANSPORT_HINT}"


def _all_well(health: Health) -> str:
    if health.state != "active":
        return health.state
    if not health.counts.labelled and health.counts.skipped:
        return "active, but nobody subscribes to the labels"
    return f"labelling {health.reading.output_hz:.1f} clouds/s"


def _values(health: Health) -> dict[str, str]:
    reading = health.reading
    median, high, highest = reading.latency_ms
    return {
        "state": health.state,
        "model": health.model,
        "device": health.device,
        "precision": health.precision,
        "input topic": health.input_topic,
        "input publishers": str(health.publishers),
        "input rate (Hz)": f"{reading.input_hz:.2f}",
        "output rate (Hz)": f"{reading.output_hz:.2f}",
        "since last cloud (s)": f"{reading.silence_s:.2f}",
        "latency p50 (ms)": f"{median:.1f}",
        "latency p95 (ms)": f"{high:.1f}",
        "latency p99 (ms)": f"{highest:.1f}",
        "cloud age (ms)": f"{reading.age_ms:.1f}",
        "received": str(health.counts.received),
        **{name: str(getattr(health.counts, name)) for name in OUTCOMES},
        "past clouds wanted": str(health.past.wanted),
        "past clouds used": str(health.past.used),
        "past clouds without pose": str(health.past.without_pose),
        "past clouds forgotten": str(health.past.forgotten),
        "lost in transport": str(reading.lost),
        "last reject": reading.last_reject,
        "last out of memory": reading.last_memory,
        "notes": "; ".join(reading.notes),
        "mismatches": "; ".join(health.unheard + health.unserved),
        "last failure": health.failure,
    }
