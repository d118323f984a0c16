"""Leads that come and go, from a simulated wearable through wire format and ingest to the decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edge.bundle import Bundle, load_bundle, read_bundle, write_bundle
from edge.leads import LEADS
from edge.live.runtime import Runtime
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import Link, Source
from firmware_bridge.transports.memory import MemoryTransport
from firmware_bridge.wire.decoder import WireDecoder
from tests.edge.fakes import ListSink

HZ = 250
V1, V2, V5 = (LEADS.index(lead) for lead in ("V1", "V2", "V5"))
SECONDS, OFF_S, ON_S = 16, 6, 10
SET = ("II", "V1", "V5")


def frames(how: str) -> list[bytes]:
    """What a wearable says whose V1 is off from OFF_S to ON_S, or with "none" on all along."""
    signal, info = EcgSimulator(HZ, seed=5), stream_info(HZ, SET)
    device = VirtualWearable(signal, info, vary_frames=False)
    data = []
    for first in range(0, SECONDS * HZ, HZ // 25):
        away = OFF_S * HZ <= first < ON_S * HZ
        if how == "electrode":
            device.lead_off = 0b010 if away else 0
        frame = device.next_frame()
        assert frame is not None
        assert frame.first_sample == first
        data.append(frame.data)
    return data


def run(data: list[bytes], bundle: Bundle | None = None) -> tuple[Runtime, ListSink]:
    transport = MemoryTransport()
    link = Link(transport, WireDecoder(), "wire", live=False)
    sink = ListSink()
    with Reconstructor.open(bundle, leads=SET) as reconstructor:
        runtime = Runtime(Source(link, name="memory:"), reconstructor, {"list:": sink}, leads=SET)
        for piece in data:
            assert transport.feed(piece)
        transport.end()
        runtime.run()
    return runtime, sink


def test_an_electrode_that_goes_off_and_returns_changes_sigma_and_resets_nothing() -> None:
    runtime, sink = run(frames("electrode"))
    ecg, sigma = sink.ecg_mv, np.hstack([block.sigma_mv for block in sink.blocks])
    flags = np.hstack([block.quality for block in sink.blocks])
    firsts = [block.first_sample for block in sink.blocks]
    assert firsts == list(np.cumsum([0] + [block.n_samples for block in sink.blocks[:-1]]))
    assert ecg.shape == (12, SECONDS * HZ)
    # On, off and on again; a gap of 100 ms is bridged, so it is off a little later than its samples.
    on, off, again = (
        slice(a * HZ, b * HZ) for a, b in ((3, OFF_S), (OFF_S + 1, ON_S), (ON_S + 2, SECONDS))
    )
    lead_off = flags & Quality.LEAD_OFF != 0
    for part in (on, again):
        assert not lead_off[:, part].any()
        assert np.isfinite(ecg[:, part]).all()
    assert lead_off[V1, off].all()
    assert np.isnan(ecg[V1, off]).all()
    others = [row for row in range(12) if row != V1]
    assert np.isfinite(ecg[others][:, off]).all()
    assert not lead_off[V5, off].any()
    # V2 rests on V1 more than on any other: without it, it is less certain; by how much the decoder says, to
    # which the share of the amplitude is added with V1 and without.
    shipped = load_bundle()
    manifest = replace(shipped.manifest, sigma_amplitude=0.0)
    _, plain = run(frames("electrode"), read_bundle(write_bundle(shipped.data, manifest)))
    decoders = np.hstack([block.sigma_mv for block in plain.blocks])
    for of, factor in ((sigma, 1.0), (decoders, 1.1)):
        middle = [float(np.median(of[V2, part])) for part in (on, off, again)]
        assert middle[1] > factor * max(middle[0], middle[2])
    assert (sigma[[LEADS.index("II"), V5]] == 0).all()
    report = runtime.report()
    assert [
        report[name] for name in ("samples_in", "samples_out", "samples_lost", "gaps", "restarts")
    ] == [
        SECONDS * HZ,
        SECONDS * HZ,
        0,
        0,
        0,
    ]
    assert report["warnings"] == []


def test_leads_that_stay_are_what_they_would_have_been() -> None:
    """Measured leads know nothing of V1, and the made-up ones are the same again after its return."""
    _, whole = run(frames("none"))
    _, sink = run(frames("electrode"))
    rows = [LEADS.index("II"), V5]
    np.testing.assert_array_equal(sink.ecg_mv[rows], whole.ecg_mv[rows])
    before = slice(0, OFF_S * HZ)
    np.testing.assert_array_equal(sink.ecg_mv[:, before], whole.ecg_mv[:, before])
    after = slice((ON_S + 4) * HZ, None)
    assert np.sqrt(np.square(sink.ecg_mv - whole.ecg_mv)[:, after].mean()) < 0.02
