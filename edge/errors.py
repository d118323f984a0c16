"""What can go wrong on the device, and whose fault it is.

    LeadliftError                    of all packages; it stands in firmware_bridge.errors
    ├── InputError (ValueError)      the caller: a shape, rate, lead name or file that cannot be used
    │   └── MissingLeadsError        a recording that lacks the leads it was asked for
    ├── BundleError                  the model file: truncated, altered, or of another schema
    ├── EngineError                  the environment: an inference engine that is missing or refuses
    │   ├── EngineMissingError       a library that it needs is not installed
    │   ├── EngineBuildError         TensorRT's parser or builder refuses the graph
    │   ├── ShardLostError           a shard of a fleet failed, or answers too late
    │   └── DeviceError              the GPU
    │       ├── DriverError          no driver, or one too old
    │       ├── DeviceMemoryError    out of memory
    │       └── DeviceLostError      it failed or went away; its context is dead
    ├── PatientError                 a patient's calibration file: damaged, of another schema or model
    │   └── ReferenceRefusedError    a 12-lead reference that would make a bad calibration
    ├── SinkError                    the environment: an output that cannot be opened or written
    └── BridgeError                  the link and the device: see firmware_bridge.errors

Corrupt bytes, gaps and lead-off are quality bits and counters, never exceptions.
"""

from __future__ import annotations

from firmware_bridge.errors import BridgeError, LeadliftError

__all__ = [
    "BridgeError",
    "BundleError",
    "DeviceError",
    "DeviceLostError",
    "DeviceMemoryError",
    "DriverError",
    "EngineBuildError",
    "EngineError",
    "EngineMissingError",
    "InputError",
    "LeadliftError",
    "MissingLeadsError",
    "PatientError",
    "ReferenceRefusedError",
    "ShardLostError",
    "SinkError",
]


class InputError(LeadliftError, ValueError):
    """A shape, sampling rate, lead name or file that cannot be used."""


class MissingLeadsError(InputError):
    """A recording that lacks the leads it was asked for."""

    def __init__(self, what: str, remedy: str, has_others: bool) -> None:
        """`has_others` where the remedy is to go on with those that it has."""
        super().__init__(what, remedy, has_others)  # so that it can be pickled
        self.what = what
        self.remedy = remedy
        self.has_others = has_others

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class BundleError(LeadliftError):
    """A model file that is truncated, altered or of another schema."""


class EngineError(LeadliftError):
    """An inference engine that is missing here or refuses the model."""


class EngineMissingError(EngineError):
    """A library that an engine needs is not installed."""


class EngineBuildError(EngineError):
    """A graph that TensorRT's builder, the C generator or the compiler refuses; the text names the node."""


class ShardLostError(EngineError):
    """A shard of a fleet that failed or gave no answer in time; its patients go elsewhere."""


class DeviceError(EngineError):
    """A GPU that cannot be used."""


class DriverError(DeviceError):
    """No GPU driver, or one too old for the library."""


class DeviceMemoryError(DeviceError):
    """The GPU's memory, or pinned host memory, is exhausted."""


class DeviceLostError(DeviceError):
    """The GPU failed or went away; nothing made on it can be used again."""


class PatientError(LeadliftError):
    """A patient's calibration that is damaged, of another schema, or made for another model."""


class ReferenceRefusedError(PatientError):
    """A 12-lead reference that no calibration can rest on; the text says what is wrong with it."""


class SinkError(LeadliftError):
    """An output that cannot be opened or written."""
