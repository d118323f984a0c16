"""`leadlift run` with several sources: a thread and outputs for each; one that dies stalls no other."""

from __future__ import annotations

import argparse
import json
import re
import threading
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from edge.commands.common import (
    Beside,
    UsageError,
    clean_stop,
    live_outputs,
    measured_leads,
    one_line,
    open_reconstructor,
    run_live,
)
from edge.commands.live_report import exit_code, summary
from edge.commands.metrics import metrics
from edge.commands.run import source_of
from edge.errors import LeadliftError
from edge.notices import fail

if TYPE_CHECKING:
    from edge.metrics.exporter import Exporter

SOURCE, NUMBER = "{source}", "{number}"
MOST = 64
WAIT_S = 0.2  # a signal's handler runs between two waits, on any system


class Runs:
    """What several runs share: the wish that all stop."""

    def __init__(self) -> None:
        self._stops: list[Callable[[], object]] = []
        self._stopped = False

    def stop(self) -> None:
        """Stop all of them, and those that are still to begin; from a signal handler: takes no lock."""
        self._stopped = True
        for stop in list(self._stops):
            stop()

    @contextmanager
    def stopping(self, stop: Callable[[], object]) -> Iterator[None]:
        """`stop` is called in here when all are to stop."""
        self._stops.append(stop)
        if self._stopped:
            stop()
        yield


class OneRun(threading.Thread):
    """One source into its outputs."""

    def __init__(
        self, name: str, arguments: Namespace, runs: Runs, exporter: Exporter | None = None
    ) -> None:
        """Look at everything that is named before anything opens. Raises what a single run raises."""
        super().__init__(name=name, daemon=True)
        self._arguments = arguments
        self._beside = Beside(name, runs.stopping)
        self.outputs = live_outputs(arguments.sink, arguments, arguments.source)
        self._leads = measured_leads(arguments, arguments.source)
        self._source = source_of(arguments.source, arguments, self._leads, self._beside.say)
        self._follow = None if exporter is None else exporter.follow(name)
        self.report: dict[str, Any] | None = None
        self.error: LeadliftError | None = None
        self.fault: BaseException | None = None
        """What is no LeadliftError: a defect of ours."""

    def run(self) -> None:
        """Record until the source ends or all are stopped."""
        given = self._arguments
        try:
            with open_reconstructor(given, given.patient, self._leads) as reconstructor:
                self.report = run_live(
                    self._source,
                    reconstructor,
                    self.outputs,
                    seconds=given.seconds,
                    settled=self._leads is not None,
                    beside=self._beside,
                    follow=self._follow,
                )
        except LeadliftError as error:
            self.error = error
            fail(f"{one_line(error)}; the other sources go on", self.name)
        except BaseException as error:
            self.fault = error


def run_several(arguments: argparse.Namespace) -> int:
    """Run all sources side by side until each has ended, Ctrl-C, SIGTERM or --seconds."""
    specs = arguments.source
    names = names_of(specs)
    runs = Runs()
    with metrics(arguments.metrics) as exporter:
        threads = [
            OneRun(name, _of_one(arguments, spec, name, number), runs, exporter)
            for number, (spec, name) in enumerate(zip(specs, names, strict=True), 1)
        ]
        with clean_stop(runs.stop):
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(WAIT_S)
    for thread in threads:
        if thread.fault is not None:
            raise thread.fault
    reports = {thread.name: thread.report for thread in threads}
    if arguments.json:
        failed = {thread.name: str(thread.error) for thread in threads if thread.error}
        print(json.dumps({"sources": reports, "failures": failed}, indent=2))
    else:
        for thread in threads:
            said = f"failed     {one_line(thread.error)}" if thread.error else ""
            print(f"[{thread.name}]\n{said or summary(thread.report or {})}")
    return int(any(report is None or exit_code(report) for report in reports.values()))


def names_of(specs: Sequence[str]) -> list[str]:
    """A name for each source that a file can have, each once, whatever the case.

    Raises UsageError for too many, and for a source given twice unless it is simulated.
    """
    if len(specs) > MOST:
        raise UsageError(f"{len(specs)} sources: give {MOST} at most")
    for spec, n in Counter(specs).items():
        if n > 1 and not spec.startswith("sim:"):
            raise UsageError(f"source {spec!r} is given twice: name each once")
    plain = [
        re.sub(r"[^A-Za-z0-9._]+", "-", spec.partition("?")[0]).strip("-.") or "source"
        for spec in specs
    ]
    names: list[str] = []
    for name in plain:
        taken = {other.casefold() for other in (*names, *plain)} - {name.casefold()}
        several = Counter(map(str.casefold, plain))[name.casefold()] > 1
        number = 1
        found = f"{name}-{number}" if several else name
        while found.casefold() in taken | {other.casefold() for other in names}:
            number += 1
            found = f"{name}-{number}"
        names.append(found)
    return names


def named(text: str, name: str, number: int) -> str:
    """An output's name for one of several sources: {source} and {number} filled in, else a number added."""
    if SOURCE in text or NUMBER in text:
        return text.replace(SOURCE, name).replace(NUMBER, str(number))
    bare, mark, options = text.partition("?")
    path = PurePath(bare)
    return f"{path.with_name(f'{path.stem}-{number}{path.suffix}')}{mark}{options}"


def sink_of(spec: str, name: str, number: int) -> str:
    """A sink for one of several sources. Raises UsageError for one that can show a single source."""
    scheme, colon, rest = spec.partition(":")
    if scheme == "terminal":
        raise UsageError("terminal: shows one source: give file: or view: for several")
    if scheme == "view":
        if not rest:
            return "view:0" if number > 1 else spec
        return f"view:{int(rest) + number - 1}" if rest.isdecimal() and int(rest) else spec
    return f"{scheme}{colon}{named(rest, name, number)}" if rest else spec


def _of_one(arguments: Namespace, spec: str, name: str, number: int) -> Namespace:
    """The options as they are for one source."""
    if not arguments.sink:
        raise UsageError(
            "several sources: say with --sink where each goes, as in file:{source}.edf"
        )
    if arguments.patient and not any(part in arguments.patient for part in (SOURCE, NUMBER)):
        raise UsageError(
            "--patient is of one person: with several sources name a calibration for each, as in "
            "--patient {source}.json"
        )
    given = Namespace(**vars(arguments))
    given.source = spec
    given.sink = [sink_of(sink, name, number) for sink in arguments.sink]
    given.report = named(arguments.report, name, number) if arguments.report else None
    given.patient = named(arguments.patient, name, number) if arguments.patient else None
    return given
