"""The picture of the terminal: fits, and never shows a reconstructed lead as measured."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.leads import LEADS, Provenance, provenance
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.screen import DISCLAIMER, MARKS, Picture, frame, status_line
from edge.sinks.traces import TraceRing
from tests.edge.sinks.blocks import ecg


def picture(**changes: object) -> Picture:
    ring = TraceRing(250.0)
    ring.append(ecg(1000))
    fields: dict[str, object] = {"ring": ring, "provenance": provenance(), "bpm": 71.6} | changes
    return Picture(**fields)  # type: ignore[arg-type]


def plain(lines: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 300), height=st.integers(1, 120), begun=st.booleans())
def test_fits_any_terminal(width: int, height: int, begun: bool) -> None:
    shown = picture(provenance=provenance() if begun else None, quality=(63,) * 12, simulated=True)
    lines = plain(frame(shown, width, height))
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20)])
def test_every_lead_is_labelled_with_its_provenance(size: tuple[int, int]) -> None:
    spans = [span for line in frame(picture(), *size) for span in line]
    for lead, source in zip(LEADS, provenance(), strict=True):
        letter, colour = MARKS[source]
        assert (f"{lead} {letter}", f"bold {colour}") in spans
    legend = plain(frame(picture(), *size))[-1]
    assert "m measured" in legend


def test_marks_tell_provenances_apart() -> None:
    assert set(MARKS) == set(Provenance)
    assert len({letter for letter, _ in MARKS.values()}) == len(Provenance)
    assert len({colour for _, colour in MARKS.values()}) == len(Provenance)


def test_trouble_stands_beside_its_lead() -> None:
    quality = [0] * 12
    quality[LEADS.index("V1")] = int(Quality.LEAD_OFF | Quality.NOISY)
    text = "\n".join(plain(frame(picture(quality=tuple(quality)), 120, 40)))
    assert "V1 m lead off+noisy" in text


def test_state_is_shown() -> None:
    status = LiveStatus(1.234, 9.87, 12, 3, 2, "onnxruntime")
    line = status_line(picture(status=status, simulated=True))
    for part in ("4 s", "HR 72 bpm", "1.2/9.9 ms", "lost 12", "gaps 3", "late 2", "onnxruntime"):
        assert part in line
    assert "SIMULATED" in line
    assert "LINK LOST" not in line and "reconnects" not in line
    away = status_line(picture(status=LiveStatus(in_outage=True, reconnects=2)))
    assert away.startswith("LINK LOST, waiting for the device  4 s")
    assert "reconnects 2" in away
    assert "HR -- bpm" in status_line(picture(bpm=float("nan")))
    assert "waiting for samples" in status_line(picture(provenance=None))


def test_banner() -> None:
    simulated = "\n".join(plain(frame(picture(simulated=True), 80, 24)))
    assert "SIMULATED SIGNAL" in simulated
    assert DISCLAIMER in simulated
    real = "\n".join(plain(frame(picture(), 80, 24)))
    assert "SIMULATED" not in real
    assert DISCLAIMER in real
