"""The C encoder and command decoder as a library of this machine, in the shape of the Python ones."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from ctypes import (
    POINTER,
    c_bool,
    c_char_p,
    c_float,
    c_int16,
    c_int32,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
)
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.events import StreamInfo
from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.wire import spec
from firmware_bridge.wire.packets import Command
from firmware_bridge.wire.reconstructed import ReconstructedPacket, ReconstructionPacket
from firmware_bridge.wire.spec import FrameType

BUILD_S = 60.0


def need(*tools: str) -> None:
    """Skip the test, naming the tool, where one is missing."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine: install it to test the C side")


def make(target: str, out: Path) -> str:
    """Build a target of the C sources' Makefile into `out`; what it printed."""
    command = ["make", "-s", "-C", str(SOURCES), f"OUT={out}", target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def compile_c(source: Path, *options: str, compiler: str = "cc", standard: str = "c99") -> None:
    """Compile `source` against leadlift.h with all warnings as errors; nothing is kept."""
    warnings = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion"]
    command = [compiler, f"-std={standard}", *warnings, f"-I{SOURCES}", "-fsyntax-only", *options]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr


class Info(ctypes.Structure):
    """leadlift_stream_info_t."""

    _fields_ = (
        ("device", c_char_p),
        ("firmware", c_char_p),
        ("rate_millihertz", c_uint32),
        ("nanovolts_per_lsb", c_float),
        ("config_id", c_uint8),
        ("sample_bits", c_uint8),
        ("channels", c_uint8),
        ("leads", c_uint8 * spec.MAX_CHANNELS),
    )


class ReconstructionInfo(ctypes.Structure):
    """leadlift_reconstruction_t."""

    _fields_ = (
        ("model", c_char_p),
        ("rate_millihertz", c_uint32),
        ("nanovolts_per_lsb", c_float),
        ("n_leads", c_uint8),
        ("leads", c_uint8 * spec.MAX_LEADS),
        ("provenance", c_uint8 * spec.MAX_LEADS),
    )


class ReconstructedSamples(ctypes.Structure):
    """leadlift_reconstructed_t."""

    _fields_ = (
        ("first_sample", c_uint32),
        ("tick_us", c_uint32),
        ("count", c_uint8),
        ("n_leads", c_uint8),
        ("quality", POINTER(c_uint8)),
        ("values", POINTER(c_int16)),
        ("sigmas", POINTER(c_uint8)),
    )


class EncoderState(ctypes.Structure):
    """leadlift_encoder_t."""

    _fields_ = (
        ("info", POINTER(Info)),
        ("first_sample", c_uint32),
        ("sequence", c_uint16),
        ("session", c_uint8),
    )


class CommandResult(ctypes.Structure):
    """leadlift_command_t."""

    _fields_ = (("rate_millihertz", c_uint32), ("type", c_uint8))


class ReceiverState(ctypes.Structure):
    """leadlift_receiver_t."""

    _fields_ = (
        ("packet", c_uint8 * 13),
        ("length", c_uint8),
        ("block", c_uint8),
        ("in_frame", c_bool),
    )


def info_struct(info: StreamInfo) -> Info:
    """`info` as C takes it; its session goes to leadlift_begin."""
    codes = [spec.LEADS.index(lead) + 1 for lead in info.leads]
    return Info(
        info.device.encode(),
        info.firmware.encode(),
        round(info.sampling_hz * 1000),
        info.nanovolts_per_lsb,
        info.config_id,
        info.sample_bits,
        len(codes),
        (c_uint8 * spec.MAX_CHANNELS)(*codes),
    )


class CLibrary:
    """The functions, with their types."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        encoder, frame = POINTER(EncoderState), [c_char_p, c_size_t]

        def function(name, result, arguments):
            found = getattr(library, f"leadlift_{name}")
            found.restype, found.argtypes = result, arguments
            return found

        samples = [encoder, POINTER(c_int32), c_uint8, c_uint32, c_uint8, *frame]
        receive = [POINTER(ReceiverState), c_uint8, POINTER(CommandResult)]
        self.begin = function("begin", c_bool, [encoder, POINTER(Info), c_uint8])
        self.stream_info = function("encode_stream_info", c_size_t, [encoder, *frame])
        self.samples = function("encode_samples", c_size_t, samples)
        self.reconstruction = function(
            "encode_reconstruction", c_size_t, [encoder, POINTER(ReconstructionInfo), *frame]
        )
        self.reconstructed = function(
            "encode_reconstructed", c_size_t, [encoder, POINTER(ReconstructedSamples), *frame]
        )
        self.battery = function("encode_battery", c_size_t, [encoder, c_uint8, *frame])
        self.frame_samples = function("frame_samples", c_uint8, [encoder, c_uint8, c_uint8])
        self.skip_samples = function("skip_samples", None, [encoder, c_uint32])
        self.receive = function("receive", c_bool, receive)


class CEncoder:
    """leadlift_encoder_t in the shape of `WireEncoder`; a refused frame is b""."""

    def __init__(self, library: CLibrary, info: StreamInfo | Info, session: int = 0) -> None:
        self._library = library
        self._info = info if isinstance(info, Info) else info_struct(info)
        self.state = EncoderState()
        session = info.session if isinstance(info, StreamInfo) else session
        self.begun = library.begin(self.state, self._info, session)

    def stream_info(self, capacity: int = 1024) -> bytes:
        return self._frame(self._library.stream_info, (), capacity)

    def samples(self, counts: np.ndarray, tick_us: int, lead_off=0, capacity: int = 1024) -> bytes:
        flat = np.ascontiguousarray(counts.T, np.int32)
        codes = flat.ctypes.data_as(POINTER(c_int32))
        arguments = (codes, counts.shape[1], tick_us % 2**32, lead_off)
        return self._frame(self._library.samples, arguments, capacity)

    def battery(self, percent: int, capacity: int = 1024) -> bytes:
        return self._frame(self._library.battery, (percent,), capacity)

    def reconstruction(self, packet: ReconstructionPacket, capacity: int = 1024) -> bytes:
        codes = [spec.LEADS.index(lead) + 1 for lead in packet.leads]
        origins = [spec.PROVENANCE.index(name) + 1 for name in packet.provenance]
        array = c_uint8 * spec.MAX_LEADS
        info = ReconstructionInfo(
            packet.model.encode(),
            packet.rate_millihertz,
            packet.nanovolts_per_lsb,
            len(codes),
            array(*codes),
            array(*origins),
        )
        return self._frame(self._library.reconstruction, (info,), capacity)

    def reconstructed(self, packet: ReconstructedPacket, capacity: int = 1024) -> bytes:
        leads, count = packet.values.shape
        values = np.ascontiguousarray(packet.values.T, np.int16)
        sigmas = np.ascontiguousarray(packet.sigmas.T, np.uint8)
        samples = ReconstructedSamples(
            packet.first_sample,
            packet.tick_us,
            count,
            leads,
            packet.quality.ctypes.data_as(POINTER(c_uint8)),
            values.ctypes.data_as(POINTER(c_int16)),
            sigmas.ctypes.data_as(POINTER(c_uint8)),
        )
        return self._frame(self._library.reconstructed, (samples,), capacity)

    def skip_samples(self, n: int) -> None:
        self._library.skip_samples(self.state, n)

    def _frame(self, encode, arguments, capacity: int) -> bytes:
        buffer = ctypes.create_string_buffer(b"\xa5" * 1100, 1100)
        n = encode(self.state, *arguments, buffer, capacity)
        assert n <= capacity
        assert buffer.raw[n:] == b"\xa5" * (1100 - n), "wrote beyond the frame"
        return buffer.raw[:n]


class CCommandDecoder:
    """leadlift_receiver_t in the shape of `CommandDecoder`."""

    def __init__(self, library: CLibrary) -> None:
        self._library = library
        self._state = ReceiverState()

    def receive_data(self, data: bytes) -> list[Command]:
        result = CommandResult()
        return [
            Command(FrameType(result.type), result.rate_millihertz)
            for byte in data
            if self._library.receive(self._state, byte, result)
        ]
