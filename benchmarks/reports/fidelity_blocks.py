"""Tables and sentences of README.md and docs/fidelity.md, from the reports of recordings.

A function takes all reports and gives Markdown lines; KeyError where a report, or what it needs of one, is
not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.fidelity.rivals import L2G, WEARECG
from benchmarks.fidelity.segments import SEGMENTS
from benchmarks.fidelity.tables import NAMES
from benchmarks.report import markdown_rows
from benchmarks.reports.musts import Reports
from edge.leads import RECONSTRUCTED_LEADS

NATIVE = ("test", "cpsc_ptb", "mobile")
"""What figures are told of; fold 9 chooses."""
LARGER, LARGER_FOLD = "larger", "test_100"
"""The report of all of fold 10, and its name there."""
OURS = "**leadlift, INT8, live**"
DEFAULT = "II+V1+V5"
Scores = Mapping[str, Any]
"""`r` and `rmse_uv`."""


def results_of(reports: Reports, name: str) -> Mapping[str, Any]:
    """Of one report of recordings. Raises KeyError where it is not there."""
    return reports[name]["results"]  # type: ignore[no-any-return]


def _compared(reports: Reports) -> Mapping[str, Any]:
    """Method by method. Raises KeyError unless every data set was measured."""
    found = results_of(reports, "fidelity")
    return {name: found[name] for name in NATIVE}


def plain(of: Scores, unit: bool = False) -> str:
    """0.925, 81 uV."""
    return f"{of['r']['mean']:.3f}, {of['rmse_uv']['mean']:.0f}{' uV' if unit else ''}"


def with_interval(of: Scores) -> str:
    """**0.925 [0.917-0.933], 81 uV [76-87]**."""
    (low, high), (least, most) = of["r"]["mean_95"], of["rmse_uv"]["mean_95"]
    r, rmse = of["r"]["mean"], of["rmse_uv"]["mean"]
    return f"**{r:.3f} [{low:.3f}-{high:.3f}], {rmse:.0f} uV [{least:.0f}-{most:.0f}]**"


def _said(label: str) -> str:
    return label.replace("+", ", ")


def headline(reports: Reports) -> list[str]:
    """The README's table: what is worn most."""
    test = _compared(reports)["test"]
    sets = results_of(reports, "sets")["test"]["sets"]

    def rows() -> Iterator[Sequence[object]]:
        of = [test[name]["headline"] for name in ("linear", "shipped", "calibrated")]
        yield _row("II, V1, V5 measured: correlation, error over I, V2, V3, V4, V6", of)
        for label, said in (
            ("I+II", "I and II measured: over V1 to V6"),
            ("I", "lead I alone, as on a watch"),
        ):
            one = sets[label]
            yield _row(said, [one["shipped"]["linear"], one["shipped"], one["calibrated"]])

    def _row(said: str, of: Sequence[Scores]) -> Sequence[object]:
        linear, ours, own = (plain(one, unit=True) for one in of)
        return said, linear, f"**{ours}**", own

    n = test["shipped"]["n_records"]
    first = f"fold 10 of PTB-XL, {n:,} records of patients it never saw"
    return markdown_rows((first, "population linear map", OURS, "fitted to one person"), rows())


def elsewhere(reports: Reports) -> list[str]:
    """The README's sentence on other recordings."""
    found = _compared(reports)
    cpsc, mobile = (found[name]["shipped"]["headline"]["r"]["mean"] for name in NATIVE[1:])
    return [
        f"On recordings of other hospitals and of phones, II, V1, V5: {cpsc:.3f} and {mobile:.3f}"
    ]


def methods(reports: Reports) -> list[str]:
    """II, V1, V5: every method side by side."""
    found = _compared(reports)
    shown = {name: found[name] for name in NATIVE}
    if LARGER in reports:
        whole = results_of(reports, LARGER)[LARGER_FOLD]
        shown = {"test": shown["test"], LARGER_FOLD: whole, **shown}
    columns = (
        *("data", "population linear map", "WearECG's method, narrow", "L2G-ECG's method, narrow"),
        *("teacher of II, V1, V5, offline", OURS, "fitted to one person"),
    )

    def rows() -> Iterator[Sequence[object]]:
        for domain, of in shown.items():
            others = ("linear", WEARECG, L2G, "teacher")
            yield (
                f"{NAMES[domain]}, {of['shipped']['n_records']:,} records",
                *(plain(of[name]["headline"]) if name in of else "" for name in others),
                with_interval(of["shipped"]["headline"]),
                plain(of["calibrated"]["headline"]),
            )

    return markdown_rows(columns, rows())


def sets(reports: Reports) -> list[str]:
    """Fold 10 set by set, and the same decoder elsewhere."""
    found = results_of(reports, "sets")
    columns = (
        *("measured", "linear map", "L2G-ECG's method, narrow", "**leadlift, INT8**"),
        *("fitted to one person", "CPSC and PTB", "mobile", "SSIM, fold 10 (linear map)"),
    )

    def rows() -> Iterator[Sequence[object]]:
        for label, of in found["test"]["sets"].items():
            ours = of["shipped"]
            yield (
                _said(label),
                plain(ours["linear"]),
                plain(of[L2G]) if L2G in of else "",
                with_interval(ours),
                plain(of["calibrated"]),
                *(plain(found[name]["sets"][label]["shipped"]) for name in NATIVE[1:]),
                f"{ours['ssim']['mean']:.3f} ({ours['linear']['ssim']['mean']:.3f})",
            )

    return markdown_rows(columns, rows())


def small(reports: Reports) -> list[str]:
    """The small model, set by set, and what it costs beside the default."""
    found, whole = results_of(reports, "small"), results_of(reports, "sets")

    def rows() -> Iterator[Sequence[object]]:
        for label in found["test"]["sets"]:
            cells = []
            for name in NATIVE:
                ours, theirs = (one[name]["sets"][label]["shipped"] for one in (found, whole))
                lost = theirs["r"]["mean"] - ours["r"]["mean"]
                said = with_interval(ours).strip("*") if name == "test" else plain(ours)
                cells += [said, f"{lost:.3f}"]
            yield _said(label), *cells

    columns = ("measured", *(c for n in NATIVE for c in (NAMES[n], "r below the default")))
    return markdown_rows(columns, rows())


def every(reports: Reports) -> list[str]:
    """All sets of leads, on the fold that chooses; and by number of leads."""
    of = results_of(reports, "every")["validation"]["every"]
    n_records = reports["every"]["protocol"]["records_per_domain"]["validation"]
    costly = of["costly_leads"]["n"]
    worse = of["worse_than_linear_in_rmse"]["n"], of["worse_than_linear_in_r"]["n"]

    def mean(figure: str, kind: str, digits: int) -> str:
        ours, linear = (of[figure][name][kind]["mean"] for name in ("shipped", "linear"))
        return f"{ours:.{digits}f} ({linear:.{digits}f})"

    def rows() -> Iterator[Sequence[object]]:
        for n, gain in of["gain_in_r"].items():
            cells = (
                f"{one['unknown']['by_number'][n]:.{digits}f}"
                for figure, digits in (("aup_s", 3), ("aup_m", 5))
                for one in (of[figure]["shipped"], of[figure]["linear"])
            )
            yield n, f"{gain['mean']:.3f}", *cells

    columns = ("leads", "gain in r over the linear map", "AUP_S", "linear", "AUP_M", "linear")
    return [
        f"Over {n_records} records: of {of['n_classes']} sets {_none(worse[0])} not better than the linear"
        f" map in RMSE, {_none(worse[1])} worse in r by 0.002; in {costly} cases an added lead costs over"
        f" 0.5 uV. AUP_S is {mean('aup_s', 'unknown', 3)}, AUP_M {mean('aup_m', 'unknown', 5)} over"
        f" unknown leads, {mean('aup_s', 'with_derivable', 3)} and {mean('aup_m', 'with_derivable', 5)} with"
        " derivable ones; in brackets the linear map's. By number of leads, means over all subsets:",
        "",
        *markdown_rows(columns, rows()),
    ]


def every_elsewhere(reports: Reports) -> list[str]:
    """All sets of leads, on data that chose nothing."""
    found = results_of(reports, "every")
    n_records = reports["every"]["protocol"]["records_per_domain"]

    def rows() -> Iterator[Sequence[object]]:
        for domain in NATIVE:
            of = found[domain]["every"]
            worse = (of[f"worse_than_linear_in_{one}"]["n"] for one in ("rmse", "r"))
            gains = " ".join(f"{gain['mean']:.3f}" for gain in of["gain_in_r"].values())
            ours, linear = (of["aup_s"][name]["unknown"]["mean"] for name in ("shipped", "linear"))
            costly = of["costly_leads"]["n"]
            yield (
                NAMES[domain],
                n_records[domain],
                *worse,
                costly,
                gains,
                f"{ours:.3f} ({linear:.3f})",
            )

    columns = (
        "data",
        "records",
        "sets not better than the linear map in RMSE",
        "sets worse in r by 0.002",
        "added leads that cost over 0.5 uV",
        "gain in r over the linear map, 1 to 7 leads",
        "AUP_S (linear map)",
    )
    return markdown_rows(columns, rows())


def sigma_by_number(reports: Reports) -> list[str]:
    """By number of leads measured what the 90 % interval covers, with one k of fold 9 for all sets."""
    found = results_of(reports, "every")
    domains = ("validation", *NATIVE)

    def cell(of: Mapping[str, Any]) -> str:
        return f"{of['covered']:.1%}, {of['by_segment']['QRS']:.1%}"

    numbers = [n for n in found["validation"]["by_number"] if n != "k"]
    rows = ([n, *(cell(found[one]["by_number"][n]) for one in domains)] for n in numbers)
    return markdown_rows(("leads", *(NAMES[one] for one in domains)), rows)


def _none(n: int) -> str:
    return "none is" if n == 0 else "1 is" if n == 1 else f"{n} are"


def int8_costs(reports: Reports) -> list[str]:
    """What INT8 costs: beside the network before it where that was given, else beside its float32 twin."""
    found = results_of(reports, "sets")
    if "int8_costs" not in found["test"]["sets"][DEFAULT]:
        return _rounding_costs(reports)
    parts = []
    for domain in NATIVE:
        of = found[domain]["sets"][DEFAULT]["int8_costs"]
        parts.append(
            f"{of['r']['mean']:.4f} of r and {of['rmse_share']['mean']:.1%} of RMSE on {NAMES[domain]}"
        )
    every_set = [of["int8_costs"] for of in found["test"]["sets"].values()]
    r = [of["r"]["mean"] for of in every_set]
    share = [of["rmse_share"]["mean"] for of in every_set]
    return [
        f"Against the network before it, II, V1, V5 measured, it costs {', '.join(parts)}; over"
        f" the {len(r)} sets {min(r):.4f} to {max(r):.4f}, and {min(share):.1%} to {max(share):.1%}, on"
        " fold 10."
    ]


def _rounding_costs(reports: Reports) -> list[str]:
    parts = []
    for domain, of in _compared(reports).items():
        r = of["float32_minus_shipped"]["r"]["mean"]
        share = of["shipped_over_float32"]["rmse_share"]["mean"]
        parts.append(f"{r:.4f} of r and {share:.1%} of RMSE on {NAMES[domain]}")
    return [
        "Against the same weights in float32 arithmetic, II, V1, V5 measured, it costs"
        f" {', '.join(parts)}."
    ]


def amplitude(reports: Reports) -> list[str]:
    """Predicted to true variance, and power from 40 to 100 Hz, lead by lead."""
    found = _compared(reports)

    def rows() -> Iterator[Sequence[object]]:
        for domain in NATIVE:
            for method in ("shipped", "linear"):
                by_lead = found[domain][method]["by_lead"]
                yield (
                    NAMES[domain],
                    "leadlift" if method == "shipped" else "linear map",
                    *(
                        f"{by_lead[lead]['variance_ratio']['median']:.2f},"
                        f" {by_lead[lead]['sharpness_db']['median']:+.1f} dB"
                        for lead in RECONSTRUCTED_LEADS
                    ),
                )

    return markdown_rows(("data", "method", *RECONSTRUCTED_LEADS), rows())


def sigma(reports: Reports) -> list[str]:
    """Coverage of the 90 % interval."""
    found = _compared(reports)

    def rows() -> Iterator[Sequence[object]]:
        for domain in NATIVE:
            for method, said in (("shipped", "leadlift"), ("calibrated", "fitted to one person")):
                of = found[domain][method]["interval"]
                parts = (of["by_segment"][segment]["covered"] for segment in SEGMENTS)
                cells = (f"{share:.1%}" for share in (of["covered"], *parts))
                yield NAMES[domain], said, *cells, f"{of['better_than_constant']:.0%}"

    columns = ("data", "method", "all", *SEGMENTS, "better than a constant sigma by")
    return markdown_rows(columns, rows())


def fitted(reports: Reports) -> list[str]:
    """The reference of one person without a decoder."""
    of = _compared(reports)["test"]["patient linear 2 s"]["headline"]
    return [
        "By the same reference alone, without a decoder, a linear map reaches"
        f" {plain(of, unit=True)} on fold 10."
    ]


def misplaced(reports: Reports) -> list[str]:
    """Share flagged within four seconds, by mistake and data set."""
    found = results_of(reports, "misplacement")
    domains = ("validation", *NATIVE)
    names = list(found["test"]["wired"])

    def rows() -> Iterator[Sequence[object]]:
        for name in names:
            shares = (found[d]["wired"][name]["within_4_s"] for d in domains)
            yield (
                name,
                *(f"{of['share']:.1%} [{of['low']:.1%}-{of['high']:.1%}]" for of in shares),
            )

    return markdown_rows(("flagged", *(NAMES[name] for name in domains)), rows())


def misplaced_named(reports: Reports) -> list[str]:
    """Whether what is said of a mistake is right."""
    found = results_of(reports, "misplacement")
    of = [
        one
        for domain in NATIVE
        for name, one in found[domain]["wired"].items()
        if name != "as named"
    ]
    shares = {key: [one[key] for one in of] for key in ("named", "named_first")}
    said = {key: f"{min(v):.0%} to {max(v):.0%}" for key, v in shares.items()}
    not_told = found["not_told"]
    return [
        f"In {said['named']} of them the line names the mistake that was made, in {said['named_first']} as"
        f" the first. Not looked for, since they look too much like healthy hearts: {', '.join(not_told)}."
    ]


BLOCKS: Mapping[str, Callable[[Reports], list[str]]] = {
    "headline": headline,
    "elsewhere": elsewhere,
    "methods": methods,
    "sets": sets,
    "small": small,
    "every": every,
    "every-elsewhere": every_elsewhere,
    "sigma-by-number": sigma_by_number,
    "int8-costs": int8_costs,
    "amplitude": amplitude,
    "sigma": sigma,
    "fitted": fitted,
    "misplaced": misplaced,
    "misplaced-named": misplaced_named,
}
