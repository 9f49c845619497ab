"""One hypothesis profile for all: no time limit per example, because several suites share the machine."""

from hypothesis import settings

settings.register_profile("shared_machine", deadline=None, database=None)
settings.load_profile("shared_machine")
