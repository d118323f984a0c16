"""The root of every error of leadlift; and what can go wrong between a wearable and its packets.

    LeadliftError             all that leadlift raises on purpose; `edge.errors` has the other branches
    BridgeError (LeadliftError)
    ├── SourceSpecError       the caller: a source or device name that cannot be understood
    ├── TransportError        the environment: a port or radio that is busy or does not answer
    │   ├── AdapterError      the environment: no Bluetooth adapter, or it is off
    │   ├── AccessError       the environment: it is there, and this user may not use it
    │   ├── NotFoundError     the environment: the device is not there, or is gone since it was found
    │   ├── RefusedError      the peer: it says no to pairing, to notifications or to a write
    │   └── TransportLost     the link: it was open and is gone
    ├── StallError            the link: open, but silent for too long
    ├── PeerError             the peer: well-formed bytes that make no sense (other lead count, other device)
    ├── EncodeError           the caller: a value that the wire format cannot carry
    └── CaptureError          a recorded byte stream that cannot be read back

Corrupt bytes, gaps and lead-off are events (`firmware_bridge.events`), never exceptions.
"""

from __future__ import annotations


class LeadliftError(Exception):
    """Base of every error that leadlift raises on purpose; its text is one line that says what to do."""


class BridgeError(LeadliftError):
    """Base of every error that firmware_bridge raises on purpose."""


class SourceSpecError(BridgeError, ValueError):
    """A source or device name that cannot be understood."""


class TransportError(BridgeError):
    """A transport that could not be opened or used."""


class AdapterError(TransportError):
    """No Bluetooth adapter, one that is switched off, or no Bluetooth service to ask for it."""


class AccessError(TransportError):
    """The system forbids this user or program what the transport needs."""


class NotFoundError(TransportError):
    """The device is not there, or has gone between being found and being opened."""


class RefusedError(TransportError):
    """The device, or the system for it, refused to pair, to notify or to take a write."""


class TransportLost(TransportError):  # noqa: N818 - the state of the link, as bleak and pyserial say it
    """A transport that was open and has gone."""


class StallError(BridgeError):
    """A transport that is open but has been silent for too long."""


class PeerError(BridgeError):
    """Well-formed bytes that make no sense for this stream."""


class EncodeError(BridgeError, ValueError):
    """A value that the wire format cannot carry."""


class CaptureError(BridgeError):
    """A capture file that cannot be read back."""
