"""Devices and listeners over WebSocket: with their tokens, and everyone else cut off at little cost."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.realtime

websockets = pytest.importorskip("websockets.asyncio.client", reason="no websockets here")

from edge.errors import LeadliftError
from edge.fleet.admission import Admission, add_entry
from edge.fleet.feed import Listeners
from edge.fleet.outputs import PatientSinks
from edge.fleet.websocket_gateway import MAX_MESSAGE_BYTES, WebSocketGateway
from edge.sinks.viewer.messages import HEADER
from tests.edge.fleet.local import TICK_S, LocalShard, fleet_of, frames, until

ROOT = Path(__file__).resolve().parents[3]


class Served:
    """A fleet of one shard behind a gateway, and who may come."""

    def __init__(self, folder: Path) -> None:
        path = folder / "devices.json"
        self.token = add_entry(path, "devices", "watch", ["bed"])
        self.other = add_entry(path, "devices", "watch-2", None)
        self.reader = add_entry(path, "readers", "station", ["bed"])
        self.admission = Admission(path)
        self.told: list[str] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Served]:
        listeners = Listeners()
        words = {"prefilter": "", "model": "m"}
        self.sinks = PatientSinks((), None, listeners.publish, words, self.told.append)
        self.fleet = fleet_of([LocalShard("a")], self.sinks, say=self.told.append)
        self.gateway = WebSocketGateway(self.fleet, self.admission, listeners)
        running = asyncio.create_task(self.fleet.run())
        try:
            async with self.gateway.listening("127.0.0.1", 0):
                yield self
        finally:
            self.fleet.stop()
            await running

    def connect(self, path: str, token: str | None, **given: Any) -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        address = f"ws://127.0.0.1:{self.gateway.port}{path}"
        return websockets.connect(address, additional_headers={**headers, **given}, proxy=None)


def served(folder: Path, scenario: Callable[[Served], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Served(folder).open() as one:
            await scenario(one)

    asyncio.run(run())


def test_frames_in_blocks_out(tmp_path: Path) -> None:
    async def scenario(one: Served) -> None:
        async with (
            one.connect("/patients/bed", f"station:{one.reader}") as station,
            one.connect("/devices/watch", one.token) as watch,
        ):
            for data in frames(2.0):
                await watch.send(data)
                await asyncio.sleep(TICK_S)
            first = await station.recv()
            assert '"patient": "bed"' in first and '"simulated": true' in first
            end = 0
            while end < 480:
                message = await station.recv()
                version, leads, n, _, position = HEADER.unpack_from(message)
                assert (version, leads, position) == (1, 12, end)
                assert len(message) == HEADER.size + 12 * n * 5
                end += n

    served(tmp_path, scenario)


def test_the_example_is_a_device_and_a_listener(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = run_path(str(ROOT / "examples" / "fleet_client.py"))["main"]

    async def scenario(one: Served) -> None:
        address = f"ws://127.0.0.1:{one.gateway.port}"
        await main(address, "watch", one.token, "bed", f"station:{one.reader}", "1.5")

    served(tmp_path, scenario)
    first, *blocks = capsys.readouterr().out.splitlines()
    assert '"patient": "bed"' in first
    assert blocks[0].startswith("samples 0 to ")
    assert all(line.endswith(": 0 values are missing") for line in blocks)


@pytest.mark.parametrize(
    ("path", "token"),
    [
        ("/devices/watch", None),
        ("/devices/watch", ""),
        ("/devices/watch", "{other}"),
        ("/devices/watch", "station:{reader}"),
        ("/devices/nobody", "{token}"),
        ("/devices/watch/..", "{token}"),
        ("/devices/watch?token={token}", None),
        ("/patients/bed", "{token}"),
        ("/patients/watch-2", "station:{reader}"),
        ("/patients/bed", "station:{token}"),
        ("/patients/bed", "watch:{token}"),
        ("/", "{token}"),
        ("/live", "{token}"),
    ],
)
def test_who_is_not_on_the_list_is_refused(tmp_path: Path, path: str, token: str | None) -> None:
    async def scenario(one: Served) -> None:
        known = {"token": one.token, "other": one.other, "reader": one.reader}
        given = None if token is None else token.format(**known)
        with pytest.raises(Exception, match="403"):
            async with one.connect(path.format(**known), given):
                pass
        assert one.gateway.counts["accepted"] == 0

    served(tmp_path, scenario)


def test_a_page_of_a_browser_may_not_ask(tmp_path: Path) -> None:
    async def scenario(one: Served) -> None:
        with pytest.raises(Exception, match="403"):
            async with one.connect("/devices/watch", one.token, Origin="https://elsewhere.example"):
                pass

    served(tmp_path, scenario)


def test_a_device_that_comes_back_goes_on_and_the_old_link_is_closed(tmp_path: Path) -> None:
    async def scenario(one: Served) -> None:
        sent = frames(2.0)
        async with one.connect("/devices/watch", one.token) as old:
            await old.send(b"".join(sent[:2]) + sent[2][:40])  # amid a frame
            await until(
                lambda: "bed" in one.fleet.patients and bool(one.fleet.patients["bed"].leads)
            )
            async with one.connect("/devices/watch", one.token) as new:
                for data in sent[3:]:
                    await new.send(data)
                await until(
                    lambda: one.fleet.patients["bed"].stream.ingest.counters.samples_in >= 440
                )
            await old.wait_closed()
            assert old.close_code == 1012
        counters = one.fleet.patients["bed"].stream.ingest.counters
        assert counters.samples_lost == 50 and counters.gaps == 1

    served(tmp_path, scenario)


@pytest.mark.parametrize(
    "message", ["text", b"\x01" * (MAX_MESSAGE_BYTES + 1)], ids=["text", "long"]
)
def test_what_no_device_says_closes_its_link(tmp_path: Path, message: str | bytes) -> None:
    async def scenario(one: Served) -> None:
        async with one.connect("/devices/watch", one.token) as watch:
            await watch.send(message)
            await watch.wait_closed()
            assert watch.close_code in (1008, 1009)

    served(tmp_path, scenario)


async def hostile(one: Served, kind: int, noise: np.random.Generator) -> None:
    """One connection of somebody who has no token, or does not speak WebSocket at all."""
    if kind % 4 == 0:
        with suppress(Exception):  # refused, or cut off before
            async with one.connect("/devices/watch", "wrong" + str(noise.integers(1 << 30))):
                raise AssertionError("a stranger was let in")
        return
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", one.gateway.port)
        if kind % 4 == 1:
            writer.write(noise.bytes(2000))
        elif kind % 4 == 2:
            writer.write(b"GET /devices/watch HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500)
        with suppress(OSError):
            await writer.drain()
            if kind % 4 != 3:  # the fourth says nothing and goes
                await asyncio.wait([asyncio.ensure_future(reader.read(100))], timeout=0.2)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def under_attack(one: Served, n: int) -> tuple[int, int]:
    """`n` hostile connections and malformed frames beside a device; memory in KiB, before and after."""
    noise = np.random.default_rng(0)
    sent = frames(20.0)
    async with (
        one.connect("/devices/watch", one.token) as watch,
        one.connect("/devices/watch-2", one.other) as broken,
    ):

        async def well() -> None:
            for data in sent:
                await watch.send(data)
                await asyncio.sleep(n * 1e-4)

        playing = asyncio.create_task(well())
        before = 0
        for i in range(0, n, 20):
            await asyncio.gather(*(hostile(one, i + k, noise) for k in range(20)))
            await broken.send(noise.bytes(int(noise.integers(1, 4000))))
            if i == n // 4 // 20 * 20:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await playing
        bed = one.fleet.patients["bed"]
        await until(lambda: len(bed.waiting) < 4)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = one.gateway.counts
    assert counts["accepted"] == 2
    assert counts["refused"] + counts["cut"] > 0
    report = one.fleet.report()
    assert report["corrupt"] > 0
    assert report["samples_missing"] == report["samples_lost"] == report["samples_shed"] == 0
    assert bed.ledger is not None and bed.ledger.samples_out >= 4990
    return before, after


def test_strangers_and_broken_frames_disturb_nobody(tmp_path: Path) -> None:
    async def scenario(one: Served) -> None:
        await under_attack(one, 200)

    served(tmp_path, scenario)


@pytest.mark.slow
def test_ten_thousand_strangers_cost_no_memory(tmp_path: Path) -> None:
    async def scenario(one: Served) -> None:
        before, after = await under_attack(one, 10_000)
        assert after - before < 8 << 10, "KiB"

    served(tmp_path, scenario)


def test_silent_strangers_leave_room_for_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.fleet.websocket_gateway.MOST_STRANGERS", 8)
    monkeypatch.setattr("edge.fleet.websocket_gateway.OPENS_S", 0.3)

    async def scenario(one: Served) -> None:
        held = [await asyncio.open_connection("127.0.0.1", one.gateway.port) for _ in range(12)]
        await until(lambda: one.gateway.counts["cut"] == 4)
        await asyncio.sleep(0.5)
        async with one.connect("/devices/watch", one.token) as watch:
            await watch.send(frames(1.0)[0])
        for _, writer in held:
            writer.close()

    served(tmp_path, scenario)


def test_no_error_names_a_token(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    async def scenario(one: Served) -> None:
        async with one.connect("/devices/watch", one.token) as watch:
            await watch.send("text")
            await watch.wait_closed()
        with pytest.raises(Exception, match="403"):
            async with one.connect("/devices/watch", one.other):
                pass
        mine = [r for r in caplog.records if not r.name.startswith("websockets.client")]
        assert not any(token in r.getMessage() for r in mine for token in (one.token, one.other))
        assert not any(one.token in line for line in one.told)
        with pytest.raises(LeadliftError):
            one.fleet.admit("bed", "watch-2")

    served(tmp_path, scenario)


def test_every_patient_has_a_place_on_the_page_of_all(tmp_path: Path) -> None:
    viewer = pytest.importorskip("edge.sinks.viewer.ward")
    pytest.importorskip("uvicorn", reason="no uvicorn here")

    async def scenario(one: Served) -> None:
        with viewer.Ward(port=0) as ward:
            one.sinks.ward = ward
            for name in ("bed-1", "bed-2"):
                for data in frames(1.0):
                    one.fleet.receive(name, name, data)
            await until(lambda: {place.name for place in ward._all()} == {"bed-1", "bed-2"})
            await until(lambda: all(place.channel.picture.end > 200 for place in ward._all()))
            assert not one.told

    served(tmp_path, scenario)
