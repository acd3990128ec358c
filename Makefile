# make demo: set everything up and run the main job on built-in data. make test: set everything up and run the tests.
# For another build of torch, point SUBGRID_CONSTRAINTS at a constraints file of your own.

PYTHON ?= python3
VENV ?= .venv
SUBGRID_CONSTRAINTS ?= constraints.txt

BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c $(SUBGRID_CONSTRAINTS)
STAMPS := pyproject.toml $(SUBGRID_CONSTRAINTS)

.PHONY: help demo test test-fast check docs reference format wheel bench clean

help:
	@echo "make demo       set up and run the main job on built-in data, ending with a report"
	@echo "make test       set up and run every test that needs no network"
	@echo "make test-fast  the quick ones of them, in under a minute"
	@echo "make check      lint, format, types, layers"
	@echo "make docs       build the documentation into site/"
	@echo "make reference  write docs/settings.md and docs/commands.md from the code"
	@echo "make format     format the code and apply ruff's fixes"
	@echo "make bench      compare speeds, each pair in one run"
	@echo "make wheel      build the wheel into dist/"
	@echo "make clean      remove everything that make created"

$(BIN)/python:
	@echo "making the environment $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "subgrid needs Python 3.11 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(STAMPS) | $(BIN)/python
	@echo "installing subgrid (about a minute)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "installing what the tests and checks need"
	@$(INSTALL) -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.base
	@echo "installing what the documentation needs"
	@$(INSTALL) -e '.[docs]'
	@touch $@

demo: $(VENV)/.base
	@if [ -f demo/weather.nc ]; then rm -rf demo; fi  # an earlier demo of ours, nothing else
	@$(BIN)/subgrid demo --out demo

test-fast: $(VENV)/.dev
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not browser and not realdata"

test: $(VENV)/.dev
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term:skip-covered --cov-fail-under=90

check: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "documentation: site/index.html"

reference: $(VENV)/.dev
	@$(BIN)/python -m subgrid.config.reference > docs/settings.md
	@$(BIN)/python -m subgrid.cli.reference > docs/commands.md

format: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

wheel: $(VENV)/.dev
	@$(BIN)/pip wheel --quiet --no-deps -w dist .

clean:
	@if [ -f demo/weather.nc ]; then rm -rf demo; fi
	rm -rf .venv dist build site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.*
