"""The live path as an iterator: `for block in edge.open_stream("serial:/dev/ttyACM0")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge.leads import lead_indices, lead_names
from edge.samples import TwelveLeadBlock
from firmware_bridge.closing import Closing

if TYPE_CHECKING:
    from edge.files.recording import Metadata
    from edge.live.runtime import Runtime
    from edge.reconstructor import Reconstructor


def open_stream(
    spec: str,
    *,
    leads: Sequence[str] | None = None,
    model: str | Path | None = None,
    engine: str = "auto",
    patient: str | Path | None = None,
) -> Stream:
    """The twelve leads of a live source, block by block as they come.

    Parameters
    ----------
    spec : str
        `serial:PORT`, `ble:NAME`, `tcp:HOST:PORT`, `udp:PORT`, `replay:FILE` or `sim:`, with options
        behind a `?`.
    leads : sequence of str, optional
        The leads that are measured, any of the twelve; by default those of the calibration, else II, V1, V5,
        or what the source has of the twelve where it lacks one of these. `sim:` measures what is asked for.
    model, engine, patient
        As for `Reconstructor.open`.

    Returns
    -------
    Stream
        An iterator of `TwelveLeadBlock`: (12, m) mV, sigma and quality at the decoder's rate.

    Raises
    ------
    BundleError, EngineError, InputError, PatientError
        From opening the model, the engine and the calibration.
    LeadliftError
        From naming the source here, and from the source itself while the stream is iterated.
    """
    from edge.live.runtime import Runtime
    from edge.patient.patient import load_patient
    from edge.reconstructor import Reconstructor
    from firmware_bridge.source import open_source
    from firmware_bridge.source_spec import simulating

    calibration = None if patient is None else load_patient(patient)
    if leads is None and calibration is not None:
        leads = calibration.input_leads
    if leads is not None:
        leads = lead_names(leads)
        lead_indices(leads)
    source = open_source(simulating(spec, leads))
    reconstructor = Reconstructor.open(model, engine=engine, leads=leads, patient=calibration)
    settled = leads is not None or not reconstructor.takes_any_leads
    runtime = Runtime(
        source,
        reconstructor,
        leads=reconstructor.leads,
        on_leads=None if settled else reconstructor.measure,
    )
    return Stream(runtime, reconstructor)


class Stream(Closing):
    """An iterator of `TwelveLeadBlock`, and a context manager that ends it.

    Acquisition begins with the first `next`. A caller who is slow for more than 8 s loses the oldest
    samples: the index jumps, and `runtime.samples_lost` counts them.
    """

    def __init__(self, runtime: Runtime, reconstructor: Reconstructor) -> None:
        self.runtime = runtime
        """The threads behind the stream: `report()`, `status()`, `stop()`."""
        self.reconstructor = reconstructor
        self._blocks = runtime.blocks()

    def __repr__(self) -> str:
        return f"<Stream of {self.runtime.source_name} into {self.reconstructor!r}>"

    def __iter__(self) -> Iterator[TwelveLeadBlock]:
        return self

    def __next__(self) -> TwelveLeadBlock:
        return next(self._blocks)

    def metadata(self) -> Metadata:
        """What a recording says of this stream; complete from the first block on.

        As `open_sink("file:OUT.edf", 250.0, metadata=stream.metadata)`: asked when the file is begun.
        """
        from edge.live.description import live_metadata

        return live_metadata(self.runtime, self.reconstructor)

    def mark(self, text: str, *, at_ns: int | None = None, sample: int | None = None) -> None:
        """Note `text` at this moment; it comes in the `markers` of a block. As `Runtime.mark`."""
        self.runtime.mark(text, at_ns=at_ns, sample=sample)

    def close(self) -> None:
        """Stop the acquisition and release the engine; a second call does nothing."""
        self._blocks.close()
        self.reconstructor.close()
