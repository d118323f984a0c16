"""Be a device of a fleet, and listen to the twelve leads that it makes; both over WebSocket.

python examples/fleet_client.py ws://127.0.0.1:8770 watch-3 TOKEN bed-3 station:TOKEN 10

`leadlift fleet --devices devices.json --add-device watch-3=bed-3` prints the first token, `--add-reader` the
second; docs/fleet.md has the messages. The device is simulated; a real one sends what its firmware encodes.
"""

from __future__ import annotations

import asyncio
import struct
import sys

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from firmware_bridge.simulators.ecg import EcgSimulator
from firmware_bridge.simulators.wearable import VirtualWearable, stream_info

BLOCK = struct.Struct("<BBHId")  # version, leads, samples, zero, index of the first sample
MISSING = -32768


async def send(device: ClientConnection, seconds: float) -> None:
    wearable = VirtualWearable(EcgSimulator(250.0), stream_info(250.0))
    loop = asyncio.get_running_loop()
    began = loop.time()
    while (frame := wearable.next_frame()) is not None and frame.due_s <= seconds:
        await asyncio.sleep(began + frame.due_s - loop.time())
        await device.send(frame.data)


async def listen(station: ClientConnection) -> None:
    async for message in station:
        if isinstance(message, str):
            print(message)
            continue
        _, leads, n, _, first = BLOCK.unpack_from(message)
        ecg_uv = np.frombuffer(message, "<i2", leads * n, BLOCK.size).reshape(leads, n)
        missing = (ecg_uv == MISSING).sum()
        print(f"samples {first:.0f} to {first + n:.0f}: {missing} values are missing")


async def main(url: str, device: str, token: str, patient: str, reader: str, seconds: str) -> None:
    def opened(path: str, token: str) -> connect:
        return connect(url + path, additional_headers={"Authorization": f"Bearer {token}"})

    async with (
        opened(f"/patients/{patient}", reader) as station,
        opened(f"/devices/{device}", token) as watch,
    ):
        listening = asyncio.create_task(listen(station))
        await send(watch, float(seconds))
        listening.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:])) if len(sys.argv) == 7 else sys.exit(__doc__)
