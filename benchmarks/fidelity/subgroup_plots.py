"""Figures of `--part subgroups`: forest plot, distribution of r, honesty of sigma, records as they look."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fidelity.methods import Predictions, truth_mv
from benchmarks.fidelity.plots import INKS, figure, save
from benchmarks.fidelity.scores import Array, scored, window
from benchmarks.fidelity.tables import NAMES
from edge.leads import RECONSTRUCTED_LEADS, lead_indices
from quantize.data import Records

N_DRAWN = 10  # of the worst, the failure gallery; and of overlays
DRAWN_S = 4.0
LEAST_MV = 0.5  # from the bottom to the top of a record
TRUE_INK, OUR_INK = "black", INKS[1]


def draw(
    folder: Path,
    domain: str,
    found: dict[str, Any],
    scores: dict[str, Array],
    made: Predictions,
    records: Records,
    order: NDArray[np.intp],
) -> None:
    """All of one data set, as PNG files; `order` has the worst record first."""
    forest(folder, domain, found)
    distribution(folder, domain, found)
    sigma(folder, domain, found)
    at = np.linspace(0, len(order) - 1, N_DRAWN).astype(int)
    overlays(folder, f"worst-{domain}", scores, made, records, order[:N_DRAWN])
    overlays(folder, f"overlays-{domain}", scores, made, records, order[at])


def forest(folder: Path, domain: str, found: dict[str, Any]) -> None:
    """`subgroups-DOMAIN.png`: r of each group with its interval, beside that of all."""
    lines: list[tuple[str, dict[str, Any] | None]] = [("all", found["all"])]
    for kind, some in found["groups"].items():
        lines.append((kind, None))
        lines += [(f"    {name}", of) for name, of in some.items()]
    made = figure(8, 0.9 + 0.24 * len(lines))
    axes = made.subplots()
    for y, (_, of) in enumerate(lines):
        if of is None:
            continue
        mean, (low, high) = of["r"]["mean"], of["r"]["mean_95"]
        axes.plot([low, high], [y, y], color=OUR_INK, linewidth=1.5)
        size = 3 + 2 * np.log10(of["n_records"])
        axes.plot(mean, y, "s", color=OUR_INK, markersize=size)
        axes.annotate(
            f"{of['n_records']:,}",
            (1.01, y),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
        )
    axes.axvline(found["all"]["r"]["mean"], color="#999999", linestyle=":", linewidth=1)
    names = [name if of is not None else f"{name}:" for name, of in lines]
    axes.set_yticks(range(len(lines)), names, fontsize=8, ha="left")
    axes.tick_params(axis="y", length=0, pad=110)
    axes.set_ylim(len(lines) - 0.5, -0.7)
    axes.annotate("records", (1.01, -0.9), xycoords=("axes fraction", "data"), fontsize=8)
    axes.set_xlabel(
        "mean r over I, V2, V3, V4, V6, above 0.5 Hz, and 95 % over patients", fontsize=9
    )
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title(f"{NAMES.get(domain, domain)}: r by subgroup; dotted, all", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    save(made, folder, f"subgroups-{domain}")


def distribution(folder: Path, domain: str, found: dict[str, Any]) -> None:
    """`ecdf-DOMAIN.png`: the share of records below each r, by lead."""
    made = figure(6, 4)
    axes = made.subplots()
    for i, (lead, values) in enumerate(found["r_quantiles"].items()):
        share = np.linspace(0, 1, len(values))
        axes.plot(values, share, color=INKS[i], label=lead, linestyle=_STYLES[i])
    axes.set_xlim(max(0.0, min(v[1] for v in found["r_quantiles"].values()) - 0.02), 1)
    axes.set_xlabel("r of a record")
    axes.set_ylabel("share of records below")
    named = f"{NAMES.get(domain, domain)}, {found['all']['n_records']:,} records"
    axes.set_title(f"{named}: how many are below an r, above 0.5 Hz", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend()
    save(made, folder, f"ecdf-{domain}")


def sigma(folder: Path, domain: str, found: dict[str, Any]) -> None:
    """`sigma-DOMAIN.png`: what intervals of sigma cover, beside what they would if errors were Gaussian."""
    made = figure(4.6, 4.4)
    axes = made.subplots()
    nominal = found["sigma"]["nominal"]
    axes.plot([0, 1], [0, 1], color="#999999", linestyle=":")
    for i, (lead, covered) in enumerate(found["sigma"]["covered"].items()):
        axes.plot(nominal, covered, color=INKS[i], label=lead, linestyle=_STYLES[i])
    axes.set_xlabel("share an interval of sigma holds of Gaussian errors", fontsize=9)
    axes.set_ylabel("share of samples that it holds", fontsize=9)
    axes.set_title(
        f"{NAMES.get(domain, domain)}: above the dotted line sigma is too large", fontsize=9
    )
    axes.grid(alpha=0.3)
    axes.set_aspect("equal")
    axes.legend()
    save(made, folder, f"sigma-{domain}")


def overlays(
    folder: Path,
    name: str,
    scores: dict[str, Array],
    made: Predictions,
    records: Records,
    rows: NDArray[np.intp],
) -> None:
    """`NAME.png`: a record a line, its five leads: truth, reconstruction, and one sigma."""
    leads = lead_indices(RECONSTRUCTED_LEADS)
    hz, n = records.sampling_hz, made.ecg_mv.shape[-1]
    counts = window(records.ecg_uv.shape[-1], hz)
    shown = slice(0, round(DRAWN_S * hz))
    t = np.arange(round(DRAWN_S * hz)) / hz
    drawn = figure(15, 1.5 * len(rows) + 0.6)
    grid = drawn.subplots(len(rows), len(leads), sharex=True, sharey="row", squeeze=False)
    for line, i in zip(grid, rows.tolist(), strict=True):
        recorded = truth_mv(records.at(slice(i, i + 1)), n)[0, leads]
        true, ours = (
            scored(ecg, hz, counts)[:, shown] for ecg in (recorded, made.ecg_mv[i, leads])
        )
        band = made.sigma_mv[i][..., counts][:, shown]
        low, high = (float(of([true.T, ours.T])) for of in (np.min, np.max))
        margin = 0.06 * max(high - low, LEAST_MV)
        for k, (axes, lead) in enumerate(zip(line, RECONSTRUCTED_LEADS, strict=True)):
            axes.fill_between(
                t, ours[k] - band[k], ours[k] + band[k], color=OUR_INK, alpha=0.3, lw=0
            )
            axes.plot(t, true[k], color=TRUE_INK, linewidth=1.3, label="recorded")
            axes.plot(t, ours[k], color=OUR_INK, linewidth=0.9, label="reconstructed, one sigma")
            axes.set_ylim(low - margin, high + margin)
            axes.set_title(f"{lead}  r {scores['r'][i, k]:.2f}", fontsize=8, pad=3)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.3)
        line[0].set_ylabel(f"{records.record_id[i]}\nmV", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("s", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    said = f"{NAMES.get(records.name, records.name)}, {DRAWN_S:g} s above 0.5 Hz"
    drawn.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9, title=said)
    save(drawn, folder, name, dpi=75)


_STYLES = ("-", "--", "-.", ":", (0, (5, 1)))
