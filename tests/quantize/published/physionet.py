"""A small tree of PhysioNet's layout, and a web server for it that can fail as servers do."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.leads import LEADS
from firmware_bridge.simulators.ecg import EcgSimulator

SCP = """,description,diagnostic,diagnostic_class
NORM,normal ECG,1.0,NORM
IMI,inferior myocardial infarction,1.0,MI
LVH,left ventricular hypertrophy,1.0,HYP
SR,sinus rhythm,,
"""
PTB_XL_HEAD = (
    "ecg_id,patient_id,age,sex,device,strat_fold,scp_codes,validated_by_human,baseline_drift,static_noise,"
    "burst_noise,electrodes_problems,pacemaker,filename_hr\n"
)


def twelve_uv(seed: int, hz: int, seconds: float) -> NDArray[np.int16]:
    """(12, n) of a simulated heart, microvolts."""
    mv = EcgSimulator(float(hz), seed=seed).read(round(hz * seconds))
    return np.rint(mv * 1000).astype(np.int16)


def write_record(
    header: Path,
    digits: NDArray[np.int16],
    hz: int,
    labels: Sequence[str] = LEADS,
    comments: Sequence[str] = (),
    suffix: str = ".dat",
) -> None:
    """A WFDB record of format 16, 1,000 units a mV; a `.mat` has 24 bytes before the samples."""
    header.parent.mkdir(parents=True, exist_ok=True)
    before = b"\0" * (24 if suffix == ".mat" else 0)
    file = header.with_suffix(suffix)
    file.write_bytes(before + np.ascontiguousarray(digits.T, "<i2").tobytes())
    form = "16+24" if before else "16"
    lines = [f"{header.stem} {len(digits)} {hz} {digits.shape[1]}"]
    lines += [f"{file.name} {form} 1000/mV 16 0 0 0 0 {label}" for label in labels]
    header.write_text("\n".join([*lines, *(f"# {line}" for line in comments)]) + "\n")


def tree(root: Path, n_ptb_xl: int = 4) -> None:
    """Some records of each data set, and the list of their checksums."""
    ptb_xl = root / "ptb-xl/1.0.3"
    ptb_xl.mkdir(parents=True)
    folds, rows = (1, 2, 9, 10), []
    for i in range(1, n_ptb_xl + 1):
        name = f"records500/00000/{i:05d}_hr"
        write_record(ptb_xl / f"{name}.hea", twelve_uv(i, 500, 10), 500)
        codes = "{'IMI': 15.0, 'LVH': 0.0, 'SR': 0.0}" if i % 2 else "{'NORM': 100.0, 'SR': 0.0}"
        fold = folds[(i - 1) % 4]
        rows.append(f'{i},{1000 + i}.0,56.0,1,CS-12,{fold},"{codes}",True,,,,,,{name}\n')
    (ptb_xl / "ptbxl_database.csv").write_text(PTB_XL_HEAD + "".join(rows))
    (ptb_xl / "scp_statements.csv").write_text(SCP)
    (ptb_xl / "LICENSE.txt").write_text("not wanted\n")

    training = root / "challenge-2021/1.0.3/training"
    notes = ("Age: 74", "Sex: Male", "Dx: 426783006")
    for path, hz, seconds in (
        ("cpsc_2018/g1/A0001", 500, 12),
        ("cpsc_2018_extra/g1/Q0001", 500, 9),  # too short
        ("ptb/g1/S0001", 1000, 35),
    ):
        uv = twelve_uv(7, hz, seconds)
        write_record(training / f"{path}.hea", uv, hz, comments=notes, suffix=".mat")
    write_record(training / "georgia/g1/E00001.hea", twelve_uv(8, 500, 10), 500, suffix=".mat")

    mobile = root / "challenge-2011/1.0.0/set-a"
    flat = twelve_uv(9, 500, 10)
    flat[6] = 0
    for number, uv in ((1000001, twelve_uv(9, 500, 10)), (1000002, flat), (1000003, flat)):
        write_record(mobile / f"{number}.hea", uv, 500)
    (mobile / "RECORDS-acceptable").write_text("1000001\n1000002\n")
    (mobile / "RECORDS-unacceptable").write_text("1000003\n")

    rng = np.random.default_rng(0)
    for kind in ("bw", "em", "ma"):
        noise = (rng.standard_normal((2, 360 * 60)).cumsum(1) * 10).astype(np.int16)
        write_record(root / f"nstdb/1.0.0/{kind}.hea", noise, 360, ("noise1", "noise2"))
    write_sums(root)


def write_sums(root: Path) -> None:
    """The list of every data set, as its files are now."""
    for folder in root.glob("*/*/"):
        files = sorted(
            file for file in folder.rglob("*") if file.is_file() and file.name != "SHA256SUMS.txt"
        )
        lines = [
            f"{hashlib.sha256(file.read_bytes()).hexdigest()} {file.relative_to(folder)}\n"
            for file in files
        ]
        (folder / "SHA256SUMS.txt").write_text("".join(lines))


@dataclass
class Served:
    """What a test sees of the server, and how it fails."""

    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path, and the range that was asked for."""
    spoil: Callable[[str, bytes], bytes] | None = None
    """What is sent instead of (path, data); the length that is told stays."""
    busy: int = 0
    """So many times 503 first."""
    ranges: bool = True

    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for path, _ in self.asked]


@contextmanager
def served(root: Path) -> Iterator[Served]:
    """A server of these files on loopback."""
    state = Served()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, wanted = self.path.lstrip("/"), self.headers.get("Range", "")
            state.asked.append((path, wanted))
            if state.busy:
                state.busy -= 1
                self._send(503, b"")
                return
            file = root / path
            if not file.is_file():
                self._send(404, b"")
                return
            data = file.read_bytes()
            if wanted and state.ranges:
                first = int(wanted.removeprefix("bytes=").removesuffix("-"))
                self._send(206 if first < len(data) else 416, data[first:])
                return
            self._send(200, data, path)

        def _send(self, status: int, data: bytes, path: str = "") -> None:
            sent = state.spoil(path, data) if state.spoil and path else data
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(sent)
            if len(sent) < len(data):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
