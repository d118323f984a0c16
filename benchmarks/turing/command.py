"""`python -m benchmarks turing OUT`: sheets to judge by eye; with --answers, how often readers were right."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.report import Result, Table
from benchmarks.turing.answers import (
    read_answers,
    read_key,
    score,
    write_answer_sheet,
    write_key,
)
from benchmarks.turing.sheets import (
    BANDWIDTH,
    REAL,
    RECONSTRUCTED,
    Sheet,
    draw,
    drawn_lots,
    excerpts,
)
from edge.bundle import load_bundle
from edge.progress import followed
from quantize.data import DATASETS, load

SHEETS = 40
ANSWERS_NAME, HOW_NAME = "answers.csv", "HOW.txt"
HOW = f"""Each sheet shows twelve leads of one patient. On about half of the sheets all leads were recorded.
On the others three leads were recorded (II, V1 and V5) and the rest were reconstructed from them.

Look at each sheet, then write into {ANSWERS_NAME}, beside its name, under answer: {REAL} or {RECONSTRUCTED};
under confidence, if you like, a number from 1 (a guess) to 5 (sure). Leave it empty if you cannot say.
Every lead of every sheet went through the same filters and shows {BANDWIDTH}.
Research use only.
"""


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "turing", help="real or reconstructed? Sheets for people who read ECGs"
    )
    add_argument = parser.add_argument
    add_argument(
        "folder", type=Path, metavar="OUT", help="of the kit: all of it is for the readers"
    )
    add_argument(
        "--key", type=Path, help="which is which, not for the readers (default: OUT-key.csv)"
    )
    add_argument(
        "--answers", nargs="+", type=Path, metavar="CSV", help="score these, a file a reader"
    )
    add_argument("--sheets", type=int, default=SHEETS, metavar="N", help=f"(default: {SHEETS})")
    add_argument("--model", type=Path, help="bundle (default: the one that ships)")
    add_argument("--domain", choices=tuple(DATASETS), default="test", help="(default: test)")
    add_argument("--data", type=Path, help="folder of the recordings (default: $LEADLIFT_DATA)")
    add_argument("--seed", type=int, default=0, help="of the draw; keep it from the readers")
    parser.set_defaults(measure=measure, engine=None)


def measure(arguments: argparse.Namespace) -> Result:
    """Make the kit, or score answers."""
    folder: Path = arguments.folder
    key = arguments.key or folder.with_name(f"{folder.name}-key.csv")
    if arguments.answers:
        return scores(key, arguments.answers)
    if arguments.sheets < 2:
        raise BenchmarkError(f"--sheets {arguments.sheets}: give two or more, one of each kind")
    if folder.resolve() in key.resolve().parents:
        raise BenchmarkError(f"--key {key} lies in what the readers get: choose another place")
    if key.exists() or (folder.exists() and list(folder.iterdir())):
        raise BenchmarkError(f"{folder} or {key} holds a kit: choose another place")
    bundle, records = load_bundle(arguments.model), load(arguments.domain, arguments.data)
    lots = drawn_lots(records, arguments.sheets, arguments.seed)
    width = len(str(len(lots)))
    sheets = [
        Sheet(f"sheet_{i:0{width}d}", kind, records.record_id[row])
        for i, (kind, row) in enumerate(lots, 1)
    ]
    every = excerpts(bundle, records, lots)
    draw(folder, [sheet.name for sheet in sheets], followed(every, "drawing sheets", len(sheets)))
    write_answer_sheet(folder / ANSWERS_NAME, sheets)
    (folder / HOW_NAME).write_text(HOW, encoding="utf-8")
    about = {
        "bundle": bundle.sha256,
        "data": f"{arguments.domain}, {BANDWIDTH}",
        "seed": arguments.seed,
    }
    write_key(key, sheets, about)
    table = Table("A kit for readers", ("sheets", REAL, RECONSTRUCTED, "folder", "key"))
    count = {kind: sum(sheet.kind == kind for sheet in sheets) for kind in (REAL, RECONSTRUCTED)}
    table.add(len(sheets), *count.values(), folder, key)
    return Result({"sheets": len(sheets), **count}, [table], extra={"protocol": about})


def scores(key_file: Path, files: list[Path]) -> Result:
    """Of each reader, and of all: a mean over readers, without an interval since they saw the same sheets."""
    key = read_key(key_file)
    by_reader = {file.stem: score(read_answers(file, key), key) for file in files}
    if len(by_reader) < len(files):
        raise BenchmarkError("two files bear one name: name each after its reader")
    table = Table(
        "Real or reconstructed, by reader: share that was right [95 %, exact binomial]; 50 % is guessing",
        (
            *("reader", "answered", "right", "accuracy", "p of guessing"),
            *(f"right of {kind}" for kind in (REAL, RECONSTRUCTED)),
        ),
    )
    for reader, of in by_reader.items():
        if of["accuracy"] is None:
            table.add(reader, 0, 0, None, None, None, None)
            continue
        low, high = of["accuracy_95"]
        said = f"{of['accuracy']:.1%} [{low:.1%}-{high:.1%}]"
        shares = (None if one is None else f"{one:.1%}" for one in of["right_of"].values())
        table.add(reader, of["answered"], of["right"], said, of["p_of_guessing"], *shares)
    known = [of["accuracy"] for of in by_reader.values() if of["accuracy"] is not None]
    mean = sum(known) / len(known) if known else None
    table.add("mean over readers", "", "", None if mean is None else f"{mean:.1%}", "", "", "")
    return Result({"readers": by_reader, "mean_accuracy": mean}, [table])
