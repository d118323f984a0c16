"""Sequences of an inference server as patients of a MultiReconstructor: requests in, blocks out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import InputError, LeadliftError
from edge.multi_reconstructor import MultiReconstructor
from edge.samples import TwelveLeadBlock
from edge.slots import Array


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """The next samples of one sequence."""

    sequence: int
    """The correlation id."""
    ecg_mv: Array
    """(n_leads, n) float32 mV; NaN where a lead is off."""
    start: bool = False
    end: bool = False
    leads: tuple[str, ...] | None = None
    """Of a start: the leads that are measured; None for II, V1, V5."""
    skip: int = 0
    """Samples that nobody has, before these."""


class Sequences:
    """The sequences that are open, each with leads of its own.

    A server forgets a sequence that is idle for long without a word, so where all slots are taken the one
    that was silent longest makes room.
    """

    def __init__(self, multi: MultiReconstructor) -> None:
        self._multi = multi
        self._open: dict[int, None] = {}  # the one that was silent longest first

    def answer(self, requests: Sequence[Request]) -> list[TwelveLeadBlock | LeadliftError]:
        """A block for each request, maybe of 0 samples, or why there is none; one does not disturb another.

        Each sequence is in `requests` once at most. The last block of a sequence, at its end, has all that
        the decoder held back.
        """
        refused: dict[int, LeadliftError] = {}
        here = {request.sequence for request in requests}
        for request in requests:
            try:
                self._be_ready(request, here)
            except LeadliftError as error:
                refused[request.sequence] = error
                if request.start:
                    self._forget(request.sequence)
        taken = [request for request in requests if request.sequence not in refused]
        found = self._multi.push({str(one.sequence): one.ecg_mv for one in taken})
        for request in requests:
            name = str(request.sequence)
            if request.end and name in found:
                found[name] = found[name].then(self._multi.flush(name))
            if request.end:
                self._forget(request.sequence)
        return [
            refused[one.sequence] if one.sequence in refused else found[str(one.sequence)]
            for one in requests
        ]

    def _be_ready(self, request: Request, here: set[int]) -> None:
        """Raise LeadliftError where the samples cannot be pushed; who is `here` now keeps the slot."""
        name = str(request.sequence)
        if request.start:
            self._forget(request.sequence)
            if len(self._open) == self._multi.slots:
                silent = next((one for one in self._open if one not in here), None)
                if silent is not None:
                    self._forget(silent)
            self._multi.join(name, request.leads)
        elif request.sequence not in self._open:
            raise InputError(
                f"sequence {name} is not known here, for the server or its model began anew: begin it again"
                " with START and its leads"
            )
        self._open.pop(request.sequence, None)
        self._open[request.sequence] = None
        leads = self._multi.leads(name)
        if request.ecg_mv.ndim != 2 or len(request.ecg_mv) != len(leads):
            raise InputError(
                f"sequence {name}: expected ({len(leads)}, n) samples in mV, rows {', '.join(leads)}; got"
                f" shape {request.ecg_mv.shape}"
            )
        if request.skip:
            self._multi.skip(name, request.skip)

    def _forget(self, sequence: int) -> None:
        if sequence in self._open:
            del self._open[sequence]
            self._multi.leave(str(sequence))
