"""What a set of leads is expected to give, lead by lead: read from the model card, before anyone trusts it.

The card is `manifest.fidelity["sets"]`: of every set that was scored, r and RMSE of each of the twelve leads
over records that the decoder was not trained on. In a word, for a lead by its own figures and for a set by
the means over its unknown leads:

    close   r from .95 (nine tenths of the variance) and at most  50 uV (half a millimetre of ECG paper)
    fair    r from .90 (four fifths of the variance) and at most 100 uV (one millimetre)
    rough   r from .70 (half of the variance)        and at most 150 uV (one and a half millimetres)
    poor    anything worse: the lead tells little of what is there
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.bundle import Bundle, Manifest
from edge.json_rules import Refused, Rule, T, integer, mapping, number, or_none, record, text
from edge.lead_subsets import INDEPENDENT_ROWS, class_of, known, label
from edge.leads import LEADS, lead_names

CLOSE, FAIR, ROUGH, POOR = "close", "fair", "rough", "poor"
KNOWN = "known"
"""The word for what is measured, or follows from it."""
EXPECTS = "expects"
LIMITS = ((CLOSE, 0.95, 50.0), (FAIR, 0.90, 100.0), (ROUGH, 0.70, 150.0))
"""Of each word the least r and the most uV."""
NOT_MEASURED = "fidelity not measured: the model has no card of it"

_uv = number(0, 1e5)
_r = or_none(number(-1, 1))
_CARD = record(
    {"folds": text(), "records": integer(1, 1 << 30), "rmse_uv": mapping, "r": mapping}, more=True
)


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected fidelity of one set of leads."""

    leads: tuple[str, ...]
    """Measured, as they were given."""
    known: tuple[bool, ...]
    """(12,) which of LEADS are measured or follow from those that are."""
    r: tuple[float | None, ...]
    """(12,) mean over records; None where it is known, and where no record has an r."""
    rmse_uv: tuple[float, ...]
    """(12,) mean over records; 0 where it is known."""
    folds: str
    """The recordings that it was measured on."""
    records: int

    @property
    def unknown(self) -> tuple[str, ...]:
        """The independent leads that are reconstructed: what `mean_r` and `mean_uv` are over."""
        return tuple(LEADS[row] for row in INDEPENDENT_ROWS if not self.known[row])

    @property
    def mean_r(self) -> float | None:
        """Mean over `unknown`; None where there is none."""
        found = [r for lead in self.unknown if (r := self.r[LEADS.index(lead)]) is not None]
        return float(np.mean(found)) if found else None

    @property
    def mean_uv(self) -> float:
        """Mean RMSE over `unknown`; 0 where there is none."""
        found = [self.rmse_uv[LEADS.index(lead)] for lead in self.unknown]
        return float(np.mean(found)) if found else 0.0

    @property
    def twelve_uv(self) -> float:
        """Mean RMSE over all twelve leads, of known ones 0: what compares sets of other leads."""
        return float(np.mean(self.rmse_uv))

    @property
    def word(self) -> str:
        """How good the whole set is."""
        return in_a_word(self.mean_r, self.mean_uv) if self.unknown else KNOWN

    def word_of(self, lead: str) -> str:
        """How good one of LEADS is."""
        row = LEADS.index(lead)
        return KNOWN if self.known[row] else in_a_word(self.r[row], self.rmse_uv[row])

    def leads_that_are(self, word: str) -> tuple[str, ...]:
        """Those of LEADS that this word is for."""
        return tuple(lead for lead in LEADS if self.word_of(lead) == word)

    def of_lead(self, lead: str) -> str:
        """A lead's figures: `V2 r .79, 178 uV`."""
        row = LEADS.index(lead)
        return f"{lead} {_figures(self.r[row], self.rmse_uv[row])}"

    def figures(self) -> str:
        """The means: `r .92, 86 uV`."""
        return _figures(self.mean_r, self.mean_uv)

    def in_words(self) -> str:
        """In a line: `expects r .92, 86 uV over I, V2, V3, V4, V6 (PTB-XL fold 9): fair`."""
        if not self.unknown:
            return f"{EXPECTS} nothing: all twelve leads are measured or follow"
        over = ", ".join(self.unknown)
        return f"{EXPECTS} {self.figures()} over {over} ({self.folds}): {self.word}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "leads": list(self.leads),
            "word": self.word,
            "r": self.mean_r,
            "rmse_uv": self.mean_uv,
            "over": list(self.unknown),
            "twelve_rmse_uv": self.twelve_uv,
            "by_lead": {
                lead: {"word": self.word_of(lead), "r": r, "rmse_uv": uv}
                for lead, r, uv in zip(LEADS, self.r, self.rmse_uv, strict=True)
            },
            "folds": self.folds,
            "records": self.records,
        }


@dataclass(frozen=True, slots=True)
class Card:
    """The figures of every set that was scored; each is looked at when it is asked for."""

    folds: str
    records: int
    rmse_uv: Mapping[str, Any]
    r: Mapping[str, Any]

    def of(self, leads: Sequence[str]) -> Expected | None:
        """What the set `leads` is expected to give; None where it was not scored.

        Raises InputError for an unknown lead or one given twice.
        """
        leads = lead_names(leads)
        which = class_of(leads)
        certain = tuple(known(which).tolist())
        r: tuple[float | None, ...] = (None,) * len(LEADS)
        rmse_uv = (0.0,) * len(LEADS)
        if not all(certain):
            try:
                r = _twelve(self.r.get(label(which)), certain, None, _r)
                rmse_uv = _twelve(self.rmse_uv.get(label(which)), certain, 0.0, _uv)
            except Refused:
                return None
        return Expected(tuple(leads), certain, r, rmse_uv, self.folds, self.records)


def card_of(model: Bundle | Manifest) -> Card | None:
    """The card of the lead sets of a model; None where it has none, or one that cannot be."""
    manifest = model.manifest if isinstance(model, Bundle) else model
    try:
        return Card(**_CARD(manifest.fidelity.get("sets")))
    except Refused:
        return None


def expected(model: Bundle | Manifest, leads: Sequence[str]) -> Expected | None:
    """What a set of measured leads is expected to give with a model, on records that it was not trained on.

    Parameters
    ----------
    model : Bundle or Manifest
        The decoder.
    leads : sequence of str
        Measured leads, a non-empty subset of LEADS in any order.

    Returns
    -------
    Expected or None
        None where the model has no card of this set: it was not measured.

    Raises
    ------
    InputError
        For an unknown lead, or one given twice.
    """
    card = card_of(model)
    return None if card is None else card.of(leads)


def in_a_word(r: float | None, rmse_uv: float) -> str:
    """How good a lead with these figures is; see the head of this file."""
    fits = (word for word, least, most in LIMITS if (r or 0) >= least and rmse_uv <= most)
    return next(fits, POOR)


def short_r(r: float | None) -> str:
    """Two digits, rounded down, so that they fit the word: `.92`; a dash where there is none."""
    return "-" if r is None else f"{math.floor(100 * r + 1e-9) / 100:.2f}".replace("0.", ".")


def _figures(r: float | None, rmse_uv: float) -> str:
    return f"r {short_r(r)}, {rmse_uv:.0f} uV"


def _twelve(value: Any, certain: Sequence[bool], of_known: T, rule: Rule[T]) -> tuple[T, ...]:
    if not isinstance(value, list) or len(value) != len(LEADS):
        raise Refused("is no list of twelve")
    return tuple(of_known if sure else rule(one) for sure, one in zip(certain, value, strict=True))
