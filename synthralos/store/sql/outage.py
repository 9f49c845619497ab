"""Why the database is away, and what an operator does about it: for the log's one line a minute."""

from synthralos.store.sql.errors import Kind, classify
from synthralos.telemetry.diagnosis import Diagnoses
from synthralos.telemetry.outages import DATABASE, Outages

_LOOK = "look into the database server's own log"

DIAGNOSES = Diagnoses(
    [
        ("28P01|password authentication failed|no password supplied", "it refuses the password",
         "correct the user and the password in DATABASE_URL"),
        (r"28000|no pg_hba\.conf entry|role .* does not exist", "it refuses the role",
         "create the role of DATABASE_URL, and let it in (pg_hba.conf)"),
        ("3D000|database .* does not exist", "there is no such database",
         "create it, or correct its name in DATABASE_URL"),
        ("42P01|UndefinedTable|no such table", "the schema is missing", "run `synthralos migrate`"),
        ("53300|too many clients|remaining connection slots", "it has no connection left",
         "raise max_connections, or run fewer processes"),
        ("53100|No space left|disk is full|disk full", "its disk is full", "make room on the database's disk"),
        ("57P03|starting up|shutting down|recovery", "it starts, stops or recovers", f"wait; if it lasts, {_LOOK}"),
        ("25006|read-only transaction|readonly database", "it takes no writes",
         "point DATABASE_URL at the server that does (several hosts may stand in it)"),
        ("refused|No such file or directory", "nothing listens there",
         "start PostgreSQL, or correct the host and the port in DATABASE_URL"),
        ("could not translate|Name or service|resolve|name resolution", "its host has no address",
         "correct the host in DATABASE_URL, or mend the name service"),
        ("57P0[12]|terminating connection|server closed the connection|connection is (closed|lost)|ConnectionReset",
         "it ended the connection", f"start it again where it has stopped; {_LOOK}"),
        ("timeout|timed out|QueuePool", "it does not answer in time",
         "look at its load and at the network in between; pg_stat_activity shows what it waits for"),
        ("unable to open database file|permission denied", "its file cannot be opened",
         "let this user write to the file of DATABASE_URL and to its folder"),
    ],
    otherwise=_LOOK,
)  # fmt: skip
"""By SQLSTATE or by a part of the message."""


def tell(outages: Outages, error: BaseException) -> None:
    """Say that the database is away, where `error` means that. A lock that somebody holds is no outage."""
    if classify(error) is Kind.AGAIN:
        outages.failed(DATABASE, *DIAGNOSES.of(error))
