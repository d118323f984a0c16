"""Programs that a test starts and that none leaves behind."""

from tests.edge.commands.conftest import leadlift

__all__ = ["leadlift"]
