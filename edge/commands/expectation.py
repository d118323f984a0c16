"""What a command says of the leads in use before anyone trusts what comes out: the model card, in a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.expected import NOT_MEASURED, POOR, ROUGH, Expected, expected

if TYPE_CHECKING:
    from edge.reconstructor import Reconstructor

OTHERS = "`leadlift leads` shows what other leads give"


def expected_of(reconstructor: Reconstructor) -> Expected | None:
    """What the leads in use are expected to give; None where that is not known, as with a calibration: it is
    better than the card, by how much depends on the person."""
    if reconstructor.patient is not None:
        return None
    return expected(reconstructor.bundle, reconstructor.leads)


def expectation(reconstructor: Reconstructor) -> str | None:
    """What the leads in use are expected to give, and which leads will be poor; None with a calibration."""
    if reconstructor.patient is not None:
        return None
    found = expected_of(reconstructor)
    return f"{', '.join(reconstructor.leads)}: {NOT_MEASURED if found is None else in_full(found)}"


def doubt(reconstructor: Reconstructor) -> str | None:
    """As `expectation`, where the leads in use are rough or poor; None where they are better or not known."""
    found = expected_of(reconstructor)
    if found is None or found.word not in (ROUGH, POOR):
        return None
    return f"{', '.join(reconstructor.leads)}: {in_full(found)}"


def in_full(found: Expected) -> str:
    """The means, and which leads are not good and how far off they are."""
    parts = [found.in_words()]
    if bad := found.leads_that_are(POOR):
        parts.append(f"{POOR}: {', '.join(map(found.of_lead, bad))}")
    elif found.word == ROUGH:
        bad = found.leads_that_are(ROUGH)
        parts.append(f"{ROUGH}: {', '.join(map(found.of_lead, bad))}")
    if found.word in (ROUGH, POOR):
        parts.append(OTHERS)
    return "; ".join(parts)
