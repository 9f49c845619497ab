"""Why the broker is away, and what an operator does about it: for the log's one line a minute."""

from synthralos.telemetry.diagnosis import Diagnoses
from synthralos.telemetry.outages import BROKER, Outages

_LOOK = "look into the broker's own log; jobs are accepted meanwhile, and rung for when it is back"

DIAGNOSES = Diagnoses(
    [
        ("ProbableAuthenticationError|ACCESS_REFUSED.*login|NOAUTH|WRONGPASS|AuthenticationError|invalid password",
         "it refuses the password", "correct the user and the password in BROKER_URL"),
        (r"NOT_ALLOWED|\b530\b|vhost .* not found|ProbableAccessDenied", "the virtual host is missing or not allowed",
         "create the virtual host of BROKER_URL (rabbitmqctl add_vhost), and give the user its permissions"),
        (r"ACCESS_REFUSED|\b403\b|NOPERM", "the user may not use the queues",
         "give the user of BROKER_URL the rights to configure, write and read (rabbitmqctl set_permissions)"),
        ("ConnectionBlocked|blocked", "it is blocked, for want of memory or disk",
         "make room on the broker's machine (rabbitmqctl status shows the alarm)"),
        ("READONLY", "it takes no writes", "point BROKER_URL at the primary server"),
        ("OutOfMemory|OOM", "it is out of memory", "raise maxmemory"),
        ("refused|No such file or directory", "nothing listens there",
         "start the broker, or correct the host and the port in BROKER_URL"),
        ("gaierror|Name or service|name resolution", "its host has no address",
         "correct the host in BROKER_URL, or mend the name service"),
        ("IncompatibleProtocol", "it speaks another protocol", "correct the scheme and the port in BROKER_URL"),
        ("timeout|timed out", "it does not answer in time", "look at its load and at the network in between"),
        ("ConnectionClosed|StreamLost|ConnectionReset|reset by peer|Broken pipe", "it ended the connection",
         f"start it again where it has stopped; {_LOOK}"),
    ],
    otherwise=_LOOK,
)  # fmt: skip
"""By a code or a part of the message."""


OF_A_QUEUE = Diagnoses(
    [
        (r"PRECONDITION_FAILED|\b406\b|inequivalent arg|WRONGTYPE", "a queue of this name is of another type",
         "delete the queue (it holds nothing that would be lost), or choose another BROKER_NAMESPACE"),
        (r"ACCESS_REFUSED.*queue|NOPERM", "the user may not use this queue",
         "give the user of BROKER_URL the rights to configure, write and read (rabbitmqctl set_permissions)"),
    ],
    otherwise=_LOOK,
)  # fmt: skip
"""What is wrong with one queue while the others work."""


def tell(outages: Outages, error: BaseException, queue: str) -> None:
    """Say that the broker is away, or that it is this queue alone that cannot be used."""
    found = OF_A_QUEUE.find(error)
    if found is None:
        outages.failed(BROKER, *DIAGNOSES.of(error))
    else:
        outages.failed(_subject(queue), *found)


def works(outages: Outages, queue: str) -> None:
    """Say that the broker and this queue can be used."""
    outages.works(BROKER)
    outages.works(_subject(queue))


def _subject(queue: str) -> str:
    return f"{BROKER} queue {queue}"
