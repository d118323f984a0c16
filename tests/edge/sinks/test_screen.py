"""The picture of a screen: fits, keeps what matters, and never shows a reconstructed lead as measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.expected import card_of
from edge.files.recording import Metadata
from edge.leads import LEADS, Provenance, provenance
from edge.marker import Marker
from edge.quality import Quality
from edge.sinks.base import LiveStatus
from edge.sinks.note import Note
from edge.sinks.picture import LivePicture, Picture
from edge.sinks.screen import MARKS, frame
from edge.sinks.status_items import DISCLAIMER, Item, Line, flow, status_line
from edge.sinks.traces import ASCII, BLOCKS, BRAILLE, Glyphs
from edge.sinks.view import LAYOUTS, View
from tests.edge.cards import card, carded
from tests.edge.sinks.blocks import block, ecg


def picture(quality: dict[str, int] | None = None, **changes: object) -> Picture:
    bits = np.zeros((12, 2000), np.uint8)
    for lead, flags in (quality or {}).items():
        bits[LEADS.index(lead)] = flags
    live = LivePicture(250.0)
    live.push(block(ecg(2000), quality=bits))
    return replace(live.snapshot(), **({"bpm": 71.6} | changes))  # type: ignore[arg-type]


def plain(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def text(shown: Picture, width: int, height: int, **changes: object) -> str:
    return "\n".join(plain(frame(shown, width, height, **changes).lines))  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 120),
    begun=st.booleans(),
    carded_set=st.booleans(),
    n_leads=st.sampled_from([0, 1, 3, 8, 12]),
    layout=st.sampled_from(LAYOUTS),
    glyphs=st.sampled_from([BRAILLE, BLOCKS, ASCII]),
    help_shown=st.booleans(),
)
def test_fits_any_terminal(
    width: int,
    height: int,
    begun: bool,
    carded_set: bool,
    n_leads: int,
    layout: str,
    glyphs: Glyphs,
    help_shown: bool,
) -> None:
    everything = picture({lead: 63 for lead in LEADS}, simulated=True)
    shown = replace(
        everything,
        leads=LEADS[:n_leads],
        ecg_mv=everything.ecg_mv[:n_leads],
        sigma_mv=everything.sigma_mv[:n_leads],
        quality=everything.quality[:n_leads],
        provenance=provenance()[:n_leads] if begun else None,
        card=card_of(carded()) if carded_set else None,
    )
    lines = plain(
        frame(shown, width, height, View(layout=layout, help=help_shown), glyphs, True).lines
    )
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCKS, ASCII])
@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24), (60, 20)])
def test_every_lead_is_labelled_with_its_provenance(size: tuple[int, int], glyphs: Glyphs) -> None:
    spans = [span for line in frame(picture(), *size, glyphs=glyphs).lines for span in line]
    for lead, source in zip(LEADS, provenance(), strict=True):
        letter, colour = MARKS[source]
        estimate = " reverse" if source in MARKS and letter in ("r", "d*") else ""
        assert (f"{lead} {letter}", f"bold {colour}{estimate}") in spans
    shown = text(picture(), *size, glyphs=glyphs)
    for word in ("m measured", "r reconstr", "d* derived from", "mark 1 mV", " 1 s"):
        assert word in shown
    assert f"V2 r {glyphs.plus_minus}0.05 mV" in shown  # how sure it is
    assert "V1 m +" not in shown and "V1 m \u00b1" not in shown
    shown.encode({BRAILLE: "utf-8", BLOCKS: "cp437", ASCII: "ascii"}[glyphs])


def test_marks_tell_provenances_apart() -> None:
    """All that is derived from what was reconstructed has one mark; the legend says from what."""
    assert set(MARKS) == set(Provenance)
    derived = [source for source in Provenance if str(source).startswith("derived from")]
    n_kinds = len(Provenance) - len(derived) + 1
    assert len({MARKS[source] for source in derived}) == 1
    assert len({letter for letter, _ in MARKS.values()}) == n_kinds
    assert len({colour for _, colour in MARKS.values()}) == n_kinds


def of_set(
    measured: tuple[str, ...], off: tuple[str, ...] = (), card: object = None, **changes: object
) -> Picture:
    """Two seconds of a set of leads, with the card of the tests."""
    bits = np.zeros((12, 500), np.uint8)
    bits[[LEADS.index(lead) for lead in off]] = Quality.LEAD_OFF
    live = LivePicture(250.0, Metadata(card=card_of(carded(card))))
    live.push(block(ecg(500), quality=bits, measured=measured))
    return replace(live.snapshot(), **changes)  # type: ignore[arg-type]


def test_what_is_expected_stands_in_the_head() -> None:
    wide = text(of_set(("II", "V1", "V5")), 140, 40)
    assert "expects r .92, 86 uV over I, V2, V3, V4, V6 (PTB-XL fold 9): fair" in wide
    busy = LiveStatus(recording=("recording.edf",), battery_percent=87)
    for size in ((80, 24), (60, 20)):
        narrow = plain(frame(of_set(("II", "V1", "V5"), status=busy), *size).lines)
        assert "fair: r .92, 86 uV" in "".join(narrow[:2])
    assert "rough: r .80, 114 uV" in text(of_set(("I",)), 60, 20)
    assert "poor: r .60, 160 uV" in text(of_set(("I", "II", "V5"), off=("V5",)), 60, 20)
    line = status_line(of_set(("II", "V1", "V5")))
    assert "fair: r .92, 86 uV" in line and "expects" not in line
    everything = of_set(("I", "II", *LEADS[6:]))
    assert "expects nothing: all twelve leads are measured or follow" in text(everything, 140, 40)
    assert "uV" not in text(of_set(("V3",)), 140, 40)  # not scored
    assert "uV" not in text(of_set(("I",), card={}), 140, 40)


@pytest.mark.parametrize("size", [(200, 60), (120, 40), (80, 24)])
@pytest.mark.parametrize("glyphs", [BRAILLE, BLOCKS, ASCII])
def test_a_poor_lead_says_so_in_its_label(size: tuple[int, int], glyphs: Glyphs) -> None:
    shown = text(of_set(("II", "V1", "V5")), *size, glyphs=glyphs)
    assert "aVL d* poor" in shown
    assert shown.count("poor") == 1
    assert f"aVL d* poor {glyphs.plus_minus}0.05" in shown  # how sure it is beside it
    assert "V2 r poor" in text(of_set(("I",)), *size, glyphs=glyphs)
    six = text(of_set(("I", "II")), *size, glyphs=glyphs)
    assert all(f"V{n} r poor" in six for n in range(1, 7))


def test_a_lead_that_is_measured_is_never_poor() -> None:
    sets = card()
    sets["rmse_uv"]["I"] = [900.0] * 12
    assert "I m poor" not in text(of_set(("I",), card=sets), 120, 40)
    assert "II r poor" in text(of_set(("I",), card=sets), 120, 40)


@pytest.mark.parametrize(
    ("limb", "words"),
    [
        (("II",), "derived from reconstructed I"),
        (("I",), "derived from reconstructed II"),
        ((), "derived from reconstructed I and II"),
    ],
)
def test_the_legend_says_from_what_limb_leads_follow(limb: tuple[str, ...], words: str) -> None:
    shown = plain(frame(of_set((*limb, "V1")), 200, 60).lines)[-1]
    assert f"d* {words}  " in shown


@pytest.mark.parametrize(
    ("size", "layout", "rhythm"),
    [((120, 40), "auto", True), ((80, 24), "auto", True), ((120, 50), "12x1", False)],
)
def test_a_rhythm_strip_where_there_is_room(
    size: tuple[int, int], layout: str, rhythm: bool
) -> None:
    lines = plain(frame(picture(), *size, View(layout=layout)).lines)
    strips = [line.strip() for line in lines]
    assert (strips.count("II m") == 1 and "II m" in strips[-12:]) is rhythm


@pytest.mark.parametrize("size", [(40, 14), (20, 8), (59, 10), (33, 40), (20, 4), (10, 3)])
def test_no_lead_is_left_out_in_silence(size: tuple[int, int]) -> None:
    shown = text(picture(), *size)
    n_shown = sum(shown.count(f"{lead} {MARKS[p][0]}") > 0 for lead, p in _labels())
    if n_shown < 12:
        assert "leads" in shown and "+" in shown
    if 0 < n_shown < 12:
        assert all(f"{lead} m" in shown for lead in ("II", "V1", "V5")[:n_shown])


def _labels() -> list[tuple[str, Provenance]]:
    return list(zip(LEADS, provenance(), strict=True))


def test_trouble_stands_beside_its_lead_and_above() -> None:
    shown = text(picture({"V1": Quality.LEAD_OFF | Quality.NOISY}), 120, 40)
    assert "V1 m lead off+noisy" in shown
    assert "LEAD OFF V1" in shown
    assert "GAP" in text(picture({"II": Quality.GAP}), 120, 40)
    assert "LEAD OFF" not in text(
        picture({"V2": Quality.LEAD_OFF}), 120, 40
    )  # no electrode of its own


def test_state_is_shown() -> None:
    status = LiveStatus(1.234, 9.87, 12, 3, 2, "onnxruntime", battery_percent=64)
    line = status_line(picture(status=status, simulated=True, calibration="fitted to 2 s"))
    for part in (
        *("8 s", "HR 72 bpm", "1.2/9.9 ms", "lost 12", "gaps 3", "late 2", "onnxruntime"),
        *("battery 64 %", "SIMULATED", "fitted to 2 s"),
    ):
        assert part in line
    assert "LINK LOST" not in line and "reconnects" not in line
    away = status_line(picture(status=LiveStatus(in_outage=True, reconnects=2)))
    assert away.startswith("LINK LOST, waiting for the device")
    assert "reconnects 2" in away
    assert "HR -- bpm" in status_line(picture(bpm=float("nan")))
    assert "waiting for samples" in status_line(picture(provenance=None))


@pytest.mark.parametrize("width", [80, 60, 40])
def test_what_matters_most_survives_a_narrow_screen(width: int) -> None:
    status = LiveStatus(
        *(1.2, 9.9, 12, 3, 2, "onnxruntime"),
        in_outage=True,
        recording=("/a/very/long/folder/name/patient-0001-20261129-021500-session.edf", "b.csv"),
        warnings=("the device sends 4 % fewer samples than it declares",),
        device="a board with a name of its own that is rather long",
        reconnects=4,
    )
    shown = text(picture(status=status, simulated=True), width, 24)
    for part in ("LINK LOST", "REC", "SIMULATED"):
        assert part in shown
    if width >= 60:
        assert "research use only" in shown
    wide = text(picture(status=status, simulated=True), 250, 40)
    assert "21500-session.edf +1" in wide and DISCLAIMER in wide and "WARNING the device" in wide


def test_a_recording_is_told_by_the_end_of_its_name() -> None:
    assert "REC out.edf" in text(picture(status=LiveStatus(recording=("x/out.edf",))), 120, 40)
    assert "REC" not in text(picture(), 120, 40)


@given(
    lengths=st.lists(st.integers(1, 30), max_size=12),
    width=st.integers(1, 90),
    n_lines=st.integers(1, 3),
)
def test_items_flow_and_the_last_are_left_out_first(
    lengths: list[int], width: int, n_lines: int
) -> None:
    facts = [Item(chr(65 + i) * n, "", chr(65 + i)) for i, n in enumerate(lengths)]
    lines = plain(flow(facts, width, n_lines))
    assert len(lines) <= n_lines and all(len(line) <= width for line in lines)
    there = [chr(65 + i) in "".join(lines) for i in range(len(facts))]
    assert there == sorted(there, reverse=True)


def test_frozen_traces_stay_and_the_state_goes_on() -> None:
    before = picture()
    live = LivePicture(250.0)
    live.push(block(ecg(2000, 1)))
    now = replace(live.snapshot(), status=LiveStatus(samples_lost=7))
    frozen = plain(frame(now, 120, 40, View(frozen=before)).lines)
    assert "FROZEN" in frozen[0] and "lost 7" in "".join(frozen[:2])
    assert frozen[2:-1] == plain(frame(before, 120, 40).lines)[2:-1]


def test_gain_and_speed_are_those_asked_for() -> None:
    drawn = frame(picture(), 120, 40, View(gain_mv=0.5, span_s=5.0))
    assert (drawn.height_mv, drawn.span_s) == (0.5, 5.0)
    assert "mark 0.5 mV" in plain(drawn.lines)[-1]  # a millivolt would be higher than the trace
    assert "12x1 does not fit" in text(picture(), 80, 24, view=View(layout="12x1"))


def test_a_warning_wider_than_the_screen_is_shortened_and_shown() -> None:
    warning = "samples arrive at 125 Hz, not at 250 Hz as declared: " + "set rate= " * 20
    warned = picture(status=LiveStatus(warnings=(warning,)))
    assert "WARNING samples arrive at 125 Hz" in text(warned, 80, 24)
    assert "WARNING samples arrive at 125 Hz" in status_line(warned, 79)
    assert "WARNING samples arrive at 125 Hz" in status_line(warned)
    assert len(status_line(warned)) < 160


ADDRESS = "http://127.0.0.1:8765/?token=abc"


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [(80, 24, True), (200, 60, True), (30, 24, False), (80, 12, False)],
)
def test_the_address_of_the_view_stands_where_the_screen_hides_what_was_printed(
    width: int, height: int, shown: bool
) -> None:
    seen = picture(status=LiveStatus(address=ADDRESS))
    assert (f"view {ADDRESS}" in text(seen, width, height)) == shown
    assert "token" not in status_line(seen)  # it may go into a log


def test_a_marker_is_a_line_in_each_pane_and_a_line_of_words() -> None:
    live = LivePicture(250.0)
    live.push(block(np.zeros((12, 2000), np.float32)))
    plain_shown = text(live.snapshot(), 120, 40)
    live.push(replace(block(ecg(0), 2000), markers=(Marker("stands up", 1500),)))
    seen = live.snapshot()
    assert seen.markers == ((1500, "stands up"),)
    shown = text(seen, 120, 40)
    assert "marker 2 s ago: stands up" in shown
    assert "| marker" in shown
    assert shown.count("|") > plain_shown.count("|") + 12
    assert "|" not in text(replace(seen, end=20_000), 120, 40).replace("| marker", "")


def test_a_marker_that_is_typed_stands_in_place_of_the_keys() -> None:
    seen = picture()
    assert "m marker" in text(seen, 80, 24, keys=True, view=View(marks=True))
    assert "m marker" not in text(seen, 80, 24, keys=True)
    shown = text(seen, 80, 24, keys=True, view=View(note=Note(0, "stan")))
    assert "marker: stan_" in shown and "q quit" not in shown
    assert "has ended" in text(seen, 80, 24, keys=True, view=View(said="the recording has ended"))
