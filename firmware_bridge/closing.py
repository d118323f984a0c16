"""What is closed at the end of a `with` block."""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import TypeVar

_ClosingT = TypeVar("_ClosingT", bound="Closing")


class Closing:
    """A context manager that calls its own `close`."""

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Release what is held; a second call does nothing."""

    def __enter__(self: _ClosingT) -> _ClosingT:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
