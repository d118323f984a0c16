"""Tables and sentences of the model card, and of the pages on morphology and diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.fidelity.diagnosis import MACRO
from benchmarks.fidelity.judged import CALIBRATED, CONDITIONED, REAL, SHIPPED, THREE
from benchmarks.fidelity.methods import LINEAR
from benchmarks.fidelity.realism import IN_FEATURES
from benchmarks.fidelity.tables import NAMES, mean_with_interval
from benchmarks.report import markdown_rows
from benchmarks.reports.card_musts import musts
from benchmarks.reports.fidelity_blocks import NATIVE, results_of
from benchmarks.reports.kept import DRAWN_OF, FIDELITY, PLOTS
from benchmarks.reports.musts import Reports
from quantize.classifier.records import SUPERCLASSES

ARMS = {
    REAL: "real, twelve leads",
    LINEAR: "population linear map",
    SHIPPED: "**leadlift, INT8**",
    CALIBRATED: "fitted to one person",
    THREE: "II, V1, V5 alone, their own network",
}
PICTURES = {
    "subgroups": ("subgroups", "Forest plot of r by subgroup, fold 10"),
    "ecdf": ("subgroups", "Share of records below each r, by lead"),
    "agreement": ("morphology", "Agreement of R, Bland and Altman, by lead"),
    "sigma": ("subgroups", "What intervals of sigma cover, by lead"),
    "worst": (
        "subgroups",
        "The ten worst records: recorded in black, reconstructed in blue with one sigma",
    ),
    "overlays": ("subgroups", "Ten records from the worst to the best"),
}
"""By the name of the file: the report that draws it, and its words."""
LARGER = "test_100"
OLDEST = 89  # PTB-XL writes 300 for who is older
_LEVELS = {
    "st60_uv": "ST at J+60 ms, uV",
    "st80_uv": "ST at J+80 ms, uV",
    "r_uv": "R, uV",
    "s_uv": "S, uV",
    "t_uv": "T, uV",
    "peak_ms": "R peak, ms",
}


def made_of(reports: Reports) -> list[str]:
    """The decoder whose card it is. KeyError where its reports are of several decoders."""
    about = [reports[name]["environment"] for name in FIDELITY if name != "small"]
    bundles = {(one["bundle"], one["bundle_sha256"]) for one in about}
    if len(bundles) > 1:
        raise KeyError("reports of one decoder")
    ((name, sha256),) = bundles
    dates = sorted(one["date"][:10] for one in about)
    return [f"`{name}.onnx`, SHA-256 `{sha256[:16]}`, measured on {dates[-1]}."]


def training(reports: Reports) -> list[str]:
    """Records that it learned from, by group."""
    of = reports["subgroups"]["training"]
    sources = list(of)

    def rows() -> Iterator[Sequence[object]]:
        yield "records", "", *(of[one]["n_records"] for one in sources)
        yield "patients named", "", *(of[one]["n_patients_named"] for one in sources)
        kinds = dict.fromkeys(kind for one in sources for kind in of[one]["groups"])
        for kind in kinds:
            by = [of[one]["groups"].get(kind, {}) for one in sources]
            for name in dict.fromkeys(name for one in by for name in one):
                yield kind, name, *(one.get(name, "") for one in by)

    return markdown_rows(("by", "group", *(f"at {one}" for one in sources)), rows())


def subgroups(domain: str, without: tuple[str, ...], reports: Reports) -> list[str]:
    """r and RMSE of each group of one data set."""
    found = results_of(reports, "subgroups")[domain]

    def rows() -> Iterator[Sequence[object]]:
        for kind, some in {"all": {"": found["all"]}, **found["groups"]}.items():
            if kind not in without:
                for name, of in some.items():
                    r = mean_with_interval(of["r"], 3)
                    yield kind, name, of["n_records"], r, mean_with_interval(of["rmse_uv"], 0)

    return markdown_rows(("by", "group", "records", "r", "RMSE, uV"), rows())


def other_subgroups(reports: Reports) -> list[str]:
    """r of the data sets that it was never trained on."""
    found = results_of(reports, "subgroups")

    def rows() -> Iterator[Sequence[object]]:
        for domain in NATIVE[1:]:
            for kind, some in {
                "all": {"": found[domain]["all"]},
                **found[domain]["groups"],
            }.items():
                for name, of in some.items():
                    r = mean_with_interval(of["r"], 3)
                    rmse = mean_with_interval(of["rmse_uv"], 0)
                    yield NAMES[domain], kind, name, of["n_records"], r, rmse

    return markdown_rows(("data", "by", "group", "records", "r", "RMSE, uV"), rows())


def worst(reports: Reports) -> list[str]:
    """The ten worst records of fold 10."""

    def rows() -> Iterator[Sequence[object]]:
        for one in results_of(reports, "subgroups")["test"]["worst"]:
            rate = "" if one["rate_bpm"] is None else f"{one['rate_bpm']:.0f}"
            figures = f"{one['r']:.2f}", f"{one['rmse_uv']:.0f}", one["worst_lead"], rate
            age = one["age"]
            if age and float(age) > OLDEST:
                age = f"over {OLDEST}"
            yield one["record_id"], *figures, one["about"], age, one["noted"]

    return markdown_rows(
        ("record", "r", "RMSE, uV", "worst lead", "bpm", "diagnosis", "age", "noted"), rows()
    )


def morphology(reports: Reports) -> list[str]:
    """What a reader measures, beside the linear map."""
    found = results_of(reports, "morphology")

    def rows() -> Iterator[Sequence[object]]:
        for domain in NATIVE:
            for method, said in ((LINEAR, "linear map"), (SHIPPED, "leadlift")):
                of = found[domain][method]
                over = of["over"]["st60_uv"]
                shares = (
                    over["100"][what]["share"] for what in ("lead_beats", "beats_with_a_lead")
                )
                yield (
                    NAMES[domain],
                    said,
                    *(mean_with_interval(of[name], 0) for name in _LEVELS),
                    *(f"{share:.1%}" for share in shares),
                    mean_with_interval(of["ssim"], 3),
                    f"{of['mutual_information_bits']['mean']:.2f}",
                    f"{of['mse_mv2']['mean']:.4f}, {of['mae_mv']['mean']:.3f}",
                )

    columns = (
        *("data", "method", *_LEVELS.values(), "ST over 100 uV, of lead-beats"),
        *("of beats, in a lead of five", "SSIM", "bits", "nine leads, MSE mV2, MAE mV"),
    )
    return markdown_rows(columns, rows())


def regression(reports: Reports) -> list[str]:
    """R lead by lead on fold 10: slope of the error, bias, limits of agreement; durations."""
    found = results_of(reports, "morphology")["test"]

    def rows() -> Iterator[Sequence[object]]:
        for lead, of in found[SHIPPED]["by_lead"].items():
            agreement, slope = of["bland_altman_r_uv"], of["slope_of_r_error"]
            low, high = agreement["limits"]
            true = {name: found["truth"][name][lead]["mean"] for name in ("qrs_ms", "qt_ms")}
            ours = {name: of[f"{name}_reconstructed"]["mean"] for name in true}
            yield (
                lead,
                f"{found['truth']['r_uv'][lead]['mean']:.0f}",
                mean_with_interval(slope, 2),
                f"{agreement['bias']:+.0f}",
                f"{low:.0f} to {high:.0f}",
                *(f"{true[name]:.0f}, {ours[name]:.0f}" for name in true),
            )

    columns = (
        *("lead", "true R, uV", "slope of the R error", "bias, uV", "limits of agreement, uV"),
        *("QRS, true and reconstructed, ms", "QT, ms"),
    )
    return markdown_rows(columns, rows())


def robustness(reports: Reports) -> list[str]:
    """What each disturbance costs on fold 10, and whether it is flagged."""
    found = results_of(reports, "robustness")["test"]

    def rows() -> Iterator[Sequence[object]]:
        clean = found["clean"]
        flagged = f"{clean['flagged']['mean']:.0%}"
        yield "nothing", *_cells(clean), "", "", "", flagged
        for name, of in found["disturbed"].items():
            low, high = of["r_lost"]["mean_95"]
            lost = f"{of['r_lost']['mean']:.4f} [{low:.4f} to {high:.4f}]"
            added = f"{of['rmse_added_uv']['mean']:.1f}"
            missing = f"{of['missing']['mean']:.0%}"
            yield name, *_cells(of), lost, added, missing, f"{of['flagged']['mean']:.0%}"

    def _cells(of: Mapping[str, Any]) -> tuple[str, str]:
        return f"{of['r']['mean']:.3f}", f"{of['rmse_uv']['mean']:.0f}"

    columns = (
        *("disturbed by", "r", "RMSE, uV", "r lost", "RMSE added, uV", "output missing"),
        "flagged as misplaced",
    )
    return markdown_rows(columns, rows())


def auroc(reports: Reports) -> list[str]:
    """Macro AUROC by data set and leads."""
    found = results_of(reports, "diagnosis")

    def rows() -> Iterator[Sequence[object]]:
        for domain in (LARGER, "test", "validation_100"):
            of = found[domain]
            areas = (mean_with_interval(of["auroc"][arm][MACRO], 3) for arm in ARMS)
            yield f"{NAMES[domain]}, {of['n_records']:,} records", *areas

    return markdown_rows(("macro AUROC", *ARMS.values()), rows())


def auroc_by_class(reports: Reports) -> list[str]:
    """AUROC by superclass, all of fold 10; and what reconstruction costs, paired."""
    found = results_of(reports, "diagnosis")[LARGER]

    def rows() -> Iterator[Sequence[object]]:
        for arm, said in ARMS.items():
            of = found["auroc"][arm]
            yield said, *(_three(of[name]["mean"]) for name in SUPERCLASSES)
        for other, said in ((SHIPPED, "lost by reconstruction"), (CALIBRATED, "lost, fitted")):
            of = found["differences"][f"{REAL} - {other}"]
            yield said, *(mean_with_interval(of[name], 3) for name in SUPERCLASSES)
        of = found["differences"][f"{SHIPPED} - {THREE}"]
        yield (
            "leadlift less II, V1, V5 alone",
            *(mean_with_interval(of[name], 3) for name in SUPERCLASSES),
        )

    return markdown_rows(("all of fold 10, AUROC", *SUPERCLASSES), rows())


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"  # None: a superclass that no record has


def lost(reports: Reports) -> list[str]:
    """What reconstruction costs a classifier, in sentences."""
    found = results_of(reports, "diagnosis")
    of = found[LARGER]
    non_inferior = of["non_inferiority"]["non_inferior"]

    def said(pair: str, domain: str = LARGER, sign: int = 1) -> str:
        one = found[domain]["differences"][pair][MACRO]
        if one["mean"] is None:  # a superclass that no record has
            return "-"
        low, high = sorted(sign * end for end in one["mean_95"])
        return f"{sign * one['mean']:.4f} [{low:.4f} to {high:.4f}]"

    head = "Non-inferior" if non_inferior else "Not non-inferior"
    lies = "below" if non_inferior else "above"
    pair = f"{REAL} - {SHIPPED}"
    return [
        f"**{head}.** Reconstructed leads cost {said(pair)} of macro AUROC, paired, on all of fold 10: the"
        f" upper end lies {lies} the margin of {of['non_inferiority']['margin']:g}. On its"
        f" {found['test']['n_records']} records of 250 Hz they cost {said(pair, 'test')}, on all of fold 9"
        f" {said(pair, 'validation_100')}. The linear map costs {said(f'{SHIPPED} - {LINEAR}')} more. Fitted"
        f" to one person by 2 s of twelve leads, {said(f'{REAL} - {CALIBRATED}')} is lost. A network trained"
        f" on II, V1, V5 alone is better than the one of twelve leads that is shown reconstructed ones by"
        f" {said(f'{SHIPPED} - {THREE}', sign=-1)}."
    ]


def frechet(reports: Reports) -> list[str]:
    """Frechet distance, paired and not, beside their floors."""
    found = results_of(reports, "realism")
    names = {SHIPPED: "leadlift, INT8", LINEAR: "linear map", CALIBRATED: "fitted to one person"}
    names |= {CONDITIONED: "filters alone", "floor": "real against real"}

    def rows() -> Iterator[Sequence[object]]:
        for domain, of in found.items():
            for arm, said in names.items():
                one = of["frechet"][arm]
                low, high = one["unpaired"]["range"]
                unpaired = f"{one['unpaired']['mean']:.4f} ({low:.4f}-{high:.4f})"
                yield NAMES[domain], said, f"{one['paired']:.4f}", unpaired

    return markdown_rows(("data", "leads", "paired (floor 0)", "unpaired, mean (range)"), rows())


def told_apart(reports: Reports) -> list[str]:
    """AUROC of a judge that learned on fold 9."""
    found = results_of(reports, "realism")
    arms = (SHIPPED, LINEAR, CALIBRATED, CONDITIONED)

    def rows() -> Iterator[Sequence[object]]:
        for domain, of in found.items():
            for seen, by in of["told_apart"].items():
                what = f"the {seen}" if seen == IN_FEATURES else seen
                cells = (mean_with_interval(by[arm], 3) for arm in arms)
                yield f"{what}, {NAMES[domain]}", *cells

    columns = (
        *("what the judge sees", "leadlift, INT8", "linear map", "fitted to one person"),
        "filters alone, from as recorded",
    )
    return markdown_rows(columns, rows())


def picture(kind: str, reports: Reports) -> list[str]:
    """A plot that is kept with its report."""
    report, words = PICTURES[kind]
    results_of(reports, report)
    return [f"![{words}](reports/{PLOTS}/{kind}-{DRAWN_OF}.png)"]


BLOCKS: Mapping[str, Callable[[Reports], list[str]]] = {
    "made-of": made_of,
    "fidelity-musts": musts,
    "training": training,
    "subgroups": partial(subgroups, LARGER, ()),
    "subgroups-250": partial(subgroups, "test", ("age", "sex")),
    "other-subgroups": other_subgroups,
    "worst": worst,
    "morphology": morphology,
    "regression": regression,
    "robustness": robustness,
    "auroc": auroc,
    "auroc-by-class": auroc_by_class,
    "lost": lost,
    "frechet": frechet,
    "told-apart": told_apart,
    **{f"plot-{kind}": partial(picture, kind) for kind in PICTURES},
}
