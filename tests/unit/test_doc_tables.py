import pytest

from scripts.doc_tables import TABLES, renewed


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_of_the_documentation_agree_with_the_code(name):
    path, now, then = renewed(name)
    assert f"<!-- {name} -->" in now, f"{path} has no place for the table {name}"
    assert now == then, "run: python -m scripts.doc_tables --write"
