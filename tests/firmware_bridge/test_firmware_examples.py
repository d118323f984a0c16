"""The porting guide's examples: they compile (against stubs), and what can be checked without silicon is."""

from __future__ import annotations

import ctypes
import re
import subprocess
from ctypes import CFUNCTYPE, POINTER, c_bool, c_int32, c_size_t, c_uint8, c_uint32, c_void_p
from pathlib import Path

import pytest

from firmware_bridge.firmware.generate import SOURCES
from firmware_bridge.wire import gatt
from tests.firmware_bridge.c_library import BUILD_S, compile_c, need

EXAMPLES = SOURCES / "examples"
STUBS = Path(__file__).parent / "stubs"
ZEPHYR_HEADERS = (
    *(f"bluetooth/{name}.h" for name in ("bluetooth", "conn", "gatt", "uuid")),
    *("drivers/gpio.h", "drivers/spi.h", "kernel.h", "random/random.h"),
)


def forward(folder: Path, headers: tuple[str, ...], stub: str) -> None:
    """Headers in `folder` that all are the one stub."""
    for header in headers:
        path = folder / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#include "{STUBS / stub}"\n')


def test_the_zephyr_example_compiles_and_has_our_uuids(tmp_path: Path) -> None:
    need("cc")
    forward(tmp_path / "zephyr", ZEPHYR_HEADERS, "zephyr.h")
    source = EXAMPLES / "zephyr_ble" / "src" / "main.c"
    # As Zephyr builds: GNU C, and callbacks need not use what they are given.
    options = ["-Wno-unused-parameter", "-Wno-pedantic", f"-I{tmp_path}", f"-I{EXAMPLES}"]
    compile_c(source, *options, standard="gnu11")
    text = source.read_text()
    base = re.search(r"ENCODE\(n, 0x(\w{4}), 0x(\w{4}), 0x(\w{4}), 0x(\w{12})\)", text)
    assert base is not None
    found = ["-".join((first, *base.groups())) for first in re.findall(r"UUID\(0x(\w{8})\)", text)]
    assert found == [gatt.SERVICE, gatt.STREAM, gatt.CONTROL, gatt.INFO]


TRANSFER = CFUNCTYPE(None, c_void_p, POINTER(c_uint8), POINTER(c_uint8), c_size_t)


class FakeAds1293:
    """The converter's registers behind SPI: the address counts up, bit 7 of it reads."""

    def __init__(self) -> None:
        self.registers = [0] * 128
        self.stuck: int | None = None
        """A register that takes no value, as one of an absent chip."""
        self.transfer = TRANSFER(self._transfer)

    def _transfer(self, context: object, out, into, n: int) -> None:
        address, reads = out[0] & 0x7F, out[0] & 0x80
        for i in range(1, n):
            if reads:
                into[i] = self.registers[address]
            elif address != self.stuck:
                self.registers[address] = out[i]
            address += 1


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    need("cc")
    path = tmp_path_factory.mktemp("ads1293") / "libads1293.so"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-fPIC"]
    command = ["cc", *flags, "-shared", str(EXAMPLES / "ads1293.c"), "-o", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(path))
    library.ads1293_start.restype = c_bool
    library.ads1293_start.argtypes = [TRANSFER, c_void_p]
    library.ads1293_read.argtypes = [TRANSFER, c_void_p, POINTER(c_int32), POINTER(c_uint8)]
    library.ads1293_counts.argtypes = [c_uint32]
    library.ads1293_lead_off.argtypes = [c_uint8]
    library.ads1293_lead_off.restype = c_uint8
    return library


def test_the_converter_is_configured_checked_and_started(driver: ctypes.CDLL) -> None:
    chip = FakeAds1293()
    assert driver.ads1293_start(chip.transfer, None)
    # CH1 IN3 - IN1, CH2 IN4 - IN6, CH3 IN5 - IN6; Wilson's terminal from IN1, IN2, IN3 to IN6.
    assert chip.registers[0x01:0x04] == [0b011_001, 0b100_110, 0b101_110]
    assert chip.registers[0x0D:0x11] == [1, 2, 3, 1]
    assert chip.registers[0x00] == 1
    absent = FakeAds1293()
    absent.stuck = 0x10
    assert not driver.ads1293_start(absent.transfer, None)
    assert absent.registers[0x00] == 0


def test_samples_are_signed_around_zero_volts_and_fill_24_bits(driver: ctypes.CDLL) -> None:
    chip = FakeAds1293()
    chip.registers[0x37:0x40] = [0x40, 0, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF]
    chip.registers[0x18] = 0b001000  # V1's electrode
    counts, lead_off = (c_int32 * 3)(), c_uint8()
    driver.ads1293_read(chip.transfer, None, counts, lead_off)
    assert list(counts) == [0, -(2**23), 2**23 - 2]
    assert lead_off.value == 0b010
    # 1 mV between the electrodes: code = (3.5 * V / (2 * 2.4 V) + 1/2) * 2^23
    code = round((3.5 * 1e-3 / 4.8 + 0.5) * 2**23)
    assert driver.ads1293_counts(code) * 81.745e-6 == pytest.approx(1.0, abs=2e-4)


def test_a_limb_electrode_that_is_off_takes_wilsons_terminal_with_it(driver: ctypes.CDLL) -> None:
    off = [driver.ads1293_lead_off(1 << i) for i in range(6)]
    assert off == [0b111, 0b110, 0b111, 0b010, 0b100, 0]
