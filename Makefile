# Sisu-Kodo. `make help` lists what there is; nothing here needs root or an installed Postgres.
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
export SISU_HOME ?= $(CURDIR)/.sisu

.PHONY: help
help:  ## this table
	@awk -F ':  ## ' '/^[a-z0-9\\:-]+:.*  ## /{split($$1, t, /:[ a-z$$(]|:$$/); name=$$1; sub(/: .*$$/, "", name); \
	  sub(/:[^:\\]*$$/, "", name); gsub(/\\/, "", name); printf "  \033[36m%-16s\033[0m %s\n", name, $$NF}' $(MAKEFILE_LIST)

# --- environment -----------------------------------------------------------------------------------------------
.PHONY: venv
venv: $(STAMP)  ## .venv with everything installed (again when pyproject.toml changes)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "the venv module is missing: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@
