"""What is erased of a person or a tenant, in its order: each in small transactions, until nothing is left of it."""

from synthralos.store.retention import erasing_books as books
from synthralos.store.retention import erasing_feed as feed
from synthralos.store.retention import erasing_jobs as of_jobs
from synthralos.store.retention.erasing_parts import Step, forget, of_whole
from synthralos.store.tables import event_logs, imported_jobs, prompt_similarity_logs, repairs, run_forks, waits

STEPS: tuple[Step, ...] = (
    Step("schedules", of_jobs.schedules_of),
    Step("idempotency_keys", of_jobs.keys_of),
    Step("jobs", of_jobs.jobs_of),
    Step("accounts", of_jobs.accounts_of),
    Step("similarity", forget(prompt_similarity_logs)),
    Step("waits", forget(waits)),
    Step("runs", forget(run_forks)),
    Step("caps", books.caps_of),
    Step("imports", forget(imported_jobs)),
    Step("repairs", forget(repairs)),
    Step("webhooks", feed.webhooks_of),
    Step("deliveries", feed.deliveries_of),
    Step("events", of_whole(event_logs)),
    Step("sums", books.sums_of),
    Step("budgets", books.budgets_of),
    Step("api_keys", books.keys_of),
    Step("happenings", books.happenings_of),
    Step("operations", books.operations_of),
    Step("audit", books.audit_of),
    Step("words", of_jobs.words_of),
)
