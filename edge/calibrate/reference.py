"""Whether a 12-lead reference may calibrate anything: what is refused, and why.

What an electrode or a cable did wrong shows in one lead (flat, clipped, noisy), in the identities of the
limb leads, or in the order of the leads: then another order explains the reference much better by the
population's second moments. Left arm and left leg exchanged look like another healthy heart: that is not
found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import ReferenceRefusedError
from edge.leads import INDEPENDENT_LEADS, LIMB_FROM_I_II
from edge.signal.presence import Presence

MIN_S = 2.0
FLAT_S = 0.6  # no lead stays on one code for longer, even between the beats of a slow heart
LEAST_MV = 0.03  # peak to peak: a lead with less holds no beat
CLIPPED_S = 0.02  # no R or S wave stands still at its top for so long
CLIPPED_MV = (
    1.0  # from the median: what stands still nearer to it may be a low plateau, above is a rail
)
IDENTITY_SHARE = (
    0.1  # of the limb leads' power; filters that differ from lead to lead stay far below
)
IDENTITY_MV = 0.02
ORDER_FACTOR = 1.6
"""How much better another order must explain the reference. Fold 9, 2 s: 1 of 332 references is beyond; of
copies with the arms exchanged 90 % are found, inverted 79-98 %, chest neighbours exchanged 39-81 %."""
MAX_UNEXPLAINED = 0.3
"""Share of the reference's power that a fit may leave; noise at 6 dB leaves 0.13 to 0.2 and still helps."""

Array = NDArray[np.float64]


def refuse(why: str, then: str = "record it again") -> ReferenceRefusedError:
    """The error to raise."""
    return ReferenceRefusedError(f"reference refused: {why}; {then}")


def check_leads(leads: Sequence[str]) -> None:
    """Raise ReferenceRefusedError unless the eight independent leads are there."""
    lacking = [lead for lead in INDEPENDENT_LEADS if lead not in leads]
    if lacking:
        raise refuse(
            f"lead {', '.join(lacking)} is missing",
            f"give 12 leads, or {', '.join(INDEPENDENT_LEADS)}",
        )


def check_signals(ecg_mv: NDArray[np.floating], sampling_hz: float, leads: Sequence[str]) -> None:
    """Raise ReferenceRefusedError for what no lead of an ECG is, as recorded: (n_leads, n) mV."""
    seconds = ecg_mv.shape[1] / sampling_hz
    if seconds < MIN_S - 0.5 / sampling_hz:
        raise refuse(f"{seconds:.2f} s are too short", f"give {MIN_S:g} s or more")
    x = np.asarray(ecg_mv, np.float64)
    for lead, signal in zip(leads, x, strict=True):
        if not np.isfinite(signal).all():
            raise refuse(f"{lead} has missing samples (an electrode was off)")
        if not signal.any():
            raise refuse(f"{lead} is zero throughout", "check its electrode and record it again")
        if longest_run(signal, 0.0) >= FLAT_S * sampling_hz or np.ptp(signal) < LEAST_MV:
            raise refuse(f"{lead} is flat", "check its electrode and record it again")
        for rail in (signal.min(), signal.max()):
            at_rail = np.where(signal == rail, 0.0, np.arange(1, len(signal) + 1))
            if (
                abs(rail - np.median(signal)) > CLIPPED_MV
                and longest_run(at_rail, 0.0) >= CLIPPED_S * sampling_hz
            ):
                raise refuse(f"{lead} is clipped at {rail:.2f} mV", "lower the gain, record again")
    _check_identities(x, list(leads))


def check_noise(ecg_mv: NDArray[np.float32], sampling_hz: float, hop: int) -> None:
    """Raise ReferenceRefusedError for muscle or mains noise, by the rule of the live path.

    `ecg_mv` is (8, n) mV, rows INDEPENDENT_LEADS.
    """
    n = ecg_mv.shape[1] // hop * hop
    _, _, noisy = Presence(sampling_hz, len(ecg_mv), hop).push(ecg_mv[:, :n], None)
    if noisy.any():
        names = [INDEPENDENT_LEADS[i] for i in np.flatnonzero(noisy.any(1))]
        raise refuse(f"{', '.join(names)} noisy", "let the patient rest, record it again")


def check_order(moments: Array, population: Array) -> None:
    """Raise ReferenceRefusedError where another order or sign of the leads fits the population far better.

    Both are (8, 8) second moments of INDEPENDENT_LEADS, that of the reference and the bundle's.
    """
    ridge = 0.01 * np.trace(population) / len(population)
    precision = np.linalg.inv(population + ridge * np.eye(len(population)))

    def energy(of: Array) -> float:
        return float((precision * of).sum())

    alternatives = [(energy(t @ moments @ t.T), what) for what, t in _mistakes()]
    least, what = min(alternatives, key=lambda one: one[0])
    factor = energy(moments) / least
    if factor > ORDER_FACTOR:
        raise refuse(
            f"{what}, it seems: undone, the population explains it {factor:.1f} times better",
            "check the electrodes, or pass --trust-order if they are right",
        )


def _check_identities(x: Array, leads: list[str]) -> None:
    centred = x - x.mean(1, keepdims=True)
    limb = centred[[leads.index("I"), leads.index("II")]]
    size = np.sqrt((limb**2).mean())
    for lead, (a, b) in zip(("III", "aVR", "aVL", "aVF"), LIMB_FROM_I_II, strict=True):
        if lead not in leads:
            continue
        off = np.sqrt(np.square(centred[leads.index(lead)] - a * limb[0] - b * limb[1]).mean())
        if off > max(IDENTITY_MV, IDENTITY_SHARE * size):
            raise refuse(
                f"{lead} is not {a:+g} I {b:+g} II, by {off:.2f} mV: the leads are in wrong order",
                "check their names",
            )


def _mistakes() -> Iterator[tuple[str, Array]]:
    """What goes wrong with electrodes and cables, and the (8, 8) map that undoes it (each undoes itself,
    or one of the others does)."""
    place = {lead: i for i, lead in enumerate(INDEPENDENT_LEADS)}
    limbs = {
        "right and left arm exchanged": ((-1, 0), (-1, 1)),
        "right arm and left leg exchanged": ((1, -1), (0, -1)),
        "limb electrodes rotated": ((-1, 1), (-1, 0)),
        "limb electrodes rotated the other way": ((0, -1), (1, -1)),
    }
    for what, (one, two) in limbs.items():
        t = np.eye(8)
        t[0, :2], t[1, :2] = one, two
        yield what, t
    for lead, i in place.items():
        t = np.eye(8)
        t[i, i] = -1
        yield f"{lead} inverted", t
    for i, one_lead in enumerate(INDEPENDENT_LEADS):
        for j in range(i + 1, 8):
            if (i, j) == (0, 1):
                continue  # as with left arm and left leg exchanged: nearly as likely
            t = np.eye(8)
            t[[i, j]] = t[[j, i]]
            yield f"{one_lead} and {INDEPENDENT_LEADS[j]} exchanged", t
    t = np.eye(8)
    t[2:] = t[:1:-1]
    yield "V1 to V6 in reverse", t


def longest_run(signal: Array, least_step: float) -> int:
    """Samples in the longest stretch whose steps do not exceed `least_step`."""
    moves = np.flatnonzero(np.abs(np.diff(signal)) > least_step) + 1
    return int(np.diff(np.concatenate([[0], moves, [len(signal)]])).max())
