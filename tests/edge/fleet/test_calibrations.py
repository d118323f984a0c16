"""Each patient's calibration is applied on every shard, and misplaced electrodes are flagged, as in a run."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.cli import main
from edge.fleet.device_stream import DeviceStream
from edge.fleet.feed import FeedSink
from edge.fleet.fleet import Fleet
from edge.fleet.ledger import BEGAN_ANEW
from edge.leads import LEADS
from edge.patient.patient import Patient
from edge.quality import Quality
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.fleet.local import Kept, LocalShard, fleet_of, frames, sinks
from tests.edge.fleet.test_fleet import fed
from tests.edge.references import some_patient

pytestmark = pytest.mark.realtime


def made(sent: list[bytes], first: int, end: int, patient: Patient | None) -> NDArray[np.float32]:
    """(12, end - first) of a Reconstructor that begins with the sample `first`."""
    stream = DeviceStream(250.0)
    blocks = [block for data in sent for block in stream.receive_data(data, 0)]
    measured = np.concatenate([block.ecg_mv for block in blocks], 1)[:, first:end]
    with Reconstructor.open(engine="onnxruntime", patient=patient) as one:
        return np.asarray(one.push(measured).ecg_mv)


def test_a_calibration_goes_where_its_patient_goes(tmp_path: Path, shipped_bundle: Bundle) -> None:
    calibration = some_patient(shipped_bundle)
    names = [f"bed-{i}" for i in range(6)]
    for name in names[:4]:
        (tmp_path / f"{name}.json").write_text(calibration.as_json())
    of_another_model = replace(calibration, bundle_sha256="0" * 64)
    (tmp_path / "bed-4.json").write_text(of_another_model.as_json())
    sent = {name: frames(2.4, seed=i) for i, name in enumerate(names)}
    kept: dict[str, Kept] = {}
    told: list[str] = []
    words: dict[str, str] = {}

    async def scenario() -> Fleet:
        links = [LocalShard("a"), LocalShard("b")]
        fleet = fleet_of(links, sinks(kept), tmp_path, say=told.append)

        def each(i: int) -> None:
            if i == 6:
                assert fleet.report()["patients_calibrated"] == 4
                words.update(
                    {p.name: p.metadata("", "").calibration for p in fleet.patients.values()}
                )
                (tmp_path / "bed-0.json").write_text("it is being written")  # no matter on the way
                links[0].dies_in = 0

        await fed(fleet, sent, each)
        return fleet

    fleet = asyncio.run(scenario())
    assert words == {name: calibration.in_words() for name in names[:4]} | dict.fromkeys(
        names[4:], ""
    )
    [warning] = [line for line in told if "warning" in line]
    assert warning.startswith("warning: bed-4 is not calibrated:") and "calibrate again" in warning
    moved = 0
    for name in names:
        whole = kept[name].whole()
        fitted = calibration if name in names[:4] else None
        other = None if fitted else calibration
        starts = [0, *(m.sample for m in whole.markers if m.text == BEGAN_ANEW)]
        moved += len(starts) - 1
        for first in starts:
            n = 200
            ecg = whole.ecg_mv[:, first : first + n]
            assert np.abs(ecg - made(sent[name], first, first + n, fitted)).max() < 1e-5
            assert np.abs(ecg - made(sent[name], first, first + n, other)).max() > 1e-2
    assert 0 < moved == fleet.report()["began_anew"] < len(names)


class Exchanged(EcgSimulator):
    """What hangs on V5 where V1 should, and the other way round."""

    def read(self, n_samples: int) -> NDArray[np.float32]:
        twelve = super().read(n_samples)
        v1, v5 = LEADS.index("V1"), LEADS.index("V5")
        twelve[[v1, v5]] = twelve[[v5, v1]]
        return twelve


def test_misplaced_electrodes_are_flagged_and_told_once_across_shards() -> None:
    sent = {
        "wrong": frames(12.0, signal=Exchanged(250.0, seed=1)),
        "right": frames(12.0, signal=EcgSimulator(250.0, seed=1)),
    }
    kept: dict[str, Kept] = {}
    told: list[str] = []
    misplaced: list[int] = []

    async def scenario() -> None:
        links = [LocalShard("a"), LocalShard("b")]
        fleet = fleet_of(links, sinks(kept), say=told.append)

        def each(i: int) -> None:
            misplaced.append(fleet.report()["patients_misplaced"])
            if i == 50:
                for link in links:
                    link.dies_in = 0

        await fed(fleet, sent, each)

    asyncio.run(scenario())
    assert misplaced[0] == 0 and misplaced[-1] == 1
    [line] = [line for line in told if "exchanged" in line]
    assert line.startswith("wrong: ") and "V1 and V5 are exchanged" in line
    assert not (kept["right"].whole().quality & Quality.MISPLACED).any()
    wrong = kept["wrong"].whole()
    flagged, gap = wrong.quality & Quality.MISPLACED != 0, wrong.quality & Quality.GAP != 0
    first = int(flagged[0].argmax())
    assert 0 < first <= 6 * 250 and gap.any(), "a shard died after that"
    assert (flagged | gap)[:, first:].all() and not flagged[:, :first].any()


def test_listeners_are_told_of_the_calibration() -> None:
    said: list[str] = []
    block = Reconstructor.open(engine="onnxruntime").push(np.zeros((3, 4)))
    for calibration in ("", "patient calibration 12 from 2 s"):
        with FeedSink(
            "bed",
            "watch",
            simulated=True,
            calibration=calibration,
            publish=lambda _, message: said.append(message) if isinstance(message, str) else None,
        ) as sink:
            sink.write(block)
    assert [json.loads(text).get("calibration") for text in said[::2]] == [
        "",
        "patient calibration 12 from 2 s",
    ]


def test_a_folder_that_is_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fleet", "--devices", str(tmp_path / "d.json"), "--add-device", "watch"]) == 0
    capsys.readouterr()
    given = ["--devices", str(tmp_path / "d.json"), "--calibrations", str(tmp_path / "none")]
    assert main(["fleet", *given]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "is no folder" in line and "leadlift calibrate" in line
