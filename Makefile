# Every target makes .venv when it has to, and uses it. `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
export PYTHON

BIN := .venv/bin
PROJECTS := pyproject.toml client/pyproject.toml scripts/install
# Stamps: what is installed is as new as the lock file and the project files it came from.
RUNTIME := .venv/.runtime
DEV := .venv/.dev

.PHONY: help demo up test test-embedded check bench migrate contracts pack deploy-pack reference lock clean ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(RUNTIME) ## push about 200 real prompts through every stage and show what happened
	@$(BIN)/synthralos demo $(ARGS)

up: $(RUNTIME) ## start everything in one process: API, worker, scheduler, SQLite, sandbox provider
	@$(BIN)/synthralos up $(ARGS)

test: $(DEV) ## run all tests (without the servers: the embedded part); ARGS="-k word" picks some
	@scripts/test $(ARGS)

test-embedded: $(DEV) ## run the tests that need no server
	@SYNTHRALOS_TEST_EMBEDDED_ONLY=1 scripts/test $(ARGS)

check: $(DEV) ## lint, format, types, import rules, dependency audit
	@scripts/check

bench: $(DEV) ## list the benchmarks, or run one: make bench NAME=throughput
	@$(BIN)/python -m benchmarks $(NAME) $(ARGS)

migrate: $(RUNTIME) ## bring the database of DATABASE_URL to the newest schema
	@$(BIN)/synthralos migrate $(ARGS)

contracts: $(DEV) ## write contracts/: the OpenAPI document and the schemas of events
	@$(BIN)/python -m scripts.contracts

pack: $(DEV) ## write the StackStorm pack's triggers from contracts/, and check the pack
	@$(BIN)/python -m scripts.pack_triggers
	@scripts/check-pack

reference: $(DEV) ## write docs/reference/ and the tables of the documentation from the code
	@$(BIN)/python -m scripts.doc_tables --write
	@$(BIN)/python -m scripts.reference --write

deploy-pack: ## install the StackStorm pack; scripts/deploy-pack --help tells what it needs
	@scripts/deploy-pack $(ARGS)

lock: ## resolve the lock files again, keeping what still fits; ARGS=--upgrade takes the newest
	@scripts/lock $(ARGS)

ci: ## run what CI runs (PostgreSQL, RabbitMQ and Redis have to answer)
	@.ci/run

clean: ## remove .venv, build output and caches; databases stay
	@rm -rf .venv .venv-orquesta build dist *.egg-info client/build client/dist client/*.egg-info
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Standard output belongs to the benchmarks' JSON lines, so set-up talks on standard error.
$(RUNTIME): requirements.lock $(PROJECTS)
	@scripts/install requirements.lock >&2
	@touch $@

$(DEV): requirements-dev.lock $(PROJECTS)
	@scripts/install requirements-dev.lock >&2
	@touch $(RUNTIME) $@
