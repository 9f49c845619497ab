"""A draft of a policy set, tried on recorded jobs with the catalog and the policies that are in force."""

import time
from datetime import datetime
from functools import partial

from pipelines.policies.simulate import Simulation, sets_with
from pipelines.route.stage import build_route_stage
from synthralos.config.config import Config
from synthralos.domain.policies import PolicySet


def trial(config: Config, draft: PolicySet, now: datetime) -> Simulation:
    """The simulation of the draft under a configuration, with a memory of its own: it takes nothing from anybody's.

    Other threads of the process go on in between.
    """
    stage = build_route_stage(config)
    sets = sets_with(config.policies, draft, now)
    # Counting tokens takes longer than all the rest: it is done where a rule asks for what comes of it.
    worst = "worst_cost" in repr([policy.rules for policy in sets.before + sets.after])
    costs = partial(stage.costs, worst=worst)
    return Simulation(sets, stage.plan, costs, rest=lambda: time.sleep(0))
