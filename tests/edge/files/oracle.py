"""wfdb-python, which is no part of leadlift: what it warns of as it loads concerns its own tables."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import wfdb

__all__ = ["wfdb"]
