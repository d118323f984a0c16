"""Quality to annotations: right onset and duration, bounded number, the same for any chunking."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.files.annotations import MAX_EPISODE_S, Annotation, QualityAnnotator
from edge.leads import LEADS, provenance
from edge.quality import Quality
from tests.edge.sinks.blocks import block, ecg

HZ = 100.0


def annotate(ecg_mv: np.ndarray, flags: np.ndarray, step: int) -> list[Annotation]:
    annotator = QualityAnnotator(HZ, provenance())
    found: list[Annotation] = []
    for at in range(0, ecg_mv.shape[1], step):
        here = slice(at, at + step)
        found += annotator.follow(block(ecg_mv[:, here], at, flags[:, here], HZ), at)
    return sorted(found + annotator.finish(), key=lambda a: (a.onset, a.text))


@settings(max_examples=25, deadline=None)
@given(
    step=st.integers(1, 400),
    runs=st.lists(
        st.tuples(st.integers(0, 350), st.integers(1, 49), st.integers(0, 11)), max_size=6
    ),
)
def test_any_chunking_gives_the_same(step: int, runs: list[tuple[int, int, int]]) -> None:
    flags = np.zeros((12, 400), np.uint8)
    for start, n, lead in runs:
        flags[lead, start : start + n] |= np.uint8(Quality.NOISY if lead % 2 else Quality.SETTLING)
    assert annotate(ecg(400), flags, step) == annotate(ecg(400), flags, 1)


def test_lead_off_by_lead_and_what_follows_from_it() -> None:
    sent = ecg(300)
    flags = np.zeros(sent.shape, np.uint8)
    for lead in ("II", "III", "aVR", "aVL", "aVF"):
        sent[LEADS.index(lead), 50:250] = np.nan
    flags[:, 50:250] = Quality.LEAD_OFF
    flags[[LEADS.index("V1"), LEADS.index("V5")]] = 0
    assert annotate(sent, flags, 10) == [
        Annotation(50, 200, "lead off II"),
        Annotation(50, 200, "no signal III aVR aVL aVF"),
    ]


def test_flicker_is_one_annotation_and_all_leads_are_not_listed() -> None:
    flags = np.zeros((12, 400), np.uint8)
    flags[:, 20:200:4] = Quality.CLIPPED
    flags[3, 380:] = Quality.INTERPOLATED
    assert annotate(ecg(400), flags, 16) == [
        Annotation(20, 177, "clipped"),
        Annotation(380, 20, "interpolated aVR"),
    ]


def test_lasting_condition_is_written_once_a_minute() -> None:
    n = round(2.5 * MAX_EPISODE_S * HZ)
    flags = np.full((12, n), Quality.NOISY, np.uint8)
    found = annotate(np.zeros((12, n), np.float32), flags, 25)
    assert [a.n_samples for a in found] == [6000, 6000, 3000]
    assert [a.onset for a in found] == [0, 6000, 12000]
