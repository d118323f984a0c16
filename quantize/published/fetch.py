"""Files of a published data set from a web server: several at once, resumed, each checked by its SHA-256."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from edge.progress import followed
from firmware_bridge.closing import Closing
from firmware_bridge.extras import install_extra
from quantize.errors import QuantizeError
from quantize.published.sets import CHECKSUMS, PHYSIONET, DataSet

if TYPE_CHECKING:
    import requests

CONNECTIONS = 4
RETRIES = 5  # of a request, waiting longer each time
WAIT_S = 0.5
TIMEOUT_S = 60.0
PIECE = 1 << 16
_LINE = re.compile(r"([0-9a-f]{64})\s+\*?(\S.*)", re.IGNORECASE)


class Server(Closing):
    """A web server that has PhysioNet's files, a connection for each thread; a context manager."""

    def __init__(self, address: str = PHYSIONET) -> None:
        self.address = address.rstrip("/")
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """End the connections; a second call does nothing."""
        for session in self._sessions:
            session.close()

    def get(self, path: str, first: int = 0) -> requests.Response:
        """The file from byte `first` on, its body not yet read. Raises QuantizeError if it cannot be had."""
        import requests

        url = f"{self.address}/{path}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={first}-"} if first else {})
        try:
            answer = self._session().get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
        except requests.RequestException as error:
            raise QuantizeError(
                f"cannot reach {url} ({_reason(error)}): try again, it goes on where it is, or give --mirror"
            ) from error
        if answer.status_code not in (200, 206, 416):
            answer.close()
            raise QuantizeError(f"{url}: the server answers {answer.status_code} {answer.reason}")
        return answer

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            try:
                import requests
                from requests.adapters import HTTPAdapter
                from urllib3.util.retry import Retry
            except ImportError as error:
                raise QuantizeError(f"fetching needs requests: {install_extra('train')}") from error
            again = Retry(
                RETRIES, backoff_factor=WAIT_S, status_forcelist=(429, 500, 502, 503, 504)
            )
            again.raise_on_status = False
            self._local.session = requests.Session()
            self._sessions.append(self._local.session)
            for scheme in ("https://", "http://"):
                self._local.session.mount(scheme, HTTPAdapter(max_retries=again))
        session: requests.Session = self._local.session
        return session


def fetch(data_set: DataSet, folder: Path, server: Server) -> Path:
    """Fetch what is wanted of a data set; the folder that then holds it, and nothing unchecked.

    What is there and right is left; what was interrupted goes on. Raises QuantizeError for a server that
    cannot be reached, a list of files that names none or one outside, a file that is not what the list
    says, twice, and a disk that is full.
    """
    root = folder / data_set.path
    try:
        sums = wanted(data_set, server.get(f"{data_set.path}/{CHECKSUMS}").text)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            jobs = [
                pool.submit(_fetch_file, server, f"{data_set.path}/{path}", root / path, digest)
                for path, digest in sums.items()
            ]
            try:
                for job in followed(as_completed(jobs), f"fetching {data_set.name}", len(jobs)):
                    job.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except OSError as error:
        raise QuantizeError(
            f"cannot write {error.filename or root}: {error.strerror or error}"
        ) from error
    return root


def wanted(data_set: DataSet, checksums: str) -> dict[str, str]:
    """Path -> SHA-256 of the wanted files of a list.

    Raises QuantizeError where it names none, or one outside its folder.
    """
    found = {}
    for line in checksums.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        path = match[2].removeprefix("./")
        if data_set.wanted.fullmatch(path):
            if ".." in PurePosixPath(path).parts:
                raise QuantizeError(f"{CHECKSUMS} of {data_set.name} names {path!r}, outside it")
            found[path] = match[1].lower()
    if not found:
        raise QuantizeError(
            f"{CHECKSUMS} of {data_set.name} lists no file that is wanted: is it {data_set.path}?"
        )
    return found


def _fetch_file(server: Server, path: str, target: Path, digest: str) -> None:
    if target.exists() and _sha256(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    for _ in range(
        2
    ):  # what goes on from an old part may be of another version: once more from its start
        _download(server, path, part)
        if _sha256(part) == digest:
            part.replace(target)
            return
        part.unlink()
    raise QuantizeError(f"{server.address}/{path} is not what {CHECKSUMS} says: try again later")


def _download(server: Server, path: str, part: Path) -> None:
    """Add what is missing to the part; what breaks off goes on, a few times."""
    import requests

    for attempt in range(RETRIES + 1):
        have = part.stat().st_size if part.exists() else 0
        with server.get(path, have) as answer:
            if answer.status_code == 416:  # there is no more: it is whole
                return
            goes_on = answer.status_code == 206
            try:
                with part.open("ab" if goes_on else "wb") as file:
                    for piece in answer.iter_content(PIECE):
                        file.write(piece)
                return
            except requests.RequestException as error:
                if attempt == RETRIES:
                    raise QuantizeError(
                        f"{server.address}/{path} breaks off ({_reason(error)}): try again, it goes on "
                        "where it is"
                    ) from error
        time.sleep(WAIT_S * attempt)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """The innermost of nested errors, in a line."""
    reason: object = error
    while isinstance(reason, Exception):
        inner = getattr(reason, "reason", None) or next(iter(reason.args), None)
        if not isinstance(inner, Exception):
            break
        reason = inner
    return " ".join(str(reason).split())[:120] or type(error).__name__
