"""What a benchmark can fail of: every error that it raises on purpose."""

from __future__ import annotations

from edge.errors import LeadliftError


class BenchmarkError(LeadliftError):
    """A package that is not there, a child process that failed, a report that does not read."""
