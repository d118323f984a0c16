"""`leadlift leads`: what sets of leads are expected to give, so that one can choose where electrodes go."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence

from edge.bundle import load_bundle
from edge.commands.common import Subparsers, usage
from edge.electrodes import MOST_ELECTRODES, electrodes_of, sets_of
from edge.errors import BundleError, InputError
from edge.expected import LIMITS, NOT_MEASURED, POOR, Card, Expected, card_of, short_r
from edge.files.lead_option import parse_leads
from edge.leads import LEADS

Rows = list[tuple[tuple[str, ...], Expected | None]]

PRACTICAL: dict[tuple[str, ...], str] = {
    ("I",): "watch",
    ("II",): "",
    ("I", "II"): "six limb",
    ("II", "V2"): "",
    ("II", "V1", "V5"): "default",
    ("V1", "V5", "aVF"): "Holter",
    ("I", "II", "V2"): "",
    ("I", "II", "V3"): "",
    ("I", "II", "V2", "V5"): "",
    ("I", "II", "V1", "V3", "V5"): "",
    ("V1", "V2", "V3", "V4", "V5", "V6"): "all chest",
}
"""What people wear, and by what name it is known."""
BEST = 5
"""Sets that are shown of those that so many electrodes can measure."""

RULE = (
    "How electrodes are counted: I, II or III alone needs two of RA, LA, LL; any two limb leads need all "
    "three, and give all six. V1 to V6 are measured against Wilson's terminal, the mean of RA, LA and LL: "
    "beside these three each chest electrode gives one lead. So 2 electrodes measure one limb lead, 3 all "
    "six, and each one more a chest lead. A right-leg drive (RL) is an electrode on the body that measures "
    "nothing. A patch between two spots on the chest measures none of the twelve leads: what it would give "
    "is not in the card."
)
_WIDTH = 13
"""Characters for the leads of a set: five of them."""


def add(subparsers: Subparsers) -> None:
    """Register the command."""
    words = "; ".join(f"{word}: r from {r:g}, at most {uv:g} uV" for word, r, uv in LIMITS)
    parser = subparsers.add_parser(
        "leads",
        help="say what each set of leads is expected to give: where to put electrodes",
        description="Expected r and error of the leads that are not measured, from the model card, "
        "best set first.",
        epilog=f"{RULE} In a word: {words}; {POOR}: worse.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--leads",
        metavar="I,II,V2",
        nargs="+",
        action="extend",
        help="these sets (default: those that people wear)",
    )
    which.add_argument(
        "--electrodes",
        metavar="N",
        type=int,
        help="the best sets that N electrodes on the body can measure, with and without a right-leg drive",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--model", metavar="PATH", help="bundle, or small (default: the one that ships)"
    )
    parser.set_defaults(command=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the card says."""
    with usage():
        groups = _asked(arguments)
    bundle = load_bundle(arguments.model)
    card = card_of(bundle)
    if card is None:
        raise BundleError(f"{bundle.manifest.name}: {NOT_MEASURED}; use the model that ships")
    found = [(title, ranked(card, sets)) for title, sets in groups]
    if arguments.json:
        print(json.dumps(_as_json(card, found), indent=2))
    else:
        print(table(card, found))
    return 0


def _asked(arguments: argparse.Namespace) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Sets under their titles. Raises InputError."""
    n = arguments.electrodes
    if n is not None:
        if not 2 <= n <= MOST_ELECTRODES + 1:
            raise InputError(
                f"--electrodes {n}: give 2 (a lead is a difference of two) to {MOST_ELECTRODES + 1} "
                "(all of a 12-lead ECG)"
            )
        titles = {
            f"{n} electrodes, no right-leg drive": sets_of(n),
            f"{n} electrodes, one of them the right-leg drive": sets_of(n - 1),
        }
        return list(titles.items())
    if arguments.leads is None:
        return [("", list(PRACTICAL))]
    # A label of the card, I+II+V2, is a set, too.
    asked = (tuple(parse_leads(text.replace("+", ","))) for text in arguments.leads)
    return [("", list(dict.fromkeys(asked)))]


def ranked(card: Card, sets: Iterable[Sequence[str]]) -> Rows:
    """Each set with what is expected of it, the least error over all twelve leads first."""
    rows = [(tuple(leads), card.of(leads)) for leads in sets]
    return sorted(rows, key=lambda row: math.inf if row[1] is None else row[1].twelve_uv)


def table(card: Card, groups: Sequence[tuple[str, Rows]]) -> str:
    """The sets in 80 columns: two lines each, uV and r."""
    names = "".join(f"{lead:>4}" for lead in LEADS)
    lines = [
        f"Expected error in uV, and below it r, of each lead: {card.folds}, {card.records} records.",
        "",
        f"{'measured':<{_WIDTH}}el word  mean{names}  all",
    ]
    for title, rows in groups:
        if title:
            lines += ["", f"{title}:" + ("" if rows else " there is no such set")]
        for leads, found in rows[:BEST] if title else rows:
            lines += _lines(leads, found)
        if title and len(rows) > BEST:
            lines.append(f"and {len(rows) - BEST} more, worse")
    return "\n".join([*lines, "", *_NOTES])


_NOTES = (
    "el    electrodes that measure (RA, LA, LL, V1...); a right-leg drive is one more",
    "mean  over the unknown ones of I, II, V1 to V6",
    "all   mean over all twelve leads, known ones 0: what compares sets",
    ".     measured, or follows from what is",
    "word  close, fair, rough or poor: `leadlift leads --help` says from where",
    "Where a V lead is, the electrodes for I and II are, too: see --electrodes.",
)


def _lines(leads: tuple[str, ...], found: Expected | None) -> list[str]:
    name, n = ",".join(leads), len(electrodes_of(leads))
    above = [] if len(name) <= _WIDTH else [name]
    head = f"{'' if above else name:<{_WIDTH}}{n:>2}"
    if found is None:
        return [*above, f"{head} not measured"]
    uv = [
        "." if known else f"{one:.0f}"
        for known, one in zip(found.known, found.rmse_uv, strict=True)
    ]
    r = ["" if known else short_r(one) for known, one in zip(found.known, found.r, strict=True)]
    note = PRACTICAL.get(leads, "")
    mean_r = short_r(found.mean_r) if found.unknown else ""
    return [
        *above,
        f"{head} {found.word:<5}{found.mean_uv:>5.0f}{_columns(uv)}{found.twelve_uv:>5.0f}",
        f"{f'  {note}':<{_WIDTH}}{'':8}{mean_r:>5}{_columns(r)}".rstrip(),
    ]


def _columns(values: Sequence[str]) -> str:
    return "".join(f"{value:>4}" for value in values)


def _as_json(card: Card, groups: Sequence[tuple[str, Rows]]) -> dict[str, object]:
    return {
        "folds": card.folds,
        "records": card.records,
        "groups": [
            {
                "title": title,
                "sets": [
                    {
                        "leads": list(leads),
                        "electrodes": list(electrodes_of(leads)),
                        "expected": None if found is None else found.as_dict(),
                    }
                    for leads, found in rows
                ],
            }
            for title, rows in groups
        ],
    }
