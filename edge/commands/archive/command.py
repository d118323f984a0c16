"""`leadlift reconstruct IN_DIR OUT_DIR`: every record once, in processes, and what became of each."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from edge.commands.archive.inputs import Found, Task, find_records
from edge.commands.archive.on_ray import on_ray
from edge.commands.archive.pool import in_processes
from edge.commands.archive.record import MADE, WORK, Outcome, Settings, reconstruct_task, told
from edge.commands.common import UsageError, open_reconstructor, usage
from edge.commands.durations import lasting
from edge.commands.lead_choice import check_asked
from edge.commands.one_recording import needed_leads
from edge.commands.read_options import read_options
from edge.errors import InputError, SinkError
from edge.notices import LOG, say
from edge.progress import progress
from firmware_bridge.new_file import stamped

_KILLED = "the process that reconstructed it was killed twice: is there memory enough for --jobs?"


@dataclass(slots=True)
class Report:
    """What became of the records so far."""

    found: Found
    output: Path
    outcome: str = "interrupted"
    counts: dict[str, int] = field(default_factory=lambda: {"done": 0, "left": 0})
    seconds: float = 0.0
    warnings: dict[str, list[str]] = field(default_factory=dict)

    def take(self, task: Task, outcome: Outcome | None) -> None:
        """Count one record; None for one that killed its process twice."""
        if outcome is None:
            self.found.refused[task.source] = _KILLED
            return
        if outcome.warnings:
            self.warnings[task.source] = list(outcome.warnings)
        if outcome.state == "bad":
            self.found.refused[task.source] = outcome.reason
            return
        self.counts[outcome.state] += 1
        self.seconds += outcome.seconds if outcome.state == "done" else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "outcome": self.outcome,
            "output": str(self.output),
            "records": self.found.n_records,
            **self.counts,
            "seconds": round(self.seconds, 3),
            "bad": [{"source": k, "reason": v} for k, v in self.found.refused.items()],
            "passed_over": [{"source": k, "reason": v} for k, v in self.found.passed_over.items()],
            "warnings": [{"source": k, "warnings": v} for k, v in self.warnings.items()],
        }

    def tell(self) -> None:
        """In lines: what is missing on stderr, the sum on stdout."""
        for source, reason in self.found.passed_over.items():
            say(f"no recording: {reason if source in reason else f'{source}: {reason}'}")
        for source, reason in self.found.refused.items():
            LOG.error("%s", reason if reason.startswith(source) else f"{source}: {reason}")
        done, left = self.counts["done"], self.counts["left"]
        bad = 0 if self.outcome == "interrupted" else self.found.n_records - done - left
        parts = [f"{done} of {self.found.n_records} records ({lasting(self.seconds)}) in 12 leads"]
        parts += [f"{left} left as they were"] * bool(left) + [f"{bad} bad"] * bool(bad)
        print(f"{self.output}: {', '.join(parts)}", flush=True)


def reconstruct_folder(arguments: argparse.Namespace) -> int:
    """Reconstruct every record under INPUT into OUTPUT."""
    source, output = Path(arguments.input), Path(stamped(arguments.output))
    with usage():
        options = read_options(arguments)
        suffix = None if arguments.format is None else f".{arguments.format}"
        _check_folders(source, output)
    with open_reconstructor(arguments, arguments.patient, offline=True) as reconstructor, usage():
        calibrated = arguments.patient is not None
        check_asked(options.leads, needed_leads(reconstructor, calibrated=calibrated))
    kept = ("model", "engine", "mains", "lowpass")
    settings = Settings(
        output.absolute(),
        options,
        argparse.Namespace(**{name: getattr(arguments, name) for name in kept}),
        arguments.patient,
        arguments.overwrite,
        uuid.uuid4().hex,
    )
    if arguments.address and not arguments.ray:
        raise UsageError("--address is of a Ray cluster: give --ray, too")
    ray = (arguments.address or "") if arguments.ray else None
    found = find_records(source, output, suffix)
    if not found.n_records:
        raise InputError(f"{source} holds no recording: nothing to reconstruct")
    report = Report(found, output)
    try:
        with _alone_in(output):
            _make_all(settings, report, arguments.jobs or _cores(), ray)
        report.outcome = "failed" if found.refused else "done"
    except BaseException as error:
        if isinstance(error, Exception):
            report.outcome = " ".join(str(error).split())
        raise
    finally:
        if arguments.json:
            print(json.dumps(report.as_dict(), indent=2), flush=True)
        else:
            report.tell()
            if report.outcome == "interrupted":
                say("the same command goes on from here")
    return 1 if found.refused else 0


def _check_folders(source: Path, output: Path) -> None:
    real_in, real_out = Path(os.path.realpath(source)), Path(os.path.realpath(output))
    if real_out == real_in or real_out in real_in.parents:
        raise InputError(f"{output} holds {source}: give a folder of its own for the outputs")
    if output.exists() and not output.is_dir():
        raise InputError(f"{source} is a folder and {output} a file: give a folder for the outputs")


def _make_all(settings: Settings, report: Report, jobs: int, ray: str | None) -> None:
    """`ray` is the address of a cluster, empty for one of this machine, None for processes without Ray."""
    tasks = list(report.found.tasks)
    if not tasks:
        return
    shown: set[str] = set()
    repeated = 0
    work = partial(reconstruct_task, settings)
    n_bytes = sum(task.n_bytes for task in tasks)
    jobs = min(jobs, len(tasks))
    with (
        closing(
            in_processes(work, tasks, jobs)
            if ray is None
            else on_ray(work, tasks, jobs, ray or None)
        ) as made,
        progress("reconstructing", n_bytes) as bar,
    ):
        for n, (task, outcome) in enumerate(made, 1):
            report.take(task, outcome)
            told(settings, task)
            if outcome is not None and outcome.stops:
                raise SinkError(f"{outcome.reason}; mend that, and the same command goes on")
            if outcome is not None and outcome.state == "left" and bar.total is not None:
                bar.total -= task.n_bytes  # it took no time
            else:
                bar.advance(task.n_bytes)
            bar.what = f"reconstructing, {n} of {len(tasks)} records"
            for text in outcome.warnings if outcome is not None else ():
                alike = text.replace(task.source, "").replace(Path(task.source).name, "")
                repeated += alike in shown
                if alike not in shown:
                    LOG.warning(
                        "%s", text if Path(task.source).name in text else f"{task.source}: {text}"
                    )
                shown.add(alike)
    if repeated:
        LOG.warning("%d warnings like these of other records: --json lists them", repeated)


@contextmanager
def _alone_in(output: Path) -> Iterator[None]:
    """Make the folder and hold it against another run. Raises SinkError where that cannot be."""
    work = output / WORK
    try:
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("a") as lock:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
            for left in work.iterdir():
                if left.is_dir() and not left.suffix:  # never whole: of a worker that was killed
                    shutil.rmtree(left, ignore_errors=True)
                elif left.suffix == MADE:  # of a run that was killed
                    left.unlink()
            with suppress(OSError):
                if [path.name for path in work.iterdir()] == ["lock"]:
                    (work / "lock").unlink()
                    work.rmdir()
    except BlockingIOError as error:
        raise SinkError(
            f"another leadlift is writing to {output}: wait until it is done"
        ) from error
    except OSError as error:
        raise SinkError(f"cannot write to {output}: {error.strerror or error}") from error


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
