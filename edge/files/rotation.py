"""A recording in several files: another one begins after a time, or before a file would grow too large.

A change of files lies on a sample that follows from the samples alone, never from how the stream is cut
into blocks, and a whole number of seconds of samples after the file's first one: a data record of EDF+.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

from edge.errors import InputError, SinkError
from edge.files.formats import all_files, can_write, writer_for
from edge.files.recording import Metadata, MetadataSource, RecordingSink, Timeline
from edge.samples import TwelveLeadBlock
from firmware_bridge.closing import Closing
from firmware_bridge.file_lock import is_held
from firmware_bridge.new_file import TIME, part_of, stamped
from firmware_bridge.wall_time import wall_time

USAGE = "?every=1h (s, min, h, d) or ?size=100MB (kB, MB, GB) after a file's name begins another file then"
LEAST_S = 1.0
CLOCK_S = 0.1
"""The clock is believed, and not the count of samples, once they differ by more: a device's rate drifts."""

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_UNITS: dict[str, dict[str, float]] = {"every": _SECONDS, "size": _BYTES}
_VALUE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([A-Za-z]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rotation:
    """When another file begins; the first of the two that comes."""

    every_s: float | None = None
    max_bytes: int | None = None

    @classmethod
    def parse(cls, query: str) -> Rotation:
        """From what follows the `?`. Raises InputError for what it does not mean."""
        found: dict[str, float] = {}
        for option in query.split("&"):
            name, _, value = option.partition("=")
            units = _UNITS.get(name)
            if units is None or name in found:
                raise InputError(f"?{query} is not understood: {USAGE}")
            match = _VALUE.fullmatch(value)
            folded = {one.lower(): factor for one, factor in units.items()}
            unit = None if match is None else folded.get(match[2].lower())
            if match is None or unit is None:
                raise InputError(f"{option}: give a number and one of {', '.join(units)}")
            found[name] = float(match[1]) * unit
        if not found.get("every", LEAST_S) >= LEAST_S:
            raise InputError(f"?{query}: a file holds at least {LEAST_S:g} s")
        size = found.get("size")
        return cls(found.get("every"), None if size is None else int(size))


def split_target(target: str) -> tuple[str, Rotation | None]:
    """A file's name, and when to begin another one. Raises InputError for options that are not understood."""
    name, mark, query = target.rpartition("?")
    if mark and can_write(name) and not can_write(target):
        return name, Rotation.parse(query)
    if re.search(r"\?(every|size)=", target):
        raise InputError(f"{target!r}: end the name before the ?, as in OUT.edf?every=1h")
    return target, None


class Names:
    """Names of the files of one recording: with the time of each where it has {time}, else numbered."""

    def __init__(self, name: str, *, overwrite: bool) -> None:
        path = Path(name)
        self._name = path.name
        self._folder = Path(stamped(str(path.parent)))
        self._overwrite = overwrite
        self._n = 0
        self._given: set[Path] = set()

    def next(self) -> Path:
        """One that is new: none of a file that exists is given but for the first, which a sink refuses."""
        while True:
            self._n += 1
            path = self._numbered(self._n)
            if TIME in self._name:
                path = self._folder / stamped(self._name)
                if path in self._given:
                    path = path.with_name(f"{path.stem}-{self._n}{path.suffix}")
            if not self._given or not self._is_taken(path):
                self._given.add(path)
                return path

    def _numbered(self, number: int) -> Path:
        path = Path(self._name)
        return self._folder / f"{path.stem}-{number:04d}{path.suffix}"

    def _is_taken(self, path: Path) -> bool:
        if path in self._given:
            return True
        files = all_files(path, written=True)
        if any(is_held(one) for one in files):
            return True
        files = [part_of(one) for one in files] + ([] if self._overwrite else files)
        return any(os.path.lexists(one) for one in files)


def first_name(name: str) -> str:
    """The first file of a recording in several."""
    return str(Names(name, overwrite=False).next())


class RotatingSink(Closing):
    """Writes one recording into file after file, each of which opens alone.

    A gap over a change of files is in neither of them: the next one begins with its first sample, and says
    when that was. A file is finished by a thread of its own: packing one must not hold the stream up.
    """

    def __init__(
        self,
        name: str,
        rotation: Rotation,
        sampling_hz: float,
        metadata: MetadataSource,
        *,
        overwrite: bool = False,
    ) -> None:
        """As every recording. Raises InputError, too, for a size that holds less than a second."""
        self.sampling_hz = sampling_hz
        self._rotation = rotation
        self._writer = writer_for(name)
        self._names = Names(name, overwrite=overwrite)
        self._overwrite = overwrite
        self._ask: Callable[[], Metadata] = metadata if callable(metadata) else lambda: metadata
        self._sink = self._open(metadata)
        self._second = max(1, round(sampling_hz))
        self._longest = self._most_samples(name)
        self._timeline = Timeline(sampling_hz)
        self._end: int | None = None  # where the file that is open ends, on the timeline
        self._began: datetime | None = None  # of the timeline
        self._files: list[str] = []
        self._counts: Counter[str] = Counter()
        self._finishing: Thread | None = None
        self._failure: SinkError | None = None
        self._closed = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files so far, in the order of time."""
        return tuple(self._files)

    def counters(self) -> dict[str, int]:
        """What the files could not hold, added up."""
        return dict(self._counts + Counter(self._sink.counters()))

    def write(self, block: TwelveLeadBlock) -> None:
        """As of every recording."""
        if self._closed:
            raise SinkError(f"{self._sink.target} is closed: open a new sink to write more")
        try:
            self._write(block)
        except SinkError:
            self._closed = True
            self._wait()
            raise

    def _write(self, block: TwelveLeadBlock) -> None:
        if block.n_samples == 0:
            self._sink.write(block)
            return
        self._sink.check(block)
        self._timeline.place(block)
        at = self._timeline.end - block.n_samples
        while block.n_samples:
            if self._end is None or at >= self._end:
                self._begin(at, block)
            head, block = _split(block, (self._end or 0) - at)
            self._sink.write(head)
            at += head.n_samples
            if self._began is None:
                self._began = self._sink.metadata.started_at

    def _begin(self, at: int, block: TwelveLeadBlock) -> None:
        """Begin the file whose first sample, that of `block`, lies `at`."""
        if self._end is not None:
            self._finish()
            started_at = self._start_of(at, block)
            self._sink = self._open(lambda: replace(self._ask(), started_at=started_at))
        self._files.append(self._sink.target)
        self._end = at + self._n_samples(at)

    def _n_samples(self, at: int) -> int:
        """Of the file that begins `at`: whole seconds."""
        if self._rotation.every_s is None:
            return self._longest or 0
        every = self._rotation.every_s * self.sampling_hz
        due = (int((at + self._second / 2) / every) + 1) * every  # no drift, also where a gap was
        n = max(1, round((due - at) / self._second)) * self._second
        return min(n, self._longest) if self._longest is not None else n

    def _most_samples(self, name: str) -> int | None:
        """Of a file of the size that is allowed; None where it may have any."""
        limit = self._rotation.max_bytes
        if limit is None:
            return None
        one, two = (self._sink.size_of(n * self._second, self.sampling_hz) for n in (1, 2))
        if one > limit:
            raise InputError(
                f"{name}: a file of one second takes {one / 1e3:.0f} kB: give a larger size"
            )
        return (1 + (limit - one) // (two - one)) * self._second

    def _start_of(self, at: int, block: TwelveLeadBlock) -> datetime | None:
        """When the first sample of `block` was taken: by the count of samples, unless the clock differs."""
        counted = None
        if self._began is not None:
            counted = self._began + timedelta(seconds=at / self.sampling_hz)
        if not block.acquired_ns:
            return counted
        lasting = timedelta(seconds=(block.n_samples - 1) / self.sampling_hz)
        measured = wall_time(block.acquired_ns) - lasting
        if counted is None or abs((measured - counted).total_seconds()) > CLOCK_S:
            self._began = measured - timedelta(seconds=at / self.sampling_hz)
            return measured
        return counted

    def _open(self, metadata: MetadataSource) -> RecordingSink:
        path = self._names.next()
        return self._writer(path, self.sampling_hz, metadata, overwrite=self._overwrite)

    def _finish(self) -> None:
        """Finish the file that is open, beside the stream. What fails there, `close` raises."""
        self._wait()
        self._counts.update(self._sink.counters())
        self._finishing = Thread(target=self._close_one, args=(self._sink,), name="finish")
        self._finishing.start()

    def _close_one(self, sink: RecordingSink) -> None:
        try:
            sink.close()
        except SinkError as error:
            self._failure = self._failure or error
        except Exception as error:  # in a thread, nobody else would hear of it
            failure = SinkError(f"cannot finish {sink.target}: {type(error).__name__}: {error}")
            self._failure = self._failure or failure

    def _wait(self) -> None:
        if self._finishing is not None:
            self._finishing.join()
            self._finishing = None

    def close(self) -> None:
        """Finish the last file; a second call does nothing. Raises SinkError if any could not be finished."""
        if self._closed:
            return
        self._closed = True
        self._wait()
        self._close_one(self._sink)
        if self._failure is not None:
            raise self._failure


def _split(block: TwelveLeadBlock, n: int) -> tuple[TwelveLeadBlock, TwelveLeadBlock]:
    """The first `n` samples of a block, and the rest; each with the markers that belong there."""
    rest = max(0, block.n_samples - n)
    if not rest:
        return block, block.followed_by(())
    at = block.first_sample + n
    behind_ns = round(rest / block.sampling_hz * 1e9)
    head = replace(
        block.first(n),
        acquired_ns=block.acquired_ns - behind_ns if block.acquired_ns else 0,
        markers=tuple(marker for marker in block.markers if marker.sample < at),
    )
    tail = replace(
        block,
        ecg_mv=block.ecg_mv[:, n:],
        sigma_mv=block.sigma_mv[:, n:],
        quality=block.quality[:, n:],
        first_sample=at,
        markers=tuple(marker for marker in block.markers if marker.sample >= at),
    )
    return head, tail
