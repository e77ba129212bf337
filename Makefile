# Sisu-Kodo. `make` lists what there is; nothing here needs root or an installed Postgres.
SHELL         := /bin/bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS     += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
SISU   := $(BIN)/sisu

# The embedded engine, workspaces and scratch files of this checkout.
export SISU_HOME ?= $(CURDIR)/.sisu

.PHONY: help
help: ## this table
	@printf 'make TARGET, where TARGET is\n'
	@sed -n 's/^\([a-z0-9:\\-]*[a-z0-9]\): [^#]*## \(.*\)/\1\t\2/p; s/^# --- \(.*\) -*$$/\n\1/p' $(firstword $(MAKEFILE_LIST)) \
	  | sed 's/ -*$$//; s/\\:/:/g' | awk -F '\t' 'NF < 2 {print; next} {printf "  %-21s %s\n", $$1, $$2}'

# --- first things -------------------------------------------------------------------------------------------------
.PHONY: venv demo dev
venv: $(STAMP) ## .venv with everything installed; again when pyproject.toml changes
demo: $(STAMP) ## the golden path on real input, live: plan, approve, execute, prove
	@$(SISU) demo $(ARGS)
dev: $(STAMP) ## everything that is missing of database, API and worker, in this terminal
	@$(SISU) dev $(ARGS)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12 …' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { rm -rf $(VENV); echo 'Python has no venv module: on Debian, apt-get install python3-venv' >&2; exit 1; }
	@echo 'installing into $(VENV) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action ignore -e '.[dev]'
	@touch $@

# --- proofs -------------------------------------------------------------------------------------------------------
.PHONY: test quick lint bench bench-quick bench-http
test: lint ## every test: SQL tests in pgTAP style, pytest, linters and types
	@$(BIN)/python -m pytest $(ARGS)
quick: $(STAMP) ## the fast half: SQL, policy, contracts and unit tests
	@$(BIN)/python -m pytest -q tests/test_sql.py tests/unit $(wildcard tests/policy) $(ARGS)
lint: $(STAMP) ## ruff and mypy --strict
	@$(BIN)/ruff check --output-format concise .
	@$(BIN)/mypy
bench: $(STAMP) ## the whole report with its ceilings and charts, 45 minutes (ARGS=--scale=0.01)
	@$(BIN)/python -m bench $(ARGS)
bench-quick: $(STAMP) ## runs/s, steps/s and latency beside the server's own ceiling
	@$(BIN)/python -m bench.quick $(ARGS)
bench-http: $(STAMP) ## POST /api/runs at 16 clients beside the same SQL called directly
	@$(BIN)/python -m bench.http $(ARGS)

.PHONY: wf\:intent\:chaos\:soak
wf\:intent\:chaos\:soak: $(STAMP) ## runs under fire: kill -9, SIGSTOP, lost connections; 0 duplicates (ARGS="--rounds 3")
	@$(BIN)/python -m bench.soak $(ARGS)

# --- the database: embedded, or the one of DATABASE_URL -----------------------------------------------------------
.PHONY: db\:up db\:down db\:migrate db\:reset db\:sys\:reset db\:psql db\:status
db\:up: $(STAMP) ## start the embedded Postgres
	@$(SISU) db up
db\:down: $(STAMP) ## stop it
	@$(SISU) db down
db\:migrate: $(STAMP) ## bring the schema, its functions and the shipped recipes to this version
	@$(SISU) db migrate
db\:reset: $(STAMP) ## delete every run and migrate anew (ARGS=--yes for a DATABASE_URL)
	@$(SISU) db reset $(ARGS)
db\:sys\:reset: $(STAMP) ## throw the queue tables away and make them anew from the runs
	@$(SISU) db reset --system $(ARGS)
db\:psql: $(STAMP) ## a psql prompt on it (ARGS="-c 'select …'")
	@$(SISU) db psql -- $(ARGS)
db\:status: $(STAMP) ## does it run, and at which version
	@$(SISU) db status

# --- on duty ------------------------------------------------------------------------------------------------------
.PHONY: ops\:list-failed ops\:sql\:inbox ops\:sql\:slow ops\:sql\:queues ops\:cancel-batch ops\:resume-batch ops\:repair-batch ops\:fork-batch
ops\:list-failed: $(STAMP) ## runs that ended in ERROR, newest first
	@$(SISU) ops list-failed $(ARGS)
ops\:sql\:inbox: $(STAMP) ## what needs a human, each with the call that helps
	@$(SISU) ops inbox $(ARGS)
ops\:sql\:slow: $(STAMP) ## how long steps take, slowest first
	@$(SISU) ops slow $(ARGS)
ops\:sql\:queues: $(STAMP) ## what waits and what is at work
	@$(SISU) ops queues $(ARGS)
ops\:cancel-batch: $(STAMP) ## cancel runs: ids on standard input or in ARGS, which names the --reason
	@$(SISU) ops cancel $(ARGS)
ops\:resume-batch: $(STAMP) ## resume them
	@$(SISU) ops resume $(ARGS)
ops\:repair-batch: $(STAMP) ## repair them
	@$(SISU) ops repair $(ARGS)
ops\:fork-batch: $(STAMP) ## fork them at a --step
	@$(SISU) ops fork $(ARGS)

# --- keeping house ------------------------------------------------------------------------------------------------
.PHONY: docs clean clean-all
docs: $(STAMP) ## write docs/reference.md anew from the catalog
	@$(SISU) db migrate >/dev/null && $(BIN)/python docs/reference.py > docs/reference.md.new && mv docs/reference.md.new docs/reference.md
clean: ## remove caches and build results
	@rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
clean-all: clean ## also stop the engine, remove its data and the virtual environment
	@if [ -x $(SISU) ] && [ -e $(SISU_HOME) ]; then env -u DATABASE_URL $(SISU) db down --delete-data; \
	elif [ -e $(SISU_HOME)/pg/data/postmaster.pid ]; then kill -INT $$(head -n 1 $(SISU_HOME)/pg/data/postmaster.pid) || true; fi
	@rm -rf $(SISU_HOME) $(VENV)
