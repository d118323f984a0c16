"""The wearable's path as a library of this machine, in the shape of `Reconstructor.push`."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.c_export.export import decoder_files
from edge.c_export.path_tables import path_files
from edge.leads import LEADS
from edge.signal.conditioning import Conditioning
from firmware_bridge.events import StreamInfo
from tests.firmware_bridge.c_library import info_struct

HERE = Path(__file__).parent
BUILD_S = 120.0
FLAGS = ["-std=c99", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-pedantic"]
STRICT = ["-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wmissing-prototypes"]


@dataclass(frozen=True)
class Twelve:
    """What came out: (12, n) each."""

    ecg_mv: NDArray[np.float32]
    sigma_mv: NDArray[np.float32]
    quality: NDArray[np.uint8]
    first_sample: int
    hops: NDArray
    """As C has them."""


class CPath:
    """leadlift_path_t of a library that `build_path` made."""

    def __init__(self, library: Path, n_leads: int, hop: int) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.path_begin.argtypes = [ctypes.c_float, ctypes.c_int]
        self.n_leads, self.hop = n_leads, hop
        self.begin()

    def begin(self, nanovolts_per_lsb: float = 50.0, sample_bits: int = 24) -> None:
        self._library.path_begin(nanovolts_per_lsb, sample_bits)

    def skip(self, n_samples: int) -> None:
        self._library.path_skip(n_samples)

    def push(self, ecg_mv: NDArray[np.float32], quality: NDArray[np.uint8] | None = None) -> Twelve:
        """(n_leads, n) mV of whole hops."""
        flags = None if quality is None else self._by_hop(quality, np.uint8)
        return self._run("path_hops", self._by_hop(ecg_mv, np.float32), flags)

    def push_counts(self, counts: NDArray[np.int32], lead_off: NDArray[np.uint8]) -> Twelve:
        """(n_leads, n) codes of whole hops, and a mask for each hop."""
        moments = np.ascontiguousarray(counts.T, np.int32).reshape(-1, self.hop * self.n_leads)
        return self._run("path_counts", moments, np.ascontiguousarray(lead_off, np.uint8))

    def _by_hop(self, values: NDArray, dtype: type) -> NDArray:
        by_hop = values.reshape(self.n_leads, -1, self.hop).swapaxes(0, 1)
        return np.ascontiguousarray(by_hop, dtype)

    def _run(self, function: str, one: NDArray, other: NDArray | None) -> Twelve:
        n_hops, cells = len(one), (len(LEADS), self.hop)
        layout = np.dtype(
            [
                ("ecg_mv", np.float32, cells),
                ("sigma_mv", np.float32, cells),
                ("quality", np.uint8, cells),
                ("first_sample", np.uint32),
            ]
        )
        out = np.zeros(n_hops, layout)
        pointers = (None if a is None else a.ctypes.data_as(ctypes.c_void_p) for a in (one, other))
        getattr(self._library, function)(n_hops, *pointers, out.ctypes.data_as(ctypes.c_void_p))
        rows = (out[name].swapaxes(0, 1).reshape(len(LEADS), -1) for name in layout.names[:3])
        return Twelve(*rows, int(out["first_sample"][0]) if n_hops else 0, out)

    def frames(self, twelve: Twelve, info: StreamInfo) -> bytes:
        """The hops on the wire, behind what describes them."""
        out = ctypes.create_string_buffer(1000 + 200 * len(twelve.hops))
        hops = twelve.hops.ctypes.data_as(ctypes.c_void_p)
        n = self._library.path_frames(len(twelve.hops), hops, ctypes.byref(info_struct(info)), out)
        return out.raw[:n]


def compiled(*arguments: str) -> None:
    """Run the C compiler of this machine, all warnings as errors; skips, saying so, without one."""
    if shutil.which("cc") is None:
        pytest.skip("no cc on this machine: install gcc to test the C side")
    command = ["cc", *FLAGS, "-fPIC", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr


def build_decoder(bundle: Bundle, out: Path) -> Path:
    """The decoder's sources and its object file, which any path of this bundle is linked with."""
    for name, text in decoder_files(bundle).items():
        (out / name).write_text(text)
    compiled("-c", str(out / "leadlift_decoder.c"), "-o", str(out / "decoder.o"))
    return out


def build_path(
    bundle: Bundle,
    decoder: Path,
    leads: Sequence[str],
    out: Path,
    conditioning: Conditioning | None = None,
) -> CPath:
    """The path of these leads, compiled and loaded."""
    for name, text in path_files(bundle, leads, conditioning).items():
        (out / name).write_text(text)
    sources = [
        str(path)
        for path in (*sorted(out.glob("*.c")), HERE / "path_stream.c", decoder / "decoder.o")
    ]
    library = out / "path.so"
    compiled(*STRICT, "-shared", f"-I{out}", f"-I{decoder}", *sources, "-o", str(library))
    return CPath(library, len(leads), bundle.manifest.hop)
