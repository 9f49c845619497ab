"""Vectors of prompts as pgvector knows them, where an operator has created the extension in the database.

They are no part of a revision: the extension may come at any time, so every upgrade looks for it. A trigger fills the
table from `prompt_similarity_logs`, in the transaction that writes there; what is pruned there goes here too.
"""

import sqlalchemy as sa

NEIGHBORS = """
    CREATE INDEX prompt_vectors_near_256 ON prompt_vectors USING hnsw ((vector::vector(256)) vector_cosine_ops)
        WHERE vector_dims(vector) = 256
"""
"""An index of neighbors for vectors of 256 numbers, the built-in ones: the operator's choice, for it costs 3 ms with
every prompt that is kept. `near_prompts` asks so that the planner can use it, also one for other dimensions."""

_LOOK = """
    SELECT to_regtype('vector') IS NOT NULL AND EXISTS (
        SELECT FROM pg_extension
        WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= '{0,8}'
    ), to_regclass('prompt_vectors') IS NOT NULL
"""
"""Usable is what was created in a schema that is searched, and can scan on where others' prompts are nearer (0.8)."""

_MAKE = (
    """
    CREATE FUNCTION prompt_vector(stored text) RETURNS vector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT array_agg(CASE WHEN byte > 127 THEN byte - 256 ELSE byte END ORDER BY place)::vector
        FROM (SELECT place, get_byte(bytes, place) AS byte
              FROM (SELECT decode(stored, 'base64') AS bytes) AS decoded,
                   generate_series(0, length(bytes) - 1) AS place) AS numbers
    $$
    """,
    """
    CREATE TABLE prompt_vectors (
        job_id uuid PRIMARY KEY REFERENCES prompt_similarity_logs ON DELETE CASCADE,
        organization text NOT NULL,
        workspace text NOT NULL,
        embedder text NOT NULL,
        vector vector NOT NULL,
        at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX prompt_vectors_by_workspace ON prompt_vectors (organization, workspace, embedder, at)",
    # The planner has to see the number of dimensions to find an index for them, and whose prompts are asked for to
    # choose between that index and all prompts of a small workspace.
    """
    CREATE FUNCTION near_prompts(
        organization text, workspace text, embedder text, seconds float, stored text, most int, nearness float
    ) RETURNS TABLE (job_id uuid, cosine float) LANGUAGE plpgsql STABLE
    SET hnsw.iterative_scan = 'strict_order' AS $$
        DECLARE
            asked vector := prompt_vector(stored);
            size int := vector_dims(asked);
        BEGIN
            IF vector_norm(asked) = 0 THEN RETURN; END IF;
            RETURN QUERY EXECUTE format(
                'SELECT near.job_id, 1 - near.distance FROM (
                    SELECT job_id, vector::vector(%1$s) <=> $1::vector(%1$s) AS distance FROM prompt_vectors
                    WHERE vector_dims(vector) = %1$s AND organization = %2$L AND workspace = %3$L AND embedder = %4$L
                        AND at > statement_timestamp() - make_interval(secs => %5$s)
                    ORDER BY vector::vector(%1$s) <=> $1::vector(%1$s) LIMIT %6$s) AS near
                WHERE near.distance <= 1 - $2',
                size, organization, workspace, embedder, seconds, most
            ) USING asked, nearness;
        END
    $$
    """,
    """
    CREATE FUNCTION keep_prompt_vectors() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO prompt_vectors
            SELECT job_id, organization, workspace, embedder, vector, at
            FROM (SELECT job_id, organization, workspace, embedder, prompt_vector(vector) AS vector, at FROM added)
                AS made
            WHERE vector_norm(vector) > 0;  -- nothing is near to nothing
            RETURN NULL;
        END
    $$
    """,
    """
    CREATE TRIGGER keep_prompt_vectors AFTER INSERT ON prompt_similarity_logs
        REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION keep_prompt_vectors()
    """,
    """
    INSERT INTO prompt_vectors
    SELECT job_id, organization, workspace, embedder, vector, at
    FROM (SELECT job_id, organization, workspace, embedder, prompt_vector(vector) AS vector, at
          FROM prompt_similarity_logs) AS made
    WHERE vector_norm(vector) > 0
    """,
)

_DROP = (
    "DROP TRIGGER IF EXISTS keep_prompt_vectors ON prompt_similarity_logs",
    "DROP FUNCTION IF EXISTS keep_prompt_vectors()",
    "DROP FUNCTION IF EXISTS near_prompts(text, text, text, float, text, int, float)",
    "DROP TABLE IF EXISTS prompt_vectors",
    "DROP FUNCTION IF EXISTS prompt_vector(text)",
)


def make(connection: sa.Connection) -> bool:
    """Make the table, where the extension is there and it is not; whether it was made. On PostgreSQL alone."""
    extension, table = connection.exec_driver_sql(_LOOK).one()
    if not extension or table:
        return False
    for statement in _MAKE:
        connection.exec_driver_sql(statement.replace("%", "%%"))
    return True


def drop(connection: sa.Connection) -> None:
    """Take it away, where it is there. On PostgreSQL alone."""
    for statement in _DROP:
        connection.exec_driver_sql(statement.replace("%", "%%"))
