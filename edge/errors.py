"""What can go wrong on the device, and whose fault it is.

    LeadliftError
    ├── InputError (ValueError)      the caller: a shape, rate, lead name or file that cannot be used
    ├── BundleError                  the model file: truncated, altered, or of another schema
    ├── EngineError                  the environment: an inference engine that is missing or refuses
    └── SinkError                    the environment: an output that cannot be opened or written

Corrupt bytes, gaps and lead-off are quality bits and counters, never exceptions.
"""

from __future__ import annotations


class LeadliftError(Exception):
    """Base of every error that edge raises on purpose; its text is one line that says what to do."""


class InputError(LeadliftError, ValueError):
    """A shape, sampling rate, lead name or file that cannot be used."""


class BundleError(LeadliftError):
    """A model file that is truncated, altered or of another schema."""


class EngineError(LeadliftError):
    """An inference engine that is missing here or refuses the model."""


class SinkError(LeadliftError):
    """An output that cannot be opened or written."""
