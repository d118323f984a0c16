"""What can go wrong on the workstation: every error that quantize raises on purpose."""

from __future__ import annotations

from edge.errors import LeadliftError


class QuantizeError(LeadliftError):
    """Data that is not there, a checkpoint that does not fit, an export that does not verify."""
