"""What bleak, BlueZ and D-Bus say when something goes wrong, as one line of what, why and what to do."""

from __future__ import annotations

import asyncio
import sys

from firmware_bridge.errors import (
    AccessError,
    AdapterError,
    BridgeError,
    NotFoundError,
    PeerError,
    RefusedError,
    TransportError,
)

FAULTS: tuple[type[BaseException], ...] = (asyncio.TimeoutError, OSError, EOFError, AssertionError)
"""What bleak lets through besides its own BleakError: D-Bus sockets, and replies it did not expect."""

_TURN_ON = "turn Bluetooth on, such as with `bluetoothctl power on`"
_PLUG_IN = "plug one in, or check `rfkill` and that the Bluetooth service runs"
_START_SERVICE = "start it, such as with `systemctl start bluetooth`"
_PAIR = "pair it, with ?pair=1 or in the system's settings"


def faults() -> tuple[type[BaseException], ...]:
    """All that a call into bleak raises for a reason outside this program."""
    from bleak.exc import BleakError

    return (BleakError, *FAULTS)


def explain(error: BaseException, device: str, doing: str) -> BridgeError:
    """The typed error for `error`, met while `doing` (as in "connecting to it") something to `device`."""
    from bleak import exc

    if isinstance(error, exc.BleakBluetoothNotAvailableError):
        return _unavailable(error)
    forgotten = type(error) is exc.BleakError and str(error).endswith("not found")
    if forgotten or isinstance(error, exc.BleakDeviceNotFoundError):
        return _gone(device)
    if isinstance(error, exc.BleakCharacteristicNotFoundError):
        return PeerError(
            f"{device} has no characteristic {error.char_specifier}: check device= and its firmware"
        )
    if isinstance(error, exc.BleakGATTProtocolError):
        return _refused_by_attribute(error, device, doing)
    if isinstance(error, exc.BleakDBusError):
        return _dbus(error, device, doing)
    if isinstance(error, asyncio.TimeoutError):
        return TransportError(
            f"{device} does not answer while {doing}: bring it nearer, or restart it"
        )
    if isinstance(error, PermissionError):
        return AccessError(
            "no permission to use the system D-Bus, which Bluetooth needs: run as a user who has it"
        )
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return AdapterError(
            "no system D-Bus here, which Bluetooth needs: start dbus and the Bluetooth service, "
            "or pass its socket into the container"
        )
    return TransportError(f"{device}: {_text(error)} while {doing}; try again, or bring it nearer")


def _gone(device: str) -> BridgeError:
    return NotFoundError(
        f"{device} was found and has gone since: bring it nearer, or switch it on again"
    )


def _unavailable(error: BaseException) -> BridgeError:
    from bleak.exc import BleakBluetoothNotAvailableReason as Reason

    reason = getattr(error, "reason", Reason.UNKNOWN)
    if reason is Reason.NO_BLUETOOTH:
        return AdapterError(f"no Bluetooth adapter: {_PLUG_IN}")
    if reason is Reason.NO_BLE_CENTRAL_ROLE:
        return AdapterError("no Bluetooth adapter that can connect to BLE devices: plug in another")
    if reason is Reason.POWERED_OFF:
        return AdapterError(f"the Bluetooth adapter is off: {_TURN_ON}")
    if reason is Reason.UNKNOWN:
        return AdapterError(f"Bluetooth is not available ({_text(error)}): {_PLUG_IN}")
    if sys.platform == "darwin":
        remedy = "allow this terminal in System Settings, Privacy & Security, Bluetooth"
    else:
        remedy = "join the group that may use it, often `bluetooth`, and log in again"
    return AccessError(f"no permission to use Bluetooth: {remedy}")


def _refused_by_attribute(error: BaseException, device: str, doing: str) -> BridgeError:
    from bleak.exc import BleakGATTProtocolErrorCode as Code

    needs_pairing = (
        Code.INSUFFICIENT_AUTHENTICATION,
        Code.INSUFFICIENT_AUTHORIZATION,
        Code.INSUFFICIENT_ENCRYPTION,
        Code.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
    )
    code = getattr(error, "code", None)
    if code in needs_pairing:
        return RefusedError(f"{device} wants to be paired before {doing}: {_PAIR}")
    name = "unknown" if code is None else str(code.name).lower().replace("_", " ")
    return RefusedError(
        f"{device} refused {doing} ({name}): check its firmware, and device= in the source's name"
    )


def _dbus(error: BaseException, device: str, doing: str) -> BridgeError:
    name = str(getattr(error, "dbus_error", ""))
    short = name.rpartition(".")[2]
    if name.startswith("org.bluez"):
        if short.startswith("Authentication"):
            return RefusedError(f"{device} refused to pair ({_text(error)}): {_PAIR}")
        if short == "NotReady":
            return AdapterError(f"the Bluetooth adapter is off: {_TURN_ON}")
        if short in ("NotPermitted", "NotAuthorized", "NotSupported", "InvalidArguments"):
            return RefusedError(
                f"{device} refused {doing} ({_text(error)}): check its firmware, and device= in the "
                "source's name"
            )
    if short == "AccessDenied":
        return AccessError(
            "no permission to use BlueZ over D-Bus: join the group that may, often `bluetooth`, "
            "and log in again"
        )
    if short in ("ServiceUnknown", "NameHasNoOwner", "Disconnected", "NoReply", "SpawnFailed"):
        return AdapterError(f"the Bluetooth service (bluetoothd) does not run: {_START_SERVICE}")
    if short in ("UnknownObject", "UnknownMethod", "DoesNotExist"):
        return _gone(device)
    return TransportError(f"{device}: {_text(error)} while {doing}; try again, or bring it nearer")


def _text(error: BaseException) -> str:
    return (str(error) or type(error).__name__).replace("\n", " ")
