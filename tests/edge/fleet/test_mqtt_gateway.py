"""Devices and listeners over a real broker: mosquitto, on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.realtime

aiomqtt = pytest.importorskip("aiomqtt", reason="no aiomqtt here")

from edge.errors import InputError
from edge.fleet.fleet import Fleet
from edge.fleet.mqtt_gateway import Broker, MqttGateway
from edge.fleet.outputs import PatientSinks
from edge.sinks.viewer.messages import HEADER
from tests.edge.fleet.local import LocalShard, fleet_of, frames, until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    conf = tmp_path / "mosquitto.conf"
    conf.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = subprocess.Popen([MOSQUITTO, "-c", conf], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        broker.terminate()
        broker.wait(10)


def token_of(value: str) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("token", value)]
    return properties


def test_frames_in_blocks_out_and_nobody_without_a_token(tmp_path: Path, port: int) -> None:
    from edge.fleet.admission import Admission, add_entry

    path, told = tmp_path / "devices.json", list[str]()
    token = add_entry(path, "devices", "watch", ["bed"])
    add_entry(path, "devices", "watch-2", None)

    async def scenario() -> None:
        gateways: list[MqttGateway] = []
        words = {"prefilter": "", "model": "m"}
        sinks = PatientSinks(
            (), None, lambda *said: [one.publish(*said) for one in gateways], words, told.append
        )
        fleet: Fleet = fleet_of([LocalShard("a")], sinks, say=told.append)
        broker = Broker.parse(f"mqtt://127.0.0.1:{port}")
        gateway = MqttGateway(fleet, Admission(path), broker, publishes=True, say=told.append)
        gateways.append(gateway)
        tasks = [asyncio.create_task(fleet.run()), asyncio.create_task(gateway.run())]
        got: list[Any] = []

        async def listen() -> None:
            async with aiomqtt.Client("127.0.0.1", port) as station:
                await station.subscribe("leadlift/patients/#")
                async for message in station.messages:
                    got.extend([(str(message.topic), message.payload)])

        tasks.append(asyncio.create_task(listen()))
        await until(lambda: gateway.connected.is_set() or tasks[1].done())
        v5 = aiomqtt.ProtocolVersion.V5
        async with aiomqtt.Client("127.0.0.1", port, protocol=v5) as client:
            for data in frames(2.0):
                topic = "leadlift/devices/watch/frames"
                await client.publish(topic, data, qos=1, properties=token_of(token))
                for name, wrong in (("watch", "guess"), ("watch-2", token), ("nobody", token)):
                    topic = f"leadlift/devices/{name}/frames"
                    await client.publish(topic, data, properties=token_of(wrong))
            await client.publish("leadlift/devices/watch/frames", frames(1.0)[0])
            await until(lambda: gateway.counts.total() - gateway.counts["published"] == 41)
            await until(lambda: sum("blocks" in topic for topic, _ in got) >= 8)
        assert [*fleet.patients] == ["bed"]
        assert (gateway.counts["accepted"], gateway.counts["refused"]) == (10, 31)
        fleet.stop()
        await tasks[0]
        await until(lambda: any(b"ended" in payload for _, payload in got))
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        states = [json.loads(p) for topic, p in got if topic == "leadlift/patients/bed/state"]
        assert states[0]["simulated"] is True and states[-1]["ended"] is True
        end = 0
        for topic, payload in got:
            if topic == "leadlift/patients/bed/blocks":
                _, leads, n, _, position = HEADER.unpack_from(payload)
                assert (leads, position) == (12, end)
                end += n
        assert end >= 480
        assert not any(token in line for line in told)

    asyncio.run(scenario())


def test_a_broker_that_is_away_is_waited_for() -> None:
    from edge.fleet.admission import Admission

    told: list[str] = []

    async def scenario(path: Path) -> None:
        fleet = fleet_of([LocalShard("a")], lambda patient: {}, say=told.append)
        gateway = MqttGateway(
            fleet, Admission(path), Broker("127.0.0.1", 1, False, None), say=told.append
        )
        task = asyncio.create_task(gateway.run())
        await until(lambda: bool(told) or task.done())
        assert not task.done() and "no broker at 127.0.0.1:1" in told[0]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        (path := Path(folder) / "devices.json").write_text("{}")
        asyncio.run(scenario(path))


@pytest.mark.parametrize(
    ("text", "broker"),
    [
        ("mqtt://ward", Broker("ward", 1883, False, None)),
        ("ward:1884", Broker("ward", 1884, False, None)),
        ("mqtts://me%40here@ward", Broker("ward", 8883, True, "me@here")),
        ("mqtt://[::1]:7", Broker("::1", 7, False, None)),
    ],
)
def test_where_a_broker_is(text: str, broker: Broker) -> None:
    assert Broker.parse(text) == broker


@pytest.mark.parametrize(
    "text",
    ["http://ward", "mqtt://", "mqtt://ward:port", "mqtt://ward/topic", "mqtt://me:secret@ward"],
)
def test_what_is_no_broker(text: str) -> None:
    with pytest.raises(InputError) as refused:
        Broker.parse(text)
    assert "secret" not in str(refused.value)
