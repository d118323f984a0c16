"""`python -m benchmarks against COMMIT`: this code and an earlier commit or checkout in turn, and the ratios.

Each is a process of its own that imports `edge` from its checkout, takes a burst when told to and says how
much CPU time it took: whatever the machine does meanwhile falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.latency.offline import RECORD_S, real_records
from benchmarks.latency.probes import ONE_THREAD
from benchmarks.ratios import in_words, ratio
from benchmarks.report import Result, Table, Target
from benchmarks.timing import collection_off
from edge.bundle import load_bundle
from edge.engines.registry import open_engine
from edge.progress import followed, progress

ROUNDS, BURST = 60, 50
RECORDS = 8  # of the four tallest, two were fast before, too
REPEATS = 3  # of each record
EARLIER = "46deb30"  # what the targets are measured against: the last before push was made lean
EARLIER_OFFLINE = "f083c2c"  # the last at which tall R waves slowed whole recordings
HERE = Path(__file__).parent.parent
_CHILD = """
import json, os, sys, time
import numpy as np
import edge
from edge.reconstructor import Reconstructor
records = np.load(sys.argv[1], allow_pickle=False)["ecg_mv"]
burst, opened = int(sys.argv[2]), {}
def reconstructor(name):
    if name not in opened:
        opened[name] = r = Reconstructor.open(engine=name), [0]
        for _ in range(200):
            push(*r)
    return opened[name]
hops = np.split(records[0][:, : records.shape[2] // 4 * 4], records.shape[2] // 4, axis=1)
def push(r, at):
    r.push(hops[at[0]])
    at[0] = (at[0] + 1) % len(hops)
print(json.dumps({"edge": edge.__file__}), flush=True)
for line in sys.stdin:
    what, name = line.split()
    took = []
    try:
        if what == "push":
            r = reconstructor(name)
            for _ in range(burst):
                begun = time.thread_time_ns()
                push(*r)
                took.append(time.thread_time_ns() - begun)
        else:
            begun = time.thread_time_ns()
            edge.reconstruct(records[int(name)], engine="onnxruntime")
            took.append(time.thread_time_ns() - begun)
        print(json.dumps(took), flush=True)
    except Exception as error:
        print(json.dumps({"error": str(error)}), flush=True)
"""

TARGETS = (
    Target("push of a hop, ONNX Runtime", "push/onnxruntime/ratio", 1 / 1.5),
    Target("push of a hop, fastest engine", "push/fastest/ratio", 1 / 3),
    Target("edge.reconstruct, slowest / fastest record", "reconstruct/slowest_over_fastest", 1.3),
    Target("edge.reconstruct, the tallest QRS", "reconstruct/tall/ratio", 1 / 4),
)


def add(subparsers: Any) -> None:
    """Register the command."""
    parser = subparsers.add_parser("against", help="this code against an earlier commit, in turn")
    add_argument = parser.add_argument
    add_argument(
        "earlier",
        nargs="?",
        default=EARLIER,
        metavar="COMMIT",
        help="of this repository, or a folder that is a checkout (default: %(default)s)",
    )
    add_argument(
        "--offline-earlier",
        default=EARLIER_OFFLINE,
        metavar="COMMIT",
        help="the same for whole recordings (default: %(default)s)",
    )
    add_argument("--model", type=Path, help=argparse.SUPPRESS)
    add_argument("--engine", default="auto", help="taken as the fastest here (default: auto)")
    add_argument("--rounds", type=int, default=ROUNDS, help=f"of {BURST} hops each")
    add_argument("--records", type=int, default=RECORDS, help="tall and small ones each")
    add_argument("--record-seconds", type=float, default=RECORD_S, help="of each, over and over")
    parser.set_defaults(measure=measure)


def measure(arguments: argparse.Namespace) -> Result:
    """Hops on the default engine of the earlier checkout, and here on it and on the fastest; real records."""
    with progress("reading records"):
        tall, small = real_records(arguments.records, arguments.record_seconds)
    records = np.concatenate([tall, small])
    with open_engine(load_bundle(), arguments.engine).engine as engine:
        fastest = engine.name
    with _pair(arguments.earlier, records) as pair:
        push = _push(pair, fastest, arguments.rounds)
    with _pair(arguments.offline_earlier, records) as pair:
        offline = _offline(pair, len(tall), len(records))
    results = {
        "earlier": arguments.earlier,
        "push": push,
        "offline_earlier": arguments.offline_earlier,
        "reconstruct": offline,
    }
    return Result(results, [table_of(results)], TARGETS)


def table_of(results: Mapping[str, Any]) -> Table:
    """Then, now and the ratio."""
    columns = ("what", "earlier, us", "here, us", "ratio", "95 % interval")
    table = Table("CPU time here / earlier, in turn", columns)
    before, offline_before = results["earlier"], results["offline_earlier"]
    for row in results["push"].values():
        name = f"push of a hop, {row['engine']} / {before}"
        table.add(name, row["earlier_us"], row["us"], row["ratio"], in_words(row))
    offline = results["reconstruct"]
    for name in ("tall", "small"):
        row = offline[name]
        label = f"edge.reconstruct, {name} QRS / {offline_before}"
        table.add(label, row["earlier_us"], row["us"], row["ratio"], in_words(row))
    apart = offline["slowest_over_fastest"]
    table.add("edge.reconstruct here, slowest / fastest record", "", "", apart, "")
    return table


@contextmanager
def checkout_of(earlier: str) -> Iterator[Path]:
    """The folder `earlier`, or that commit of this repository in a folder that lasts for the block.

    Raises BenchmarkError for what is neither.
    """
    if Path(earlier).is_dir():
        yield Path(earlier)
        return
    with tempfile.TemporaryDirectory() as folder:
        git = [
            "git",
            "-C",
            str(HERE),
            "archive",
            "--format=tar",
            earlier,
            "edge",
            "firmware_bridge",
        ]
        try:
            archive = subprocess.run(git, capture_output=True, check=True).stdout
            subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchmarkError(
                f"{earlier} is no folder, and no commit that this repository holds:"
                " fetch it, or give a checkout of it"
            ) from error
        yield Path(folder)


@contextmanager
def _pair(earlier: str, records: Any) -> Iterator[Pair]:
    with checkout_of(earlier) as checkout, Pair(checkout, records) as pair, collection_off():
        yield pair


class Pair:
    """A process for each of the two, until the block ends."""

    def __init__(self, checkout: Path, records: Any) -> None:
        if not (checkout / "edge" / "__init__.py").is_file():
            raise BenchmarkError(
                f"{checkout} holds no edge: make one with `git worktree add --detach {checkout} COMMIT`"
            )
        self._checkout, self._records = checkout, records

    def __enter__(self) -> Pair:
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "records.npz"
        np.savez(file, ecg_mv=self._records)
        self._children = [self._start(root, file) for root in (self._checkout, HERE)]
        return self

    def __exit__(self, *exception: object) -> None:
        for child in self._children:
            child.communicate()  # its input ends, and so does it
        self._folder.cleanup()

    def _start(self, root: Path, file: Path) -> subprocess.Popen[str]:
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(root.resolve())}
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(file), str(BURST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=root,
        )
        found = Path(_answer(child)["edge"]).parent.parent
        if found.resolve() != root.resolve():
            child.communicate()
            raise BenchmarkError(f"python imports edge from {found}, not from {root}")
        return child

    def earlier(self, what: str, name: str) -> list[int]:
        """Durations in ns in the earlier checkout."""
        return self._ask(self._children[0], what, name)

    def here(self, what: str, name: str) -> list[int]:
        """Durations in ns with this code."""
        return self._ask(self._children[1], what, name)

    @staticmethod
    def _ask(child: subprocess.Popen[str], what: str, name: str) -> list[int]:
        assert child.stdin is not None
        child.stdin.write(f"{what} {name}\n")
        child.stdin.flush()
        found = _answer(child)
        if isinstance(found, dict):
            raise BenchmarkError(f"{what} {name} failed: {found['error']}")
        return list(found)


def _answer(child: subprocess.Popen[str]) -> Any:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise BenchmarkError(f"a process of the comparison ended: code {child.wait()}")
    return json.loads(line)


def _push(pair: Pair, fastest: str, rounds: int) -> dict[str, Any]:
    engines = {"onnxruntime": "onnxruntime", "fastest": fastest}
    before: list[list[int]] = []
    after: dict[str, list[list[int]]] = {name: [] for name in engines}
    for _ in followed(range(rounds), "push of a hop", calm=True):
        before.append(pair.earlier("push", "onnxruntime"))
        for name, engine in engines.items():
            after[name].append(pair.here("push", engine))
    return {
        name: {"engine": engine, **_compared(before, after[name]), "n": rounds * BURST}
        for name, engine in engines.items()
    }


def _offline(pair: Pair, n_tall: int, n: int) -> dict[str, Any]:
    times: dict[str, list[list[int]]] = {
        "earlier": [[] for _ in range(n)],
        "here": [[] for _ in range(n)],
    }
    for _ in followed(range(REPEATS), "whole recordings", calm=True):
        for record in range(n):
            times["earlier"][record] += pair.earlier("reconstruct", str(record))
            times["here"][record] += pair.here("reconstruct", str(record))
    here = [min(ns) for ns in times["here"]]

    def of(records: Sequence[int]) -> dict[str, Any]:
        """Each record is a round: the least of its repeats counts."""
        return _compared(
            [[min(times["earlier"][i])] for i in records], [[here[i]] for i in records]
        )

    return {
        "tall": of(range(n_tall)),
        "small": of(range(n_tall, n)),
        "slowest_over_fastest": max(here) / min(here),
        "repeats": REPEATS,
    }


def _compared(before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> dict[str, Any]:
    one, other = np.array(before), np.array(after)
    return {
        "earlier_us": float(np.median(one)) / 1e3,
        "us": float(np.median(other)) / 1e3,
        **ratio(other, one),
    }
