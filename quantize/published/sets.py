"""What is fetched from PhysioNet: addresses, which files, licences."""

from __future__ import annotations

import re
from dataclasses import dataclass

PHYSIONET = "https://physionet.org/files"
CHECKSUMS = "SHA256SUMS.txt"


@dataclass(frozen=True)
class DataSet:
    """One version of a data set, and what of it is wanted."""

    name: str
    """On the command line."""
    path: str
    """Below the address of a server, its version last."""
    wanted: re.Pattern[str]
    """Paths within it, as its CHECKSUMS lists them."""
    makes: str
    """Stem of the files that are made of it."""
    licence: str
    source: str


PTB_XL = DataSet(
    "ptb-xl",
    "ptb-xl/1.0.3",
    re.compile(r"(ptbxl_database|scp_statements)\.csv|records500/\d{5}/\d{5}_hr\.(hea|dat)"),
    "ptbxl",
    "CC BY 4.0",
    "doi 10.13026/kfzx-aw45",
)
CHALLENGE_2021 = DataSet(
    "challenge-2021",
    "challenge-2021/1.0.3",
    re.compile(r"training/(cpsc_2018|cpsc_2018_extra|ptb)/(.+/)?[A-Z]+\d+\.(hea|mat)"),
    "challenge2021_cpsc_ptb",
    "CC BY 4.0",
    "doi 10.13026/34va-7q14",
)
CHALLENGE_2011 = DataSet(
    "challenge-2011",
    "challenge-2011/1.0.0",
    re.compile(r"set-a/(\d+\.(hea|dat)|RECORDS-(un)?acceptable)"),
    "challenge2011_mobile",
    "ODC-BY 1.0",
    "doi 10.13026/C2MW28",
)
NSTDB = DataSet(
    "nstdb",
    "nstdb/1.0.0",
    re.compile(r"(bw|em|ma)\.(hea|dat)"),
    "nstdb_noise",
    "ODC-BY 1.0",
    "doi 10.13026/C2HS3T",
)
DATA_SETS = (PTB_XL, CHALLENGE_2021, CHALLENGE_2011, NSTDB)
