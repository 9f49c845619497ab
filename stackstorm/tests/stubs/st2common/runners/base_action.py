"""The base of actions, as far as the pack uses it."""

import abc
import logging


class Action(abc.ABC):
    """Gets the pack's configuration, and is run once."""

    def __init__(self, config=None, action_service=None):
        self.config = config or {}
        self.action_service = action_service
        self.logger = logging.getLogger("actions." + type(self).__name__)

    @abc.abstractmethod
    def run(self, **parameters):
        """What an action does."""
