from datetime import UTC, datetime

import pytest

from synthralos.domain.retry_after import retry_after

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "30"}, 30.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 2026 13:01:00 GMT", "date": "Thu, 01 Jan 2026 13:00:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 2026 23:59:59 +99999999999999"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}, None),
        ({"retry-after": ", , "}, None),
        ({"retry-after": "Thu, 01 Jan 2026 12:01:00 GMT", "date": "Fri, 31 Dec 99999999999 23:59:59 GMT"}, 60.0),
        ({"retry-after-ms": "x", "retry-after": "3"}, 3.0),
    ],
)
def test_the_wish_to_wait_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3, 20"}, 20.0),
        ({"retry-after": "20, Thu, 01 Jan 2026 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 2026 12:00:10 GMT, Thursday, 01-Jan-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "soon, 4"}, 4.0),
        ({"retry-after-ms": "250, 1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "30"}, 30.0),
    ],
)
def test_of_several_wishes_to_wait_the_longest_counts(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, NOW) == seconds
