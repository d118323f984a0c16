"""The bundle's decoder in LiteRT on the CPU: the codes of ONNX Runtime, and no compiler needed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from edge.bundle import Bundle
from edge.c_export.network import Network
from edge.engines.base import Array, Batch, Engine, State
from edge.engines.litert.library import Model, require, version
from edge.engines.litert.model import Decoder, decoder_of, padded_rows, tflite_model
from edge.engines.litert.proof import proved
from edge.errors import EngineBuildError, EngineError

MAX_PERIOD = 1 << 14  # 128 of the decoder that ships


class Places:
    """Where each block's history lies in one ring, and which frames of it a hop reads and writes."""

    def __init__(self, network: Network) -> None:
        """Raises EngineBuildError for dilations with no short common multiple."""
        self.taps = network.taps - 1
        self.dilations = [block.dilation for block in network.blocks]
        self.sizes = [self.taps * dilation for dilation in self.dilations]
        self.firsts = [sum(self.sizes[:i]) for i in range(len(self.sizes))]
        self.period = math.lcm(*self.sizes)
        """Hops after which every place comes again."""
        if self.period > MAX_PERIOD:
            dilations = ", ".join(map(str, self.dilations))
            raise EngineBuildError(
                f"the litert engine does not take dilations of {dilations}, which meet after {self.period}"
                f" hops, more than {MAX_PERIOD}: use --engine onnxruntime"
            )
        hops = np.arange(self.period)[:, None]
        self.read = [
            list(first + (hops + dilation * np.arange(self.taps)) % size)
            for first, size, dilation in zip(self.firsts, self.sizes, self.dilations, strict=True)
        ]
        """Of a block and a hop: the frames that its taps read, the oldest first."""
        self.write = [
            (first + hops[:, 0] % size).tolist()
            for first, size in zip(self.firsts, self.sizes, strict=True)
        ]
        """Of a block and a hop: the oldest of them, which the newest replaces."""


class Stream:
    """The state of one stream: the last codes of each block, and at which hop of the period it is."""

    def __init__(self, places: Places, channels: int) -> None:
        self.ring = np.zeros((sum(places.sizes), channels), np.int8)
        self.at = 0
        self._places = places

    def state(self, names: Sequence[str]) -> State:
        """As `Engine.state`: the oldest frame first."""
        found: State = {}
        for name, first, size in zip(names, self._places.firsts, self._places.sizes, strict=True):
            ring = self.ring[first : first + size]
            found[name] = np.roll(ring, -(self.at % size), 0)[None, None].view(np.uint8)
        return found

    def set_state(self, names: Sequence[str], state: State) -> None:
        """From codes that were checked."""
        self.at = 0
        self.ring[:] = np.concatenate([state[name][0, 0] for name in names]).astype(np.int8)

    def reset(self) -> None:
        """All codes zero."""
        self.at = 0
        self.ring[:] = 0


class Hop:
    """The model of one hop, and its tensors as a step writes and reads them."""

    def __init__(self, decoder: Decoder, places: Places) -> None:
        network, model = decoder.network, Model(tflite_model(decoder))
        inputs, outputs = model.inputs, list(model.outputs.values())
        rows, channels, blocks = len(network.rows), network.channels, len(network.blocks)
        # Rows that fill the last four stay zero.
        self.ecg = inputs["ecg"].reshape(1, padded_rows(network), network.hop)[:, :rows]
        self.mask = inputs["mask"]
        self.anchor = inputs["anchor"].reshape(1, len(network.outputs), -1)[:, :, :rows]
        self.ecg_mv = outputs[0].reshape(len(network.outputs), network.hop, 1)
        self.log_sigma = outputs[1].reshape(len(network.sigmas), network.hop, 1)
        past = [inputs[f"past_{i}"].reshape(-1, channels) for i in range(blocks)]
        new = [codes[0] for codes in outputs[2:]]
        hops = range(places.period)
        self._reads = [list(zip(past, (r[at] for r in places.read), strict=True)) for at in hops]
        self._writes = [list(zip(new, (w[at] for w in places.write), strict=True)) for at in hops]
        self._run = model.run

    def step(self, stream: Stream) -> None:
        """Results from what was written, and the stream a hop on."""
        ring, at = stream.ring, stream.at
        for past, frames in self._reads[at]:
            ring.take(frames, 0, past, "clip")  # without `clip` it would use a buffer
        self._run()
        for new, frame in self._writes[at]:
            ring[frame] = new
        stream.at = at + 1 if at + 1 < len(self._reads) else 0


class LiteRtEngine(Engine):
    """A model of one hop, which every longer step repeats: the same bits however a stream is cut."""

    name = "litert"
    same_codes = True

    def __init__(self, bundle: Bundle) -> None:
        """Raises EngineMissingError without LiteRT, EngineBuildError where its codes are others."""
        super().__init__(bundle)
        require()
        decoder, self._compared = proved(decoder_of(bundle))
        self._tables = sum(add.table for add in decoder.sums)
        self._places, self._channels = Places(decoder.network), decoder.network.channels
        self._hop: Hop | None = Hop(decoder, self._places)
        self._held_mask: Array | None = None  # what cannot be written is known again
        self._held_anchor: Array | None = None
        self._names = [s.input for s in self.manifest.states]
        self._stream = self.new_stream()

    def step(self, ecg: Array, mask: Array, anchor: Array) -> tuple[Array, Array]:
        """The next frames of the stream; see Engine."""
        return self.step_of(self._stream, ecg, mask, anchor)

    def step_of(
        self, stream: Stream, ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """As `step`, of a stream that `new_stream` made."""
        hop = self._hop
        if hop is None:
            raise EngineError("the litert engine is closed: open another")
        if self._held_anchor is not anchor:
            hop.anchor[:] = anchor[..., 0, 0]
            self._held_anchor = None if anchor.flags.writeable else anchor
        frames = ecg.shape[-1]
        if self._held_mask is not mask:
            if mask.ndim < ecg.ndim:
                mask = np.broadcast_to(mask, ecg.shape)
            hop.mask[:] = mask[:, :, 0, 0]
            same = mask.shape[-1] == 1 and not mask.flags.writeable
            self._held_mask = mask if same else None
        if frames == 1:
            hop.ecg[:] = ecg[..., 0]
            hop.step(stream)
            return hop.ecg_mv, hop.log_sigma
        ecg_mv = np.empty((*hop.ecg_mv.shape[:2], frames), np.float32)
        log_sigma = np.empty((*hop.log_sigma.shape[:2], frames), np.float32)
        for frame in range(frames):
            if mask.shape[-1] > 1:
                hop.mask[:] = mask[:, :, 0, frame]
            hop.ecg[:] = ecg[..., frame]
            hop.step(stream)
            ecg_mv[..., frame] = hop.ecg_mv[..., 0]
            log_sigma[..., frame] = hop.log_sigma[..., 0]
        return ecg_mv, log_sigma

    def state(self) -> State:
        """A copy of the state tensors; see Engine."""
        return self._stream.state(self._names)

    def set_state(self, state: State) -> None:
        """Continue from these state tensors; see Engine. Raises InputError for a code above 127."""
        self.check_codes(state)
        self._stream.set_state(self._names, state)

    def reset(self) -> None:
        """Forget the stream; see Engine."""
        self._stream.reset()

    def details(self) -> dict[str, object]:
        """Version, codes compared as it opened, and how many residual adds are looked up; see Engine."""
        return {
            "version": version(),
            "codes_compared": self._compared,
            "adds_looked_up": self._tables,
        }

    def open_batch(self, n_slots: int) -> LiteRtBatch:
        """Slots with a state each; see Engine."""
        return LiteRtBatch(self, n_slots)

    def close(self) -> None:
        """Release the model."""
        self._hop = None

    def new_stream(self) -> Stream:
        """A state of its own, all codes zero."""
        return Stream(self._places, self._channels)


class LiteRtBatch(Batch):
    """Slots that step one behind the other; the engine's own stream is not touched."""

    def __init__(self, engine: LiteRtEngine, n_slots: int) -> None:
        super().__init__(engine, n_slots)
        self._engine = engine
        self._streams = [engine.new_stream() for _ in range(n_slots)]
        self._names = [s.input for s in engine.manifest.states]

    def step(
        self, slots: Sequence[int], ecg: Array, mask: Array, anchor: Array
    ) -> tuple[Array, Array]:
        """See Batch."""
        self.check(slots)
        m, n, frames = self._engine.manifest, len(slots), ecg.shape[-1]
        ecg_mv = np.empty((n, len(m.output_leads), m.hop, frames), np.float32)
        log_sigma = np.empty((n, len(m.sigma_leads), m.hop, frames), np.float32)
        mask = np.broadcast_to(mask, (*ecg.shape[:-1], mask.shape[-1]))
        for row, slot in enumerate(slots):
            at = slice(row, row + 1)
            ecg_mv[row], log_sigma[row] = self._engine.step_of(
                self._streams[slot], ecg[at], mask[at], anchor[at]
            )
        return ecg_mv, log_sigma

    def state(self, slot: int) -> State:
        """See Batch."""
        self.check([slot])
        return self._streams[slot].state(self._names)

    def set_state(self, slot: int, state: State) -> None:
        """See Batch."""
        self.check([slot])
        self._engine.check_codes(state)
        self._streams[slot].set_state(self._names, state)
