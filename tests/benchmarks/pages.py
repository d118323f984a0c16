"""Memory that is resident for certain, for tests of what is measured of it."""

from __future__ import annotations

import mmap


def written_pages(n_bytes: int) -> mmap.mmap:
    """Pages from the kernel, each written; `bytes` may lie in memory that an earlier test freed."""
    pages = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for first in range(0, n_bytes, mmap.PAGESIZE):
        pages[first] = 1
    return pages
