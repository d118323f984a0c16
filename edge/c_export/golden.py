"""Golden vectors: made-up streams through ONNX Runtime, for the check of a decoder on its board."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.c_export.network import Network
from edge.c_export.tables import exact, generated_file
from edge.engines.self_check import Stream, made_up_streams
from edge.lead_set import LeadSet

STATE_EVERY = 4  # hops; the shortest history has at least as many frames, so every code is seen
HIGHEST = 127


def golden_header(bundle: Bundle, network: Network, measured: LeadSet) -> str:
    """leadlift_decoder_golden.h: what goes in, and what ONNX Runtime made of it, from reset.

    A stream like an ECG, one like an electrode fault, where codes reach their ceiling, and one with a lead
    off where the decoder has a mask. Of every fourth hop the CRC-32 of all state codes. Raises EngineError
    where ONNX Runtime does not work.
    """
    from edge.engines.onnxruntime_engine import OnnxRuntimeEngine

    streams = list(made_up_streams(bundle.manifest, measured))
    if network.masked and measured.n_measured > 1:
        on = np.ones(measured.n_measured, bool)
        on[0] = False
        streams.append(made_up_streams(bundle.manifest, measured, measured.present(on))[0])
    kept = [bundle.manifest.input_leads.index(lead) for lead in network.rows]
    given: dict[str, list[NDArray[Any]]] = {
        name: [] for name in ("ecg", "mask", "anchor", "ecg_mv", "log_sigma")
    }
    crcs, at_ceiling = [], 0
    with OnnxRuntimeEngine(bundle) as engine:
        for stream in streams:
            for frame in range(stream.ecg.shape[-1]):
                hop = _hop(stream, frame)
                ecg_mv, log_sigma = engine.step(*hop)
                codes = np.concatenate([codes.ravel() for codes in engine.state().values()])
                at_ceiling += int((codes == HIGHEST).any())
                crcs.append(zlib.crc32(codes.tobytes()))
                for name, one in zip(given, (*hop[:2], None, ecg_mv, log_sigma), strict=True):
                    if one is not None:
                        given[name].append(one.copy())
            given["anchor"].append(stream.anchor[:, :, kept])
    ecg, mask = np.array(given["ecg"])[:, 0, kept], np.array(given["mask"])[:, 0, kept, 0]
    n_hops = len(ecg)
    sizes = {
        "HOPS": n_hops,
        "HOPS_A_STREAM": n_hops // len(streams),
        "STATE_EVERY": STATE_EVERY,
        "HOPS_AT_CEILING": at_ceiling,
    }
    lines = [f"#define GOLDEN_{name} {value}" for name, value in sizes.items()]
    floats: dict[str, Any] = {
        "ecg": ecg,
        "mask": mask,
        **{name: given[name] for name in ("anchor", "ecg_mv", "log_sigma")},
    }
    for name, value in floats.items():
        lines.append(_array("float", name.upper(), np.array(value), exact))
    every = np.array(crcs[STATE_EVERY - 1 :: STATE_EVERY], np.uint32)
    lines.append(_array("uint32_t", "STATE_CRC", every, lambda crc: f"0x{crc:08X}u"))
    return generated_file("LEADLIFT_DECODER_GOLDEN_H", bundle, "\n".join(lines))


def _hop(stream: Stream, frame: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    at = slice(frame, frame + 1)
    return stream.ecg[..., at], stream.mask[..., at], stream.anchor


def _array(kind: str, name: str, values: NDArray[Any], spelt: Callable[[Any], str]) -> str:
    numbers = ",\n".join(
        ",".join(map(spelt, row)) for row in values.reshape(len(values), -1).tolist()
    )
    return f"static const {kind} GOLDEN_{name}[{values.size}] = {{\n{numbers}\n}};"
