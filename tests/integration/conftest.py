"""What several files of integration tests share."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synthralos.store.sql.database import Database
from tests.integration.api_place import Place, api_over, core_over


@pytest.fixture(scope="module")
def pack_place(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An API for the tests of a file: the StackStorm pack speaks HTTP, and does not see which database is behind it."""
    path = shutil.copy(_migrated_sqlite, tmp_path_factory.mktemp("pack"))
    with closing(Database(f"sqlite:///{path}")) as database, api_over(core_over(database)) as place:
        yield place
