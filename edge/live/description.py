"""What a recording of the live path says of itself, once the first samples are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.expected import card_of
from edge.files.recording import Metadata

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from edge.live.runtime import Runtime
    from edge.reconstructor import Reconstructor
    from edge.signal.conditioning import Conditioning


def live_metadata(runtime: Runtime, reconstructor: Reconstructor) -> Metadata:
    """Device, start and simulation, as far as the stream has said them; filters and calibration."""
    info, patient, said = runtime.ingest.info, reconstructor.patient, runtime.reconstruction
    if said is not None:  # the device's own filters and model, of which it says the name
        return Metadata(
            device="" if info is None else info.device,
            model=f"{said.model}, on the device",
            simulated=info is not None and info.simulated,
            started_at=runtime.started_at,
            source=runtime.source_name,
        )
    return Metadata(
        prefilter=prefilter(reconstructor.conditioning),
        device="" if info is None else info.device,
        calibration="" if patient is None else patient.in_words(),
        model=model_in_words(reconstructor.bundle),
        simulated=info is not None and info.simulated,
        started_at=runtime.started_at,
        card=card_of(reconstructor.bundle) if patient is None else None,
        source=runtime.source_name,
    )


def model_in_words(bundle: Bundle) -> str:
    """Name and the first digits of the hash: which model made the leads."""
    return f"{bundle.manifest.name} {bundle.sha256[:12]}"


def prefilter(conditioning: Conditioning) -> str:
    """Filters in EDF's words: `HP:0.05Hz N:50Hz`."""
    words = {
        "HP": conditioning.highpass_hz,
        "LP": conditioning.lowpass_hz,
        "N": conditioning.mains_hz,
    }
    return " ".join(f"{name}:{hz:g}Hz" for name, hz in words.items() if hz)
