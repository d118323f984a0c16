"""The plots of the page: how long a hop takes, where it goes, what it gives, what many patients cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from benchmarks.fidelity.rivals import L2G, WEARECG
from benchmarks.latency.engines import FLOAT32, SMALL
from benchmarks.latency.windows import WEARECG_FULL
from benchmarks.reports.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    N_COLOURS,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    decades,
    dot,
    frame,
    legend,
    log_scale,
    microseconds,
    path,
    svg,
)
from benchmarks.reports.fidelity_blocks import DEFAULT
from benchmarks.reports.musts import Reports

RIGHT_EDGE, BASE = WIDTH - RIGHT, HEIGHT - BOTTOM
NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)
BAR, PITCH = 26, 58
"""Height of a bar, and from one to the next."""


def ecdf(reports: Reports) -> str:
    """Share of hops that are done within a time; the upper end is stretched, since that is what matters."""
    series = dict(_distributions(reports))
    if not series:
        return ""
    values = [us for found in series.values() for us in found["us"]]
    x = log_scale(values, LEFT, RIGHT_EDGE)
    most = max(percent for found in series.values() for percent in found["percent"])
    nines = [p for i, p in enumerate(NINES) if i == 0 or NINES[i - 1] < most]
    y = Scale(0.0, _nines(nines[-1]), BASE, TOP)
    parts = frame(
        x,
        y,
        [(v, microseconds(v)) for v in decades(x)],
        [(_nines(p), f"{p:g} %") for p in nines],
        "time",
        "hops done within it",
    )
    for colour, (name, found) in enumerate(series.items()):
        points = [(us, _nines(p)) for p, us in zip(found["percent"], found["us"], strict=True)]
        parts.append(path(points, x, y, colour, name))
    return legend(list(series)) + svg(parts, "Distribution of the time of a hop")


def _distributions(reports: Reports) -> Iterator[tuple[str, Mapping[str, Any]]]:
    results = reports.get("latency", {}).get("results", {})
    for name, one in results.get("engines", {}).get("engines", {}).items():
        if not name.endswith(SMALL):
            yield f"step, {name}", one["ecdf"]
    for part, label in (("push", "push"), ("paced", "push, paced")):
        if part in results:
            yield f"{label}, {results[part]['engine']}", results[part]["ecdf"]
    if "live" in results:
        yield "last byte to sink, live", results["live"]["ecdf"]


def _nines(percent: float) -> float:
    """0 % at 0, 90 % at 1, 99 % at 2."""
    return -math.log10(1 - percent / 100)


def stages(reports: Reports) -> str:
    """Stacked bars of a push by stage, and of the live path by stage."""
    bars = list(_bars(reports))
    if not bars:
        return ""
    parts, height, at = [], TOP + PITCH * len(bars), TOP
    names = list(dict.fromkeys(name for _, stack in bars for name in stack))
    for label, stack in bars:
        total = sum(stack.values())
        said = f"{label}, {microseconds(float(f'{total:.3g}'))}"
        parts.append(f'<text class="label" x="2" y="{at + 14}">{escape(said)}</text>')
        left = 2.0
        for name, us in stack.items():
            width = max(0.0, us) / total * (WIDTH - 4)
            colour = names.index(name) % N_COLOURS
            parts.append(
                f'<rect class="c{colour}" x="{left:.1f}" y="{at + 20}" width="{width:.1f}" height="{BAR}">'
                f"<title>{escape(name)}: {us:.3g} µs, {us / total:.0%}</title></rect>"
            )
            if width > 70:
                inside = f'<text class="inside" x="{left + 5:.1f}" y="{at + 37}">'
                parts.append(f"{inside}{microseconds(float(f'{us:.3g}'))}</text>")
            left += width
        at += PITCH
    return legend(names) + svg(parts, "Time by stage", height)


def _bars(reports: Reports) -> Iterator[tuple[str, Mapping[str, float]]]:
    results = reports.get("latency", {}).get("results", {})
    for engine, found in results.get("stages", {}).items():
        yield f"push of one hop, engine {engine}", found["stages"]
    by_stage = results.get("live", {}).get("stages_us", {})
    path_of = ("decode", "ingest", "queue", "reconstruct", "sink")
    medians = {name: by_stage[name]["p50"] for name in path_of if name in by_stage}
    if medians and None not in medians.values():
        yield "live, from the last byte read to the sink, of medians", medians


def fidelity(reports: Reports) -> str:
    """Correlation on fold 10 over the CPU time after which new leads are there."""
    points = list(methods(reports))
    if not points:
        return ""
    scores = reports["fidelity"]["results"]["test"]
    linear = scores["linear"]["headline"]["r"]["mean"]
    full = reports["latency"]["results"]["windows"]["networks"].get(WEARECG_FULL)
    times = [us for _, us, _ in points] + ([full["min"]] if full else [])
    lows = [r["mean_95"][0] for _, _, r in points] + [linear]
    x = log_scale(times, LEFT, RIGHT_EDGE)
    y = Scale(math.floor(50 * min(lows)) / 50, 1.0, BASE, TOP)
    n_ticks = round((1 - y.low) / 0.02)
    ticks = [(1 - 0.02 * i, f"{1 - 0.02 * i:.2f}") for i in range(n_ticks + 1)]
    parts = frame(
        x,
        y,
        [(v, microseconds(v)) for v in decades(x)],
        ticks,
        "CPU time until new leads are there: one hop of 16 ms, or one window of 10 s",
        "mean r over I, V2, V3, V4, V6",
    )
    at = y.at(linear)
    parts.append(f'<line class="mark" x1="{LEFT}" x2="{RIGHT_EDGE}" y1="{at}" y2="{at}"/>')
    parts.append(
        f'<text class="label" x="{LEFT + 6}" y="{at - 5}">population linear map, {linear:.3f}</text>'
    )
    if full:
        at = x.at(full["p50"] or full["min"])
        parts.append(f'<line class="mark" x1="{at}" x2="{at}" y1="{TOP}" y2="{BASE}"/>')
        text = "WearECG, full size: random weights, no r"
        parts.append(f'<text class="label end" x="{at - 6}" y="{TOP + 12}">{text}</text>')
    for colour, (name, us, r) in enumerate(points):
        at, low, high = x.at(us), *(y.at(value) for value in r["mean_95"])
        parts.append(
            f'<line class="line k{colour % N_COLOURS}" x1="{at}" x2="{at}" y1="{low}" y2="{high}"/>'
        )
        parts.append(
            dot(
                us,
                r["mean"],
                x,
                y,
                colour,
                f"{name}: r {r['mean']:.3f}, {microseconds(float(f'{us:.3g}'))}",
            )
        )
    return legend([name for name, _, _ in points]) + svg(parts, "Fidelity against CPU time")


def methods(reports: Reports) -> Iterator[tuple[str, float, Mapping[str, Any]]]:
    """Name, microseconds of an inference and r of each method that has both."""
    results = reports.get("latency", {}).get("results", {})
    scores = reports.get("fidelity", {}).get("results", {}).get("test", {})
    if not scores or "windows" not in results:
        return
    small = reports.get("small", {}).get("results", {}).get("test", {}).get("sets", {})
    for name, one in results.get("engines", {}).get("engines", {}).items():
        if name.endswith(SMALL):
            if small:
                r = small[DEFAULT]["shipped"]["r"]
                yield f"leadlift small INT8, {name.split(',')[0]}", one["p50"] or one["min"], r
            continue
        method = "float32 twin" if name in FLOAT32 else "shipped"
        label = f"leadlift, {name}" if name in FLOAT32 else f"leadlift INT8, {name}"
        if method in scores:
            yield label, one["p50"] or one["min"], scores[method]["headline"]["r"]
    for name, label in (
        (WEARECG, "WearECG's method, narrow"),
        (L2G, "L2G-ECG's method, narrow"),
        ("teacher", "our teacher, offline"),
    ):
        if name in scores and name in results["windows"]["networks"]:
            one = results["windows"]["networks"][name]
            yield label, one["p50"] or one["min"], scores[name]["headline"]["r"]


def patients(reports: Reports) -> str:
    """CPU time of a patient's hop as patients grow, beside one Reconstructor."""
    cost = dict(reports.get("multi", {}).get("results", {}).get("cost", {}))
    one = cost.pop("one", None)
    if one is None or len(cost) < 2:
        return ""
    points = [(float(n), found["per_patient_us"]) for n, found in cost.items()]
    alone = one["per_patient_us"]
    x = Scale(points[0][0], points[-1][0], LEFT, RIGHT_EDGE - 12, log=True)
    y = log_scale([us for _, us in points] + [alone], BASE, TOP)
    parts = frame(
        x,
        y,
        [(n, f"{n:g}") for n, _ in points],
        [(v, microseconds(v)) for v in decades(y)],
        "patients in one MultiReconstructor",
        "CPU time of one patient's hop",
    )
    at = y.at(alone)
    parts.append(f'<line class="mark" x1="{LEFT}" x2="{RIGHT_EDGE}" y1="{at}" y2="{at}"/>')
    parts.append(
        f'<text class="label end" x="{RIGHT_EDGE}" y="{at - 5}">one Reconstructor, {alone:.3g} µs</text>'
    )
    parts.append(path(points, x, y, 0, "a patient's share"))
    for n, us in points:
        share = cost[f"{n:g}"]["ratio"]
        parts.append(
            dot(n, us, x, y, 0, f"{n:g} patients: {us:.3g} µs each, {share:.2f} of one alone")
        )
        anchor = "end" if n == points[-1][0] else "middle"
        parts.append(
            f'<text class="label {anchor}" x="{x.at(n)}" y="{y.at(us) - 10}">{us:.3g}</text>'
        )
    return svg(parts, "Cost of a patient as patients grow")


def ring(reports: Reports) -> str:
    """Push and read of each buffer, at each rate: dots on one logarithmic axis."""
    results = reports.get("peers", {}).get("results", {})
    rows = [
        (f"{what} at {float(hz):,g} Hz", by_name)
        for what in ("push", "read")
        for hz, by_name in results.get(what, {}).items()
    ]
    if not rows:
        return ""
    names = list(dict.fromkeys(name for _, by_name in rows for name in by_name))
    values = [one["p50"] for _, by_name in rows for one in by_name.values() if one["p50"]]
    left, step = 150, 30
    base = TOP + step * len(rows)
    x = log_scale(values, left, RIGHT_EDGE)
    y = Scale(0, len(rows), TOP + step / 2, base + step / 2)
    upright = Scale(0, 1, base, TOP)
    parts = frame(x, upright, [(v, microseconds(v)) for v in decades(x)], [], "time, median", "")
    for row, (label, by_name) in enumerate(rows):
        parts.append(
            f'<text class="tick end" x="{left - 8}" y="{y.at(row) + 4}">{escape(label)}</text>'
        )
        for name, one in by_name.items():
            if one["p50"]:
                text = f"{label}, {name}: {one['p50']:.3g} µs, {one['ratio']:.3g} times ours"
                parts.append(dot(one["p50"], row, x, y, names.index(name), text))
    return legend(names) + svg(parts, "Ring buffers side by side", base + BOTTOM)
