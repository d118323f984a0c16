"""Makes a whole file of what an interrupted recording left: a packed NPZ, an EDF or DICOM that is true.

The original is only read. What is made is a new file.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from edge.errors import InputError
from edge.files.dicom_object import mended
from edge.files.edf_header import FIXED_BYTES, read_header
from edge.progress import progress

GROWING = ("ecg_mv", "sigma_mv", "quality")
"""Arrays of an NPZ recording that are as long as it is; the first is stored as it is, the others deflated."""
_COPY_BYTES = 1 << 20
_COUNT = slice(236, 244)
_HEADER_LENGTH = slice(184, 192)


def pack_spool(spool: Path, target: BinaryIO) -> int:
    """Pack the folder of an NPZ recording, `OUT.npz.part`, into `target`; the number of samples.

    The samples of a last second that the headers do not know of yet are in, as far as every array has them.
    Raises InputError for a folder that holds no samples.
    """
    arrays: dict[str, tuple[Path, int, np.dtype[np.generic], int]] = {}
    n_samples = sys.maxsize
    try:
        for name in GROWING:
            path = spool / f"{name}.npy"
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
                start = file.tell()
            if not fortran or len(shape) != 2 or dtype.hasobject or not 0 < shape[0] <= 1024:
                raise ValueError(f"{path.name} is no growing array")
            held = (path.stat().st_size - start) // (dtype.itemsize * shape[0])
            arrays[name] = (path, start, dtype, shape[0])
            n_samples = min(n_samples, held)
        small = [
            (path, np.load(path, allow_pickle=False))
            for path in sorted(spool.glob("*.npy"))
            if path.stem not in GROWING
        ]
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{spool} holds no recording that can be packed: {why}") from error
    if n_samples == 0:
        raise InputError(f"{spool} holds no samples: there is nothing to repair, remove it")
    with zipfile.ZipFile(target, "w") as archive:
        for name, (path, start, dtype, n_rows) in arrays.items():
            member = zipfile.ZipInfo.from_file(path, path.name)
            stored = name == GROWING[0]
            member.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(member, "w", force_zip64=True) as sink:
                head = {"descr": dtype.str, "fortran_order": True, "shape": (n_rows, n_samples)}
                np.lib.format.write_array_header_1_0(sink, head)
                source.seek(start)
                _copy(source, sink, n_samples * n_rows * dtype.itemsize)
        for path, _ in small:
            archive.write(path, path.name)
    return n_samples


def mend_edf(path: Path, target: BinaryIO | None) -> list[str]:
    """Write an EDF with the number of records that it holds, and without what follows the last of them.

    What was mended, a line each; an empty list, with nothing written, for a file that is whole. With
    `target` None nothing is written, either.
    """
    with path.open("rb") as file:
        header = read_header(file, path)
        head_bytes = FIXED_BYTES * (1 + len(header.signals))
        file.seek(0)
        head = bytearray(file.read(head_bytes))
        before = bytes(head)
        head[_COUNT] = f"{header.n_records:<8d}".encode()
        head[_HEADER_LENGTH] = f"{head_bytes:<8d}".encode()
        n_bytes = header.n_records * header.record_bytes
        rest = path.stat().st_size - header.data_offset - n_bytes
        mended = []
        if before[_COUNT].rstrip(b"\0 ") != head[_COUNT].rstrip(b" "):
            mended.append(f"{header.n_records} data records")
        if before[_HEADER_LENGTH].rstrip(b"\0 ") != head[_HEADER_LENGTH].rstrip(b" "):
            mended.append(f"a header of {head_bytes} bytes")
        if rest:
            mended.append(f"{rest} bytes of an incomplete record left out")
        if mended and target is not None:
            target.write(head)
            file.seek(header.data_offset)
            _copy(file, target, n_bytes)
    return mended


def mend_dicom(path: Path, target: BinaryIO) -> bool:
    """Write an object of ours with all samples that are there, and the right number of them.

    Whether it had to be mended; one that is whole is copied.
    """
    with path.open("rb") as file:
        found = mended(file)
        keep, changes = (path.stat().st_size, []) if found is None else found
        file.seek(0)
        _copy(file, target, keep)
    for at, data in changes:
        target.seek(at)
        target.write(data)
    return found is not None


def _copy(source: BinaryIO, target: IO[bytes], n_bytes: int) -> None:
    left = n_bytes
    with progress("copying", n_bytes) as work:
        while left:
            data = source.read(min(left, _COPY_BYTES))
            if not data:
                raise InputError("the file became shorter while it was read")
            target.write(data)
            left -= len(data)
            work.done = n_bytes - left
