"""What `summarize` finds in a recording of each format, and piece by piece as in one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.files.records import open_record
from edge.files.summary import Summarizer, summarize
from edge.leads import LEADS, provenance
from edge.quality import Quality
from edge.sinks import Metadata, open_sink
from tests.edge.sinks.blocks import block, ecg

N = 10_000
"""More than one piece at 250 Hz."""


def write(path: Path) -> Path:
    """N samples with gaps of 100 and 400, lead V1 off for 1000, noise for 500."""
    sent = ecg(N)
    sent[6, 2000:3000] = np.nan
    quality = np.zeros((12, N), np.uint8)
    quality[6, 2000:3000] = Quality.LEAD_OFF
    quality[3, 4000:4500] = Quality.NOISY
    with open_sink(f"file:{path}", 250.0, metadata=Metadata()) as sink:
        for start, stop in ((0, 7400), (7800, 9000), (9100, N)):  # one gap lies across two pieces
            sink.write(block(sent[:, start:stop], start, quality[:, start:stop]))
    return path


@pytest.mark.parametrize("kind", ["edf", "npz", "csv", "hea"])
def test_what_every_format_of_ours_says(tmp_path: Path, kind: str) -> None:
    with open_record(write(tmp_path / f"out.{kind}")) as record:
        found = summarize(record)
    assert (found.gaps, found.gap_samples, found.longest_gap) == (2, 500, 400)
    assert found.quality is not None
    expected = {"lead_off": 0.1, "noisy": 0.05, "gap": 0.05}
    assert {k: v for k, v in found.quality.items() if v} == pytest.approx(expected)
    assert [one.lead for one in found.leads] == list(LEADS)
    assert [one.provenance for one in found.leads] == [str(p) for p in provenance()]
    missing = [one.missing for one in found.leads]
    np.testing.assert_allclose(missing, [0.05] * 6 + [0.15] + [0.05] * 5, atol=2e-4)
    assert [one.sigma_mv for one in found.leads] == [pytest.approx(0.05, abs=1e-4)] * 12
    v2 = ecg(N)[7]
    there = np.concatenate([v2[:7400], v2[7800:9000], v2[9100:]])
    assert found.leads[7].least_mv == pytest.approx(float(there.min()), abs=3e-4)
    assert found.leads[7].most_mv == pytest.approx(float(there.max()), abs=3e-4)


def test_a_file_of_others_has_gaps_where_nothing_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    ecg_mv = ecg(1000)[:2]
    ecg_mv[0, 10:20] = ecg_mv[:, 15:18] = np.nan
    ecg_mv[1] = np.where(np.arange(1000) < 500, np.nan, ecg_mv[1])
    np.savez(path, ecg_mv=ecg_mv, leads=["II", "V1"], sampling_hz=250.0, quality=np.zeros(3))
    with open_record(path) as record:
        found = summarize(record)
    assert (found.gaps, found.gap_samples, found.longest_gap) == (1, 10, 10)
    assert found.quality is None
    assert [(one.provenance, one.sigma_mv) for one in found.leads] == [("", None)] * 2


def test_a_lead_without_a_sample_has_no_range() -> None:
    following = Summarizer(("II",))
    following.follow(np.full((1, 9), np.nan, np.float32), None, None)
    [one] = following.summary().leads
    assert (one.missing, one.least_mv, one.most_mv) == (1.0, None, None)


@settings(max_examples=50, deadline=None)
@given(
    lost=st.lists(st.booleans(), min_size=1, max_size=60),
    cut=st.lists(st.integers(0, 60), max_size=4).map(sorted),
)
def test_pieces_are_as_the_whole(lost: list[bool], cut: list[int]) -> None:
    rng = np.random.default_rng(len(lost))
    ecg_mv = rng.normal(0, 1, (2, len(lost))).astype(np.float32)
    ecg_mv[:, lost] = np.nan
    sigma_mv = rng.uniform(0, 1, ecg_mv.shape).astype(np.float32)
    quality = rng.integers(0, 32, ecg_mv.shape).astype(np.uint8)
    quality[:, lost] = Quality.GAP
    whole, parts = Summarizer(("II", "V1")), Summarizer(("II", "V1"))
    whole.follow(ecg_mv, sigma_mv, quality)
    for start, stop in zip([0, *cut], [*cut, len(lost)], strict=True):
        piece = slice(start, stop)
        if lost[piece]:
            parts.follow(ecg_mv[:, piece], sigma_mv[:, piece], quality[:, piece])
    one, other = whole.summary(), parts.summary()
    assert (one.gaps, one.longest_gap, one.quality) == (
        other.gaps,
        other.longest_gap,
        other.quality,
    )
    assert one.gap_samples == other.gap_samples == sum(lost)
    for a, b in zip(one.leads, other.leads, strict=True):
        assert (a.missing, a.least_mv, a.most_mv) == (b.missing, b.least_mv, b.most_mv)
        assert a.sigma_mv == pytest.approx(b.sigma_mv)
