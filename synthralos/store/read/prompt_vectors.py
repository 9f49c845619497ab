"""The nearest earlier prompts of a workspace, looked for by pgvector (see `migrations/prompt_vectors.py`)."""

from base64 import b64encode
from collections.abc import Sequence

import sqlalchemy as sa

from synthralos.store.sql.database import Database

_THERE = sa.text("SELECT to_regclass('prompt_vectors') IS NOT NULL")

_NEAREST = sa.text(
    """
    SELECT asked.place, CAST(near.job_id AS text) AS job_id, near.cosine
    FROM unnest(CAST(:vectors AS text[])) WITH ORDINALITY AS asked (stored, place)
    CROSS JOIN LATERAL near_prompts(
        :organization, :workspace, :embedder, CAST(:seconds AS float), asked.stored, CAST(:most AS int),
        CAST(:least AS float)
    ) AS near
    ORDER BY asked.place, near.cosine DESC
    """
)


class PromptVectors:
    """Asks for a batch at once. What a tenant asks for is never answered with anything of another one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def available(self) -> bool:
        """Whether the table is there."""
        if self._database.dialect != "postgresql":
            return False
        with self._database.snapshot() as connection:
            return bool(connection.execute(_THERE).scalar())

    def nearest(
        self,
        place: tuple[str, str],
        seconds: float,
        embedder: str,
        vectors: Sequence[bytes],
        most: int,
        least: float,
    ) -> list[list[tuple[str, float]]]:
        """For each vector, as it is stored, (job id, cosine) of the `most` nearest, nearest first.

        `place`: organization and workspace. Those of the last `seconds` count, at least `least` near.
        """
        organization, workspace = place
        asked = {
            "vectors": [b64encode(vector).decode() for vector in vectors],
            "organization": organization,
            "workspace": workspace,
            "embedder": embedder,
            "seconds": seconds,
            "most": most,
            "least": least,
        }
        found: list[list[tuple[str, float]]] = [[] for _ in vectors]
        with self._database.snapshot() as connection:
            for row in connection.execute(_NEAREST, asked):
                found[row.place - 1].append((row.job_id, row.cosine))
        return found
