"""A wearable that reconstructs its leads itself: they pass through as what they are, undecoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edge.commands.device_decoder import DeviceDecoder
from edge.commands.live_report import summary
from edge.commands.monitor import Monitor
from edge.errors import InputError
from edge.leads import LEADS, Provenance, provenance
from edge.live.ingest import FILLED
from edge.live.runtime import Runtime
from edge.reconstructor import Reconstructor
from firmware_bridge.errors import LeadliftError, PeerError
from firmware_bridge.events import Reconstruction
from firmware_bridge.simulators.recording import Recording
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import Link, Source, Timed
from firmware_bridge.transports.memory import MemoryTransport
from firmware_bridge.wire.decoder import WireDecoder
from firmware_bridge.wire.encoder import WireEncoder
from tests.edge.fakes import FakeReconstructor, ListSink
from tests.edge.signals import joined, three_leads

MEASURED = ("II", "V1", "V5")
SAID = Reconstruction(LEADS, tuple(map(str, provenance())), 250.0, 1000.0, config_id=1, model="m")


def frames(measured: bool, n: int = 2000) -> list[bytes]:
    """What a virtual wearable sends of `three_leads`, a frame each; V5 is off for a while."""
    decoder = DeviceDecoder(MEASURED, 250.0)
    wearable = VirtualWearable(
        Recording(three_leads(n), 250.0, MEASURED), decoder=decoder, measured=measured
    )
    sent = []
    while (frame := wearable.next_frame()) is not None:
        sent.append(frame.data)
        wearable.lead_off = 0b100 if 60 <= len(sent) < 90 else 0
    return sent


def made_here(n: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same by `edge.Reconstructor` of what the wearable's converter takes."""
    info = stream_info(250.0)
    wearable = VirtualWearable(Recording(three_leads(n), 250.0, MEASURED))
    scale = info.nanovolts_per_lsb * 1e-6
    with Reconstructor.open(leads=MEASURED) as r:
        blocks, sent = [], 0
        while (due := wearable.next_frame()) is not None:
            at = slice(due.first_sample, due.first_sample + due.n_samples)
            ecg = (np.rint(three_leads(n)[:, at].astype(np.float64) / scale) * scale).astype(
                np.float32
            )
            if 60 <= sent < 90:
                ecg[2] = np.nan
            blocks.append(r.push(ecg))
            sent += 1
    block = joined([b for b in blocks if b.n_samples])
    return block.ecg_mv, block.sigma_mv, block.quality


def run(data: list[bytes], **options: object) -> tuple[Runtime, FakeReconstructor, ListSink]:
    transport, reconstructor, sink = (
        MemoryTransport(capacity_bytes=1 << 20),
        FakeReconstructor(),
        ListSink(),
    )
    source = Source(Link(transport, WireDecoder(), "wire"), name="memory:", stall_s=5.0, peer_s=3.0)
    runtime = Runtime(source, reconstructor, {"list:": sink}, **options)  # type: ignore[arg-type]
    for piece in data:
        assert transport.feed(piece)
    transport.end()
    runtime.run()
    return runtime, reconstructor, sink


@pytest.mark.parametrize("measured", [False, True])
def test_what_the_device_made_passes_through_as_what_it_is(measured: bool) -> None:
    runtime, reconstructor, sink = run(frames(measured))
    block = joined(sink.blocks)
    ecg, sigma, quality = made_here()
    n = block.n_samples
    assert n == 2000
    assert reconstructor.pushed == []
    np.testing.assert_allclose(block.ecg_mv, ecg, atol=5.01e-4, rtol=0)
    np.testing.assert_allclose(block.sigma_mv, sigma, rtol=0.0225, atol=0)
    assert np.isnan(block.ecg_mv[LEADS.index("V5")]).any()
    assert (block.quality & quality == quality).all()  # no sample without its flag
    assert block.provenance == provenance()
    report = runtime.report()
    assert (report["engine"], report["samples_in"], report["samples_lost"]) == ("device", n, 0)
    assert report["leads"] == list(MEASURED)
    assert runtime.reconstruction is not None
    assert runtime.reconstruction.model == "leadlift-any-to-12"
    (notice,) = [line for line in runtime.warnings if "itself" in line]
    assert "nothing is decoded here" in notice


def test_a_short_gap_is_filled_and_flagged_and_a_long_one_jumps() -> None:
    sent = frames(False)
    del sent[100:102], sent[120:140]
    runtime, _, sink = run(sent)
    counters = runtime.ingest.counters
    lost = counters.samples_lost
    assert counters.gaps == 2
    assert 12 <= counters.samples_interpolated <= 25
    assert (
        sum(block.n_samples for block in sink.blocks) == 2000 - lost + counters.samples_interpolated
    )
    filled = sum(int((b.quality[0] & FILLED == FILLED).sum()) for b in sink.blocks)
    assert filled == counters.samples_interpolated
    last = sink.blocks[-1]
    assert last.first_sample + last.n_samples == 2000


class Fake:
    """A decoder for what no real one says."""

    def __init__(self, said: Reconstruction) -> None:
        self.said = said

    def reset(self) -> None: ...

    def push(self, ecg_mv: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        shape = (len(self.said.leads), ecg_mv.shape[1])
        return np.ones(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.uint8)


def said_by(said: Reconstruction, n: int = 500) -> list[bytes]:
    wearable = VirtualWearable(
        Recording(three_leads(n), 250.0, MEASURED), decoder=Fake(said), measured=False
    )
    sent = []
    while (frame := wearable.next_frame()) is not None:
        sent.append(frame.data)
    return sent


def test_leads_may_come_in_any_order() -> None:
    order = tuple(reversed(LEADS))
    whence = dict(zip(SAID.leads, SAID.provenance, strict=True))
    said = replace(SAID, leads=order, provenance=tuple(whence[lead] for lead in order))
    _, _, sink = run(said_by(said))
    assert sink.blocks[0].provenance == provenance()


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (
            replace(SAID, leads=LEADS[:6], provenance=SAID.provenance[:6]),
            PeerError,
            "and not V1, V2, V3, V4, V5, V6",
        ),
        (replace(SAID, sampling_hz=500.0), InputError, "reconstructs at 500 Hz, the outputs"),
        (replace(SAID, sampling_hz=1e6), InputError, "give one from 50 to 8000 Hz"),
    ],
    ids=["six leads", "another rate", "a rate that no ECG has"],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    said: Reconstruction, error: type[LeadliftError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        run(said_by(said))
    assert "\n" not in str(caught.value)


def test_a_calibration_is_not_left_out_in_silence() -> None:
    transport, reconstructor = MemoryTransport(capacity_bytes=1 << 20), FakeReconstructor()
    reconstructor.patient = "somebody"  # type: ignore[attr-defined]
    source = Source(Link(transport, WireDecoder(), "wire"), name="memory:")
    runtime = Runtime(source, reconstructor, {"list:": ListSink()})
    for piece in said_by(SAID):
        transport.feed(piece)
    transport.end()
    with pytest.raises(
        InputError, match="the calibration cannot be applied: run without --patient"
    ):
        runtime.run()


def test_a_device_that_changes_its_mind_is_refused() -> None:
    other = replace(SAID, provenance=("reconstructed",) * 12)
    encoder = WireEncoder(stream_info(250.0), sequence=900)
    sent = [*said_by(SAID), encoder.reconstruction(other)]
    with pytest.raises(PeerError, match="changed which leads it reconstructs"):
        run(sent)


def test_one_that_says_it_late_is_decoded_here_and_the_user_is_told() -> None:
    wearable = VirtualWearable(Recording(three_leads(500), 250.0, MEASURED))
    first = wearable.next_frame()
    assert first is not None
    sent = [first.data, wearable._encoder.reconstruction(SAID)]
    while (frame := wearable.next_frame()) is not None:
        sent.append(frame.data)
    runtime, reconstructor, _ = run(sent)
    assert sum(reconstructor.pushed) == 500
    assert any("says late" in line for line in runtime.warnings)


def test_samples_of_which_nothing_was_said_are_counted() -> None:
    sent = said_by(SAID)
    sent[0] = sent[0].split(b"\0", 3)[-1]  # without the introduction
    runtime, _, sink = run(sent)
    assert runtime.ingest.counters.samples_before_info > 0
    assert (
        sum(b.n_samples for b in sink.blocks) + runtime.ingest.counters.samples_before_info == 500
    )


def monitored(sent: list[bytes]) -> tuple[Monitor, list[str]]:
    decoder, monitor, lines = WireDecoder(), Monitor(), []
    for i, piece in enumerate(sent):
        for event in decoder.receive_data(piece):
            now_ns = i * 40_000_000
            lines += monitor.take(Timed(event, now_ns), now_ns)
    return monitor, lines


def _rows(monitor: Monitor) -> dict[str, Provenance]:
    picture = monitor.picture()
    assert picture.provenance is not None
    return dict(zip(picture.leads, picture.provenance, strict=True))


@pytest.mark.parametrize(
    ("make", "shown"),
    [(lambda: frames(False, 1000), LEADS), (lambda: frames(True, 1000), MEASURED)],
    ids=["alone", "beside the measured leads"],
)
def test_monitor_shows_it_as_reconstructed(
    make: Callable[[], list[bytes]], shown: tuple[str, ...]
) -> None:
    monitor, lines = monitored(make())
    said = (
        "reconstructed on the device by leadlift-any-to-12: I, III, aVR, aVL, aVF, V2, V3, V4, V6"
    )
    assert said in lines
    rows = _rows(monitor)
    assert tuple(rows) == shown
    assert all((rows[lead] is Provenance.MEASURED) == (lead in MEASURED) for lead in shown)
    assert ("I (reconstructed)" in lines[-1]) == ("I" in shown)
    assert monitor.ingest.counters.samples_in == 1000


def test_the_summary_names_the_devices_model() -> None:
    report = {
        **{"latency_us": {"p50": 1.0, "p99": 2.0}, "outputs": [], "patient": None, "warnings": []},
        **{"seconds": 1.0, "samples_in": 1, "device_hz": 250.0, "samples_out": 1},
        **{"sampling_hz": 250.0, "samples_lost": 0, "gaps": 0, "reconnects": 0},
        **{"deadline_misses": 0, "engine": "device", "bundle_sha256": "", "device_model": "m"},
    }
    assert "engine     device, model m\npatient    none: the device's decoder" in summary(report)
