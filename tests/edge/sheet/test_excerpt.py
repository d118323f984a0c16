"""What a page shows of a recording: which samples, in which state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.files.records import open_record
from edge.leads import LEADS, provenance
from edge.quality import Quality
from edge.sheet.excerpt import State, excerpt, spans, states
from edge.sinks import open_sink
from tests.edge.sinks.blocks import block, ecg

Q, S = Quality, State


@pytest.mark.parametrize(
    ("value", "bits", "of_estimate", "expected"),
    [
        (0.1, Q.OK, True, S.CLEAN),
        (0.1, Q.INTERPOLATED, True, S.CLEAN),
        (0.1, Q.LEAD_OFF, True, S.WITHOUT_A_LEAD),
        (0.1, Q.LEAD_OFF, False, S.CLEAN),  # of another lead: the file has one quality for all
        (0.1, Q.LEAD_OFF | Q.SETTLING, True, S.SETTLING),
        (0.1, Q.SETTLING | Q.CLIPPED, False, S.CLIPPED),
        (0.1, Q.CLIPPED | Q.NOISY, False, S.NOISY),
        (0.1, Q.GAP, False, S.CLEAN),
        (0.1, Q.MISPLACED, False, S.MISPLACED),
        (0.1, Q.MISPLACED | Q.INTERPOLATED, True, S.MISPLACED),
        (0.1, Q.MISPLACED | Q.LEAD_OFF, True, S.WITHOUT_A_LEAD),
        (0.1, Q.MISPLACED | Q.NOISY, False, S.NOISY),
        (np.nan, Q.MISPLACED, False, S.NO_SIGNAL),
        (np.nan, Q.OK, False, S.NO_SIGNAL),
        (np.nan, Q.LEAD_OFF | Q.NOISY, False, S.NO_SIGNAL),
        (np.nan, Q.GAP, True, S.GAP),
    ],
)
def test_the_gravest_state_counts(
    value: float, bits: Quality, of_estimate: bool, expected: State
) -> None:
    ecg_mv, quality = np.array([value], np.float32), np.array([bits], np.uint8)
    assert State(int(states(ecg_mv, quality, of_estimate=of_estimate)[0])) is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ([], []),
        ([0, 0], []),
        ([7, 7, 0, 5], [(0, 2, S.GAP), (3, 4, S.NOISY)]),
        ([0, 3, 4, 4], [(1, 2, S.SETTLING), (2, 4, S.CLIPPED)]),
    ],
)
def test_spans(state: list[int], expected: list[tuple[int, int, State]]) -> None:
    assert spans(np.array(state, np.uint8)) == expected


@pytest.mark.parametrize("kind", ["npz", "hea", "edf", "csv"])
def test_a_part_of_a_file_of_ours(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"out.{kind}"
    sent = ecg(2000)
    with open_sink(f"file:{path}", 250.0) as sink:
        sink.write(block(sent[:, :1000]))
        sink.write(block(sent[:, 1500:], 1500))
    with open_record(path) as record:
        shown = excerpt(record, 3.0, 2.0)
        rest = excerpt(record, 7.0, 100.0)
    assert (shown.first_s, shown.n_samples, shown.seconds) == (3.0, 500, 2.0)
    assert (rest.first_s, rest.n_samples) == (7.0, 250)
    assert tuple(shown.traces) == LEADS
    assert [x.provenance for x in shown.traces.values()] == [str(p) for p in provenance()]
    v2 = shown.traces["V2"]
    np.testing.assert_allclose(v2.ecg_mv[:250], sent[7, 750:1000], atol=3e-4)
    assert spans(v2.state) == [(250, 500, State.GAP)]
    assert v2.is_estimate
    assert not shown.traces["II"].is_estimate
    assert v2.sigma_mv is not None
    np.testing.assert_allclose(v2.sigma_mv[:250], 0.05, atol=3e-4)


def test_a_file_of_others_stands_on_its_line_whatever_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    ecg_mv = ecg(1000)[:3] * 0.1 + np.array([[150.0], [-80.0], [0.0]], np.float32)
    ecg_mv[2] = np.nan
    np.savez(path, ecg_mv=ecg_mv, leads=["V1", "II", "V5"], sampling_hz=250.0)
    with open_record(path) as record:
        shown = excerpt(record, 0.0, 4.0)
    assert tuple(shown.traces) == ("II", "V1", "V5")  # in the order of the sheet
    for lead in ("II", "V1"):
        assert abs(float(np.median(shown.traces[lead].ecg_mv))) < 1e-4
        assert not shown.traces[lead].state.any()
    assert spans(shown.traces["V5"].state) == [(0, 1000, State.NO_SIGNAL)]
