"""`ble:` as a source, end to end: any MTU, losses of the link, stalls; every lost sample accounted for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dbus_fast", reason="the fake BlueZ needs dbus-fast, which bleak has on Linux")

from benchmarks.wire.bluez.fake_bluez import FakePeripheral
from benchmarks.wire.bluez.fake_radio import INFO, Peripheral, Radio
from firmware_bridge.errors import PeerError, SourceSpecError, StallError, TransportLost
from firmware_bridge.events import Battery, Corrupt, Event, Gap, Restarted, Samples, StreamInfo
from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info
from firmware_bridge.source import Source, Timed, open_source
from firmware_bridge.wire.spec import LEADS
from tests.firmware_bridge.ble_host import ADDRESS, run

pytestmark = [pytest.mark.realtime, pytest.mark.usefixtures("bluetooth", "quick")]
ROWS = [LEADS.index(name) for name in ("II", "V1", "V5")]
SPEC = f"ble:{ADDRESS}"


def take(source: Source, until: Callable[[list[Timed]], object]) -> list[Timed]:
    """What `source` says until `until` is true of it."""

    async def host() -> list[Timed]:
        taken: list[Timed] = []
        async with source:
            async for timed in source:
                taken.append(timed)
                if until(taken):
                    break
        return taken

    taken: list[Timed] = run(host())
    return taken


def samples(taken: list[Timed]) -> list[Samples]:
    return [timed.event for timed in taken if isinstance(timed.event, Samples)]


def n_samples(n: int) -> Callable[[list[Timed]], object]:
    return lambda taken: sum(s.counts.shape[1] for s in samples(taken)) >= n


def accounted(taken: list[Timed]) -> tuple[int, int]:
    """Samples received and samples told lost; together they are all that the device took meanwhile."""
    received = sum(s.counts.shape[1] for s in samples(taken))
    lost = sum(t.event.n_samples for t in taken if isinstance(t.event, Gap))
    first, last = samples(taken)[0], samples(taken)[-1]
    assert received + lost == last.first_sample + last.counts.shape[1] - first.first_sample
    assert not any(isinstance(t.event, Restarted) for t in taken)
    return received, lost


@pytest.mark.parametrize("notify", ["start", "acquire"])
@pytest.mark.parametrize("mtu", [23, 24, 247, 517])
def test_any_mtu_carries_the_same_stream(radio: Radio, mtu: int, notify: str) -> None:
    signal = EcgSimulator(500.0, seed=3)
    # 17 + 25 x 9 + 4 bytes and more: a frame of 254 bytes needs 13 of the smallest notifications.
    wearable = VirtualWearable(signal, stream_info(500.0, session=2), frames_hz=20)
    with Peripheral(radio, wearable, mtu=mtu) as device:
        taken = take(open_source(f"{SPEC}?notify={notify}"), n_samples(100))
        assert device.fake.truncated == 0
    assert {type(t.event) for t in taken} <= {StreamInfo, Battery, Samples, Corrupt}
    # The subscription may begin in the middle of a frame, never end in one.
    assert not any(isinstance(t.event, Corrupt) for t in taken[1:])
    accounted(taken)
    first = samples(taken)[0].first_sample
    got = np.concatenate([s.counts for s in samples(taken)], axis=1) * 50e-6
    truth = EcgSimulator(500.0, seed=3).read(first + got.shape[1])[ROWS, first:]
    np.testing.assert_allclose(got, truth, atol=26e-6)


def test_notifications_that_the_mtu_truncates_are_never_believed(radio: Radio) -> None:
    with Peripheral(radio, mtu=23, cut=False) as device:
        source = open_source(SPEC, peer_s=0.3)
        with pytest.raises(PeerError, match="no valid frame"):
            take(source, lambda taken: not isinstance(taken[-1].event, Corrupt))
        assert device.fake.truncated > 3


def test_a_notification_keeps_its_own_time_of_arrival(device: Peripheral) -> None:
    def slow(taken: list[Timed]) -> bool:
        time.sleep(0.1)  # a consumer in the way: three notifications come meanwhile
        return len(samples(taken)) >= 10

    taken = take(open_source(SPEC), slow)
    arrivals = np.array([t.arrival_ns for t in taken if isinstance(t.event, Samples)])
    assert np.all(np.diff(arrivals) > 0)


def test_what_comes_over_ble_is_captured_and_replays_the_same(
    device: Peripheral, tmp_path: Path
) -> None:
    capture = tmp_path / "ble.capture"
    dropped = []

    def until(taken: list[Timed]) -> bool:
        if samples(taken) and not dropped:
            dropped.append(True)
            device.drop()
        return len(samples(taken)) > 10 and bool(dropped)

    live = take(open_source(SPEC, capture=capture), until)
    replayed = take(open_source(f"replay:{capture}?speed=inf"), lambda taken: False)
    assert [type(t.event) for t in replayed] == [type(t.event) for t in live]
    assert accounted(replayed) == accounted(live)


def follow(
    device: Peripheral, losses: int, every_s: float, away_s: float
) -> tuple[list[Timed], list[float]]:
    """Lose the link `losses` times: what was said, and how long after each return the stream was back."""
    resumed_s: list[float] = []

    async def disturb(source: Source, heard: asyncio.Event) -> None:
        for _ in range(losses):
            await asyncio.sleep(every_s - away_s)
            await asyncio.to_thread(device.drop, away_s)
            heard.clear()
            returned_s = time.monotonic()
            await heard.wait()
            resumed_s.append(time.monotonic() - returned_s)

    async def host() -> list[Timed]:
        taken: list[Timed] = []
        heard = asyncio.Event()
        async with open_source(SPEC) as source:
            disturbing = asyncio.ensure_future(disturb(source, heard))
            async for timed in source:
                taken.append(timed)
                if isinstance(timed.event, Samples):
                    heard.set()
                    if disturbing.done():
                        break
            await disturbing
            assert source.reconnects == losses
            assert not source.in_outage
        return taken

    taken: list[Timed] = asyncio.run(asyncio.wait_for(host(), losses * (every_s + 3.0) + 10.0))
    assert len(resumed_s) == losses
    return taken, resumed_s


def test_a_lost_link_comes_back_and_every_lost_sample_is_accounted_for(
    device: Peripheral,
) -> None:
    taken, _ = follow(device, losses=3, every_s=0.6, away_s=0.3)
    _, lost = accounted(taken)
    assert lost >= 3 * 0.3 * 250
    assert sum(isinstance(t.event, Gap) for t in taken) == 3


@pytest.mark.slow
def test_ten_losses_in_two_minutes(device: Peripheral) -> None:
    taken, resumed_s = follow(device, losses=10, every_s=12.0, away_s=4.0)
    assert max(resumed_s) < 3.0
    _, lost = accounted(taken)
    assert 10 * 4.0 * 250 <= lost <= 10 * 7.0 * 250
    assert sum(isinstance(t.event, Gap) for t in taken) == 10


def test_a_frame_that_the_loss_cut_spoils_no_other(radio: Radio) -> None:
    with Peripheral(radio, mtu=23) as device:
        half: list[int] = []

        def wake() -> None:
            device.silent = False

        def until(taken: list[Timed]) -> bool:
            if len(samples(taken)) == 3 and not half:

                async def cut() -> None:
                    frame = device.wearable.next_frame()
                    assert frame is not None
                    await radio.bluez.notify(device.fake, device.stream, frame.data[:20])
                    half.append(frame.first_sample)

                device.silent = True
                device.fake.on_disconnect = wake
                radio.run(cut())
                time.sleep(0.05)  # it travels
                device.drop()
            return len(samples(taken)) >= 6

        taken = take(open_source(SPEC), until)
    corrupt = [t.event for t in taken if isinstance(t.event, Corrupt)]
    assert [c.n_bytes for c in corrupt] == [20]
    accounted(taken)
    after = next(s for s in samples(taken) if s.first_sample > half[0])
    gap = next(t.event for t in taken if isinstance(t.event, Gap))
    assert gap.first_sample + gap.n_samples == after.first_sample


def test_a_device_that_stalls_without_a_word_is_connected_anew(device: Peripheral) -> None:
    source = open_source(SPEC, stall_s=0.3)

    def until(taken: list[Timed]) -> bool:
        device.silent = len(samples(taken)) == 3 and not source.reconnects
        return len(samples(taken)) >= 6

    def wake() -> None:
        device.silent = False

    device.fake.on_disconnect = wake  # what ails it ends with the connection
    taken = take(source, until)
    assert source.reconnects == 1
    assert device.fake.calls["Connect"] == 2
    accounted(taken)


def test_a_stall_that_no_connection_cures_is_told_at_the_bound(device: Peripheral) -> None:
    def until(taken: list[Timed]) -> bool:
        device.silent = len(samples(taken)) >= 3
        return False

    with pytest.raises(StallError, match=r"silent for 0\.2 s; .* not back within 1 s"):
        take(open_source(SPEC, stall_s=0.2, reconnect_s=1.0), until)
    assert device.fake.calls["Connect"] > 1
    assert not device.fake.connected


def test_a_device_that_never_says_anything_is_told_at_once(device: Peripheral) -> None:
    device.silent = True
    with pytest.raises(StallError, match=r"silent for 0\.2 s; check that the device is on"):
        take(open_source(SPEC, stall_s=0.2), lambda taken: False)
    assert device.fake.calls["Connect"] == 1


def test_an_adapter_that_is_switched_off_and_on_is_waited_for(
    radio: Radio, device: Peripheral
) -> None:
    said: list[str] = []

    def until(taken: list[Timed]) -> bool:
        if len(samples(taken)) == 3 and not said:
            said.append("off")
            radio.do(radio.bluez.power, False)
            radio.later(0.5, radio.bluez.power, True)
        return len(samples(taken)) >= 6

    accounted(take(open_source(SPEC), until))


def test_an_adapter_that_stays_off_is_named_at_the_end(radio: Radio, device: Peripheral) -> None:
    def until(taken: list[Timed]) -> bool:
        if len(samples(taken)) == 3:
            radio.do(radio.bluez.power, False)
        return False

    with pytest.raises(
        TransportLost, match=r"has gone: .* not back within 0\.5 s .* adapter is off"
    ):
        take(open_source(f"{SPEC}?reconnect=0.5"), until)


def test_another_device_under_its_address_is_refused(radio: Radio, device: Peripheral) -> None:
    def until(taken: list[Timed]) -> bool:
        if len(samples(taken)) == 3:
            radio.do(radio.bluez.remove, device.fake)
            radio.do(radio.bluez.add, FakePeripheral(ADDRESS, "HRM", {}))
        return False

    with pytest.raises(PeerError, match="is no leadlift wearable"):
        take(open_source(SPEC), until)


def test_the_battery_that_the_stream_tells_is_an_event(device: Peripheral) -> None:
    encoder_frame = device.wearable._encoder.battery

    def until(taken: list[Timed]) -> bool:
        if len(samples(taken)) == 2:

            async def say() -> None:
                await radio_notify(encoder_frame(42))

            device.radio.run(say())
        return any(isinstance(t.event, Battery) for t in taken)

    async def radio_notify(frame: bytes) -> None:
        await device.radio.bluez.notify(device.fake, device.stream, frame)

    events: list[Event] = [t.event for t in take(open_source(SPEC), until)]
    assert Battery(42) in events


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("ble:?notify=maybe", "use one of acquire, start"),
        ("ble:?pair=yes", "use one of 0, 1"),
        ("ble:?device=csv", "device=csv does not speak BLE here: use one of"),
        ("ble:?mtu=23", "unknown option 'mtu'"),
        ("ble:?scan=soon", "use a number"),
    ],
)
def test_a_name_that_cannot_be_understood(spec: str, says: str) -> None:
    with pytest.raises(SourceSpecError, match=says):
        open_source(spec)


def test_the_info_of_the_stream_is_the_devices(device: Peripheral) -> None:
    taken = take(open_source(SPEC), lambda taken: isinstance(taken[-1].event, StreamInfo))
    assert taken[-1].event == INFO
