"""Writes a bundle's decoder as C: the fixed runtime, and what is generated of the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.bundle import Bundle
from edge.c_export.network import Network, for_leads, network_of
from edge.c_export.tables import config_header, tables_header
from edge.lead_set import LeadSet

RUNTIME = Path(__file__).parent / "runtime"
HEADER, SOURCE = "leadlift_decoder.h", "leadlift_decoder.c"
CONFIG, TABLES = "leadlift_decoder_config.h", "leadlift_decoder_tables.h"
CHECK, GOLDEN = "leadlift_decoder_check", "leadlift_decoder_golden.h"


def decoder_files(bundle: Bundle, network: Network | None = None) -> dict[str, str]:
    """The decoder's files by name, as text: what a compiler needs.

    Raises EngineBuildError, with the layer's name, for a bundle that the generator does not know.
    """
    network = network_of(bundle) if network is None else network
    return {
        **_runtime(HEADER, SOURCE),
        CONFIG: config_header(network, bundle),
        TABLES: tables_header(network, bundle),
    }


def exported_files(bundle: Bundle, leads: Sequence[str] | None = None) -> dict[str, str]:
    """All files of an export by name: the decoder, and golden vectors with the program that checks them.

    `leads` are those that are measured at all times: the rest is left out of the decoder, and so is the mask.
    By default any lead may come and go. Raises EngineBuildError as `decoder_files`, EngineError where ONNX
    Runtime does not work, InputError for leads that the bundle does not take.
    """
    from edge.c_export.golden import golden_header

    network = network_of(bundle)
    measured = LeadSet(bundle.manifest, leads)
    if leads is not None:
        known = measured.all_present.mask.reshape(-1)
        network = for_leads(network, [r for r, on in zip(network.rows, known, strict=True) if on])
    return {
        **decoder_files(bundle, network),
        **_runtime(f"{CHECK}.h", f"{CHECK}.c"),
        GOLDEN: golden_header(bundle, network, measured),
    }


def _runtime(*names: str) -> dict[str, str]:
    return {name: (RUNTIME / name).read_text(encoding="utf-8") for name in names}
