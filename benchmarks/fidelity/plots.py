"""Figures of a fidelity report: areas by superclass and ROC curves, agreement of amplitudes."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.errors import BenchmarkError
from benchmarks.fidelity.scores import Array
from benchmarks.fidelity.tables import NAMES
from edge.leads import RECONSTRUCTED_LEADS
from firmware_bridge.extras import install_extra
from quantize.classifier.auroc import roc
from quantize.classifier.records import SUPERCLASSES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INKS = ("black", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#999999")
"""Of Okabe and Ito, which the colour-blind tell apart."""
MARKERS = "osD^vx"
LIMITS = 1.96  # standard deviations of Bland and Altman's limits of agreement
DPI = 150
COLOURS = 64


def figure(width: float, height: float) -> Figure:
    """An empty one, in inches. Raises BenchmarkError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BenchmarkError(
            f"--plots needs matplotlib ({error}): {install_extra('plot')}"
        ) from error
    return Figure((width, height), layout="constrained")


def save(made: Figure, folder: Path, name: str, dpi: int = DPI) -> None:
    """As PNG of COLOURS, a third as large. Raises BenchmarkError where it cannot be written."""
    from PIL import Image  # matplotlib needs it, too

    drawn = BytesIO()
    made.savefig(drawn, dpi=dpi)
    few = Image.open(drawn).convert("RGB").quantize(COLOURS)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        few.save(folder / f"{name}.png", optimize=True)
    except OSError as error:
        raise BenchmarkError(f"cannot write to {folder}: {error.strerror}") from error


def draw_diagnosis(
    folder: Path,
    domain: str,
    says: Mapping[str, Array],
    labels: NDArray[np.bool_],
    found: Mapping[str, Any],
) -> None:
    """`diagnosis-DOMAIN.png`: areas with intervals above, a ROC curve of each superclass below."""
    made = figure(13, 7)
    names = ("macro", *SUPERCLASSES)
    upper, lower = made.subfigures(2, 1, squeeze=False)[:, 0]
    bars = upper.subplots()
    arms = list(found["auroc"])
    for i, arm in enumerate(arms):
        of = found["auroc"][arm]
        x = np.arange(len(names)) + (i - (len(arms) - 1) / 2) * 0.11
        y = np.array([of[name]["mean"] for name in names])
        ends = np.array([of[name]["mean_95"] or [np.nan] * 2 for name in names]).T
        reach = np.clip(np.stack([y - ends[0], ends[1] - y]), 0, None)
        how: dict[str, Any] = {"color": INKS[i % len(INKS)], "markersize": 5, "capsize": 2}
        bars.errorbar(x, y, reach, fmt=MARKERS[i % len(MARKERS)], label=arm, **how)
    bars.set_xticks(np.arange(len(names)), names)
    bars.set_ylabel("AUROC, 95 % over patients")
    bars.set_xlim(-0.5, len(names) - 0.5)
    of = f"{found['n_records']:,} records of {found['n_patients']:,} patients"
    bars.set_title(f"{NAMES.get(domain, domain)}: {of}; below, ROC curves in the same colours")
    bars.grid(axis="y", alpha=0.3)
    bars.legend(ncols=3, fontsize=8)
    kept = labels.any(1)
    for i, axes in enumerate(lower.subplots(1, len(SUPERCLASSES))):
        for k, arm in enumerate(arms[:5]):
            x, y = roc(says[arm][kept, i], labels[kept, i])
            axes.plot(x, y, color=INKS[k], linewidth=1)
        axes.plot([0, 1], [0, 1], ":", color="#999999", linewidth=0.8)
        axes.set_title(SUPERCLASSES[i], fontsize=10)
        axes.set_xlabel("1 - specificity", fontsize=8)
        axes.set_aspect("equal")
        if not i:
            axes.set_ylabel("sensitivity", fontsize=8)
    save(made, folder, f"diagnosis-{domain}")


def draw_agreement(folder: Path, domain: str, true_uv: Array, made_uv: Array) -> None:
    """`agreement-DOMAIN.png`, Bland and Altman's: R of each reconstructed lead, (n_records, 5) uV."""
    made = figure(13, 3.6)
    panels = made.subplots(1, len(RECONSTRUCTED_LEADS), sharey=True)
    for i, (lead, axes) in enumerate(zip(RECONSTRUCTED_LEADS, panels, strict=True)):
        error, middle = made_uv[:, i] - true_uv[:, i], (made_uv[:, i] + true_uv[:, i]) / 2
        defined = np.isfinite(error)
        axes.plot(middle[defined], error[defined], ".", color=INKS[1], alpha=0.5, markersize=5)
        if defined.sum() > 1:
            bias, spread = error[defined].mean(), LIMITS * error[defined].std(ddof=1)
            for y, style in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
                axes.axhline(y, color="black", linestyle=style, linewidth=0.8)
        axes.axhline(0, color="#999999", linestyle=":", linewidth=0.8)
        axes.set_title(f"{lead}, {defined.sum():,} records", fontsize=10)
        axes.grid(alpha=0.3)
        axes.set_xlabel("mean of both R, uV", fontsize=8)
    panels[0].set_ylabel("R, reconstructed - true, uV", fontsize=8)
    made.suptitle(
        f"{NAMES.get(domain, domain)}: height of R above 0.5 Hz, a dot a record; bias, and dashed the limits"
        " of agreement",
        fontsize=10,
    )
    save(made, folder, f"agreement-{domain}")
