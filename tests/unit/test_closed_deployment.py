"""A deployment that was closed to a job between its plan and its slot: the job goes on, and no bug ends it."""

import asyncio
from dataclasses import replace

from synthralos.domain.deployments import Catalog
from synthralos.domain.states import Stage, Transition
from tests.fakes.flow import FIRST, SECOND, THIRD, Scene, planned
from tests.fakes.stage_jobs import a_deployment


def test_a_free_slot_at_a_deployment_that_is_switched_off_leads_on_to_the_next() -> None:
    one, two, three = (replace(a_deployment(n, adapter="fake"), max_in_flight=1) for n in (FIRST, SECOND, THIRD))
    scene = Scene(catalog=Catalog([one, replace(two, enabled=False), three]), deployment_wait=0.0)
    assert scene.deployments.take(one)
    asyncio.run(asyncio.wait_for(_run(scene), 30))
    assert [call.deployment.id for call in scene.calls] == [THIRD]
    assert scene.endings()[-1] == (Transition.SUCCEED, Stage.ANALYZE)


async def _run(scene: Scene) -> None:
    await scene.run(planned())
