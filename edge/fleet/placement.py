"""Which shard a patient goes to: rendezvous hashing, the same answer in every process. Pure.

Each shard has a score for each patient, and the highest one takes the patient. When a shard leaves, its
patients alone move, spread over all that are left; when one joins, it takes an equal share from each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_SCORE_BYTES = 8


def preferred(patient: str, shards: Iterable[str]) -> list[str]:
    """`shards`, the one that a patient is to go to first; the next one follows where that has no room."""
    return sorted(shards, key=lambda shard: _score(patient, shard), reverse=True)


def _score(patient: str, shard: str) -> tuple[bytes, str]:
    """Rises with nothing; the name of the shard decides in a draw."""
    digest = hashlib.blake2b(
        patient.encode(), digest_size=_SCORE_BYTES, key=hashlib.sha256(shard.encode()).digest()
    )
    return digest.digest(), shard
