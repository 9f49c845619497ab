"""An unknown field of any document is answered with the names that may have been meant."""

from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.intake.unknown_fields import remedies_in
from pipelines.intake.validation import field_errors


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Pause(Closed):
    base_seconds: float = 1.0
    factor: float = 2.0


class Document(Closed):
    name: str = ""
    pause: Annotated[Pause | None, Field(description="between tries")] = None
    steps: list[Pause] = []
    by_name: dict[str, Pause] = {}


@pytest.mark.parametrize(
    ("sent", "field", "remedy"),
    [
        ({"nmae": "x"}, "nmae", "did you mean name"),
        ({"zzz": "x"}, "zzz", "remove it; known are by_name, name, pause, steps"),
        ({"pause": {"base_second": 1}}, "pause.base_second", "did you mean base_seconds"),
        ({"steps": [{}, {"zzz": 1}]}, "steps[1].zzz", "remove it; known are base_seconds, factor"),
        ({"by_name": {"one": {"zzz": 1}}}, "by_name.one.zzz", "remove it, or check its spelling"),
    ],
)
def test_an_unknown_field_brings_the_names_of_its_place(sent: dict[str, object], field: str, remedy: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Document.model_validate(sent)
    errors = raised.value.errors(include_url=False, include_input=False)
    [found] = field_errors(errors, sent, "", remedies_in(Document))
    assert (found.field, found.remedy[: len(remedy)]) == (field, remedy)
