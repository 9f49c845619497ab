"""The pages of the reference say what the code says."""

import pytest

from scripts.reference.pages import FOLDER, pages


@pytest.fixture(scope="module")
def current() -> dict[str, str]:
    return pages()


def test_no_page_is_behind_the_code(current: dict[str, str]) -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    stale = [name for name, text in current.items() if written.get(name) != text]
    assert not stale, f"run `make reference`: {stale}"
    assert set(written) == set(current)


@pytest.mark.parametrize(
    ("page", "told"),
    [
        ("api.md", ["## POST /api/v1/jobs", "`max_output_tokens`", "### JobIn", "## PUT /api/v1/flags/{name}"]),
        ("cli.md", ["## synthralos jobs submit", "`--wait`", "## synthralos flags set", "| 5 |"]),
        ("events.md", ["## healed", "`remedy`"]),
        ("failures.md", ["`rate_limited`", "`next_deployment`"]),
        ("settings.md", ["`DATABASE_URL`", "`TRACK_MODEL_COSTS`"]),
        ("metrics.md", ["`synthralos_config_version`"]),
    ],
)
def test_each_page_has_what_readers_look_for(current: dict[str, str], page: str, told: list[str]) -> None:
    assert [words for words in told if words not in current[page]] == []
