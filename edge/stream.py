"""The live path as an iterator: `for block in edge.open_stream("serial:/dev/ttyACM0")`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from edge.errors import InputError
from edge.leads import lead_indices
from edge.samples import TwelveLeadBlock

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

    `spec` names the source (`serial:PORT`, `ble:NAME`, `replay:FILE`, `sim:`). `leads` are those that will
    be measured, by default all that the model takes; `model` is a bundle, by default the one that ships;
    `patient` is the file of a calibration.

    Raises what opening the model and naming the source can: BundleError, EngineError, InputError,
    PatientError, firmware_bridge.errors.SourceSpecError. Iterating raises what the source does when it
    fails.
    """
    from edge.live.runtime import Runtime
    from edge.reconstructor import Reconstructor
    from firmware_bridge.source import open_source

    source = open_source(spec)
    reconstructor = Reconstructor.open(model, engine=engine, patient=patient)
    needed = reconstructor.leads
    if leads is not None:
        lead_indices(leads)
        if set(leads) != set(needed):
            raise InputError(
                f"this model takes {', '.join(needed)}, got {', '.join(leads)}: name these, in any order"
            )
    return Stream(Runtime(source, reconstructor, leads=needed), reconstructor)


class Stream:
    """An iterator of `TwelveLeadBlock`, and a context manager that ends it.

    Acquisition begins with the first `next`. A caller who is slow for more than 8 s loses the oldest
    samples: the index jumps, and `runtime.samples_lost` counts them.
    """

    def __init__(self, runtime: Runtime, reconstructor: Reconstructor) -> None:
        self.runtime = runtime
        """The threads behind the stream: `report()`, `status()`, `stop()`."""
        self.reconstructor = reconstructor
        self._blocks = runtime.blocks()

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

    def close(self) -> None:
        """Stop the acquisition and release the engine; a second call does nothing."""
        self._blocks.close()
        self.reconstructor.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
