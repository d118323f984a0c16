"""What a reconstructor gives an engine, made from simulated or real leads."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Manifest
from edge.engines.base import Engine
from edge.engines.graph_rewrites import int8_graph, rewritten_states
from edge.lead_set import LeadSet
from edge.leads import INPUT_LEADS
from edge.signal.conditioning import Conditioner
from tests.edge.signals import three_leads

Given = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def given_from_leads(
    manifest: Manifest,
    ecg_mv: NDArray[np.float32],
    present: Sequence[bool] = (True, True, True),
    measured: Sequence[str] = INPUT_LEADS,
) -> Given:
    """`ecg`, `mask` and `anchor` of a batch of 1, from (measured, n) mV with n a multiple of the hop."""
    on = np.array(present)
    conditioner = Conditioner(manifest.conditioning, manifest.sampling_hz, len(on), manifest.hop)
    leads = LeadSet(manifest, measured)
    given = leads.present(on)
    seen = (conditioner.push(ecg_mv)[1] * on[:, None]).astype(np.float32)
    ecg = np.ascontiguousarray(leads.engine_rows(given, seen))
    mask = np.broadcast_to(given.mask, ecg.shape).astype(np.float32)
    return ecg, mask, given.engine_anchor


def simulated(manifest: Manifest, frames: int = 300, seed: int = 0) -> Given:
    """`given_from_leads` on the simulator."""
    return given_from_leads(manifest, three_leads(frames * manifest.hop, seed))


def run(engine: Engine, given: Given, frames: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Step through all that is given, `frames` at a time; both results, (rows, hop, all)."""
    ecg, mask, anchor = given
    step = frames or ecg.shape[-1]
    results = [
        [a.copy() for a in engine.step(ecg[..., i : i + step], mask[..., i : i + step], anchor)]
        for i in range(0, ecg.shape[-1], step)
    ]
    ecg_mv, log_sigma = (np.concatenate(parts, -1) for parts in zip(*results, strict=True))
    return ecg_mv, log_sigma


def int8_bundle(bundle: Bundle) -> Bundle:
    """The bundle as TensorRT gets it, int8, with a manifest that says so; ONNX Runtime runs it too."""
    import onnx

    model = int8_graph(onnx.load_from_string(bundle.data))
    states = rewritten_states(bundle.manifest.states, "int8")
    manifest = dataclasses.replace(bundle.manifest, states=states)
    return Bundle(model.SerializeToString(deterministic=True), manifest)


def eight_bit_stem(bundle: Bundle) -> Bundle:
    """The bundle as it was up to 0.2: its stem reads int8 codes of up to 4 mV."""
    import onnx
    from onnx.helper import make_node
    from onnx.numpy_helper import from_array, to_array

    model = onnx.load_from_string(bundle.data)
    graph = model.graph
    constants = {one.name: to_array(one) for one in graph.initializer}
    n = len(bundle.manifest.input_leads) + len(bundle.manifest.output_leads)
    weight = constants["stem_weight_codes"]
    constants |= {
        "seen_scale": np.array(4 / 127, np.float32),
        "seen_zero": np.array(0, np.int8),
        "stem_weight_codes": np.concatenate([weight[:, :n], weight[:, 2 * n :]], 1),
    }
    nodes = {one.output[0]: one for one in graph.node if one.output[0] not in ("leads", "minus")}
    nodes["seen"] = make_node("Concat", ["ecg", "predicted", "mask"], ["seen"], axis=1)
    made = list(nodes.values())
    graph.ClearField("node")
    graph.ClearField("initializer")
    graph.node.extend(made)
    graph.initializer.extend(from_array(value, name) for name, value in constants.items())
    return Bundle(model.SerializeToString(deterministic=True), bundle.manifest)
