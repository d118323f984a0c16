"""Draw docs/terminal.svg: ten seconds of the simulator, as `leadlift run` shows them in a terminal.

Run it from a checkout: `python docs/draw_terminal.py`. The same signal gives the same picture.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console

import edge
from edge.expected import card_of
from edge.files.recording import Metadata
from edge.sinks.base import LiveStatus
from edge.sinks.drawing import Drawn
from edge.sinks.picture import LivePicture
from edge.sinks.screen import frame
from firmware_bridge.simulators.ecg import EcgSimulator

SECONDS = 12
SIZE = (120, 38)  # columns, rows


def draw() -> str:
    """The picture as SVG that asks no other host for a font."""
    simulator = EcgSimulator(250.0, 72.0)
    rows = [simulator.leads.index(lead) for lead in edge.INPUT_LEADS]
    status = LiveStatus(recording=("recording.edf",), battery_percent=87, device="virtual wearable")
    with edge.Reconstructor.open() as reconstructor:
        metadata = Metadata(simulated=True, card=card_of(reconstructor.bundle))
        live = LivePicture(250.0, metadata, lambda: status)
        live.push(reconstructor.push(simulator.read(SECONDS * 250)[rows]))
    console = Console(
        record=True, file=io.StringIO(), width=SIZE[0], height=SIZE[1], force_terminal=True
    )
    console.print(Drawn(frame(live.snapshot(), *SIZE, keys=True).lines))
    svg = console.export_svg(title="leadlift, a simulated signal", unique_id="leadlift")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code", "DejaVu Sans Mono")


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("terminal.svg")
    target.write_text(draw(), encoding="utf-8")
