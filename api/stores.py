"""Every store that the API reads and writes, under its name."""

from synthralos.store.admin.audit import Audit
from synthralos.store.admin.breakers import BreakerStore
from synthralos.store.admin.budgets import BudgetStore
from synthralos.store.admin.configuration import Configuration
from synthralos.store.admin.feedback import FeedbackStore
from synthralos.store.admin.incidents import IncidentStore
from synthralos.store.admin.keys import Keys
from synthralos.store.admin.organizations import Organizations
from synthralos.store.admin.policies import Policies
from synthralos.store.admin.policy_matches import PolicyMatches
from synthralos.store.admin.quotas import QuotaStore
from synthralos.store.admin.run_caps import RunCapsStore
from synthralos.store.admin.run_forks import RunForks
from synthralos.store.admin.schedules import Schedules
from synthralos.store.admin.webhooks import Webhooks
from synthralos.store.exports.operating import ExportOperations
from synthralos.store.queue.backfills import Backfills
from synthralos.store.queue.bulk import BulkOperations
from synthralos.store.queue.firings import Firings
from synthralos.store.queue.imports import Imports
from synthralos.store.queue.incident_repairs import IncidentRepairs
from synthralos.store.queue.repairs import Repairs
from synthralos.store.queue.submissions import Submissions
from synthralos.store.queue.thoughts import Thoughts
from synthralos.store.queue.waits import Waits
from synthralos.store.read.costs import Costs
from synthralos.store.read.dead_letters import DeadLetters
from synthralos.store.read.evidence import Evidence
from synthralos.store.read.jobs import Reader
from synthralos.store.read.runs import Runs
from synthralos.store.read.whole import WholeJobs
from synthralos.store.retention.erasures import Erasures
from synthralos.store.sql.database import Database


class Stores:
    """Each blocks: the room runs what is asked of it in a thread."""

    def __init__(self, database: Database) -> None:
        self.reader = Reader(database)
        self.keys = Keys(database)
        self.organizations = Organizations(database)
        self.configuration = Configuration(database)
        self.policies = Policies(database)
        self.matches = PolicyMatches(database)
        self.schedules = Schedules(database)
        self.firings = Firings(database)
        self.backfills = Backfills(database)
        self.webhooks = Webhooks(database)
        self.audit = Audit(database)
        self.breakers = BreakerStore(database)
        self.quotas = QuotaStore(database)
        self.incidents = IncidentStore(database)
        self.bulk = BulkOperations(database)
        self.budgets = BudgetStore(database)
        self.run_caps = RunCapsStore(database)
        self.run_forks = RunForks(database)
        self.costs = Costs(database)
        self.dead_letters = DeadLetters(database)
        self.imports = Imports(database)
        self.runs = Runs(database)
        self.exports = ExportOperations(database)
        self.feedback = FeedbackStore(database)
        self.thoughts = Thoughts(database)
        self.evidence = Evidence(database)
        self.erasures = Erasures(database)
        self.whole = WholeJobs(database)
        self.submissions = Submissions(database)
        self.wait_points = Waits(database)
        self.repairs = Repairs(database)
        self.incident_repairs = IncidentRepairs(database)
