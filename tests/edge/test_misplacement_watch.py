"""Misplaced leads are said once and flagged from one sample on: live, in files, whatever the blocks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import edge
from edge.bundle import Bundle
from edge.cli import main
from edge.leads import INPUT_LEADS, lead_indices
from edge.live.runtime import Runtime
from edge.misplacement_watch import MisplacementWatch
from edge.quality import Quality, describe
from edge.reconstructor import Reconstructor
from firmware_bridge.simulators.ecg import EcgSimulator
from tests.edge.fakes import ListSink, MemoryDevice

HZ = 250.0
WORDS = "V1 and V5 are exchanged"


def wired_wrong(seconds: int = 14) -> NDArray[np.float32]:
    """(3, n) mV: II, and what hangs on V5 where V1 should, and the other way round."""
    twelve = EcgSimulator(HZ, 70, seed=1, baseline_mv=0.1).read(round(seconds * HZ))
    return twelve[lead_indices(("II", "V5", "V1"))]


@pytest.fixture
def reconstructor(shipped_bundle: Bundle) -> Reconstructor:
    return Reconstructor.open(shipped_bundle, "onnxruntime")


def test_the_flag_begins_at_one_sample_whatever_the_blocks(reconstructor: Reconstructor) -> None:
    x, begins = wired_wrong(), set()
    rng = np.random.default_rng(0)
    for largest in (1, 4, 37, 1000, x.shape[1]):
        said: list[str] = []
        watch = MisplacementWatch(reconstructor.leads, reconstructor.moments, HZ, said.append)
        reconstructor.reset()
        flags, at = [], 0
        while at < x.shape[1]:
            n = int(rng.integers(1, largest + 1))
            block = watch.follow(reconstructor.push(x[:, at : at + n]))
            flags.append(block.quality & Quality.MISPLACED != 0)
            at += n
        flagged = np.hstack(flags)
        assert (flagged == flagged[0]).all()  # all twelve leads
        begin = int(flagged[0].argmax())
        assert flagged[0, begin:].all()
        begins.add(begin)
        assert len(said) == 1
        assert WORDS in said[0]
    assert len(begins) == 1
    assert begins.pop() <= 6 * HZ  # the filters settle first


def test_as_wired_the_blocks_stay_the_same_objects(reconstructor: Reconstructor) -> None:
    x = wired_wrong()[[0, 2, 1]]
    watch = MisplacementWatch(reconstructor.leads, reconstructor.moments, HZ, pytest.fail)
    for i in range(0, x.shape[1], 100):
        block = reconstructor.push(x[:, i : i + 100])
        assert watch.follow(block) is block


class WiredWrong(MemoryDevice):
    """Its samples are `wired_wrong`, a microvolt a count."""

    def counts(self, n_samples: int) -> NDArray[np.int32]:
        part = wired_wrong()[:, self.next_sample : self.next_sample + n_samples]
        return np.round(part * 1e3).astype(np.int32)


def test_live_it_is_a_warning_and_a_quality_bit(reconstructor: Reconstructor) -> None:
    device, sink, said = WiredWrong(), ListSink(), list[str]()
    device.say_info()
    device.say(50, 70)
    device.transport.end()
    runtime = Runtime(device.source, reconstructor, {"list": sink}, say=said.append)
    runtime.run()
    assert [line for line in said if WORDS in line] == [
        f"warning: {line}" for line in runtime.warnings if WORDS in line
    ]
    assert len([line for line in said if WORDS in line]) == 1
    assert any(WORDS in str(line) for line in runtime.report()["warnings"])  # type: ignore[attr-defined]
    assert describe(int(sink.blocks[-1].quality[3, -1])) == "MISPLACED"


def test_a_recording_that_is_wired_wrong_says_so_and_its_files_keep_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = wired_wrong()
    with pytest.warns(UserWarning, match=WORDS):
        edge.reconstruct(x, HZ, leads=INPUT_LEADS, engine="onnxruntime")
    rows = "\n".join(",".join(f"{v:.5f}" for v in sample) for sample in x.T)
    recording = tmp_path / "wrong.csv"
    recording.write_text("II (mV),V1 (mV),V5 (mV)\n" + rows + "\n")
    for suffix in ("edf", "npz", "csv", "hea"):
        out = tmp_path / f"out.{suffix}"
        assert main(["reconstruct", str(recording), str(out), "--rate", "250"]) == 0
        assert WORDS in capsys.readouterr().err
        assert main(["info", str(out), "--json"]) == 0
        assert "misplaced" in json.dumps(json.loads(capsys.readouterr().out)).lower()
