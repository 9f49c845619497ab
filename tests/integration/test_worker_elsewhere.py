"""`synthralos worker` in a folder where others keep things of the same names."""

import subprocess
from pathlib import Path

from migrations.runner import upgrade
from synthralos.store.admin.processes import Processes
from synthralos.store.sql.database import Database
from tests.fakes.children import child
from tests.fakes.commands import arguments, environment


def test_a_worker_imports_nothing_from_the_folder_that_it_is_started_in(
    tmp_path: Path, sqlite_database: str, amqp_vhost: str
) -> None:
    for name in ("workers", "api", "pipelines", "synthralos", "dramatiq"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('somebody else’s')")
    database = Database(sqlite_database)
    upgrade(database)
    settings = environment(
        DATABASE_URL=sqlite_database, BROKER_URL=amqp_vhost, WORKER_PROCESSES="1", PYTHONSAFEPATH="1"
    )
    command = arguments("worker")
    with child(command, cwd=tmp_path, env=settings, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(Processes(database).living("worker") for _ in lines)
        finally:
            process.terminate()
            process.communicate(timeout=60)
    assert process.returncode == 0
    database.close()
