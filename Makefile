# Two commands on a fresh machine: `make quickstart` and `make test`. Each sets up .venv when needed.

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) --constraint constraints.txt
# One thread a test process: two OpenMP threads that share a busy core spin and crawl.
ONE_THREAD := OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 RAYON_NUM_THREADS=1

.PHONY: quickstart test gate docs clean

quickstart: $(VENV)/.ready-quickstart
	$(BIN)/lilliput quickstart --out lilliput-quickstart

test: $(VENV)/.ready-dev
	$(ONE_THREAD) $(BIN)/python -m pytest -n auto -rs $(PYTEST_FLAGS)

gate: $(VENV)/.ready-dev
	$(BIN)/ruff format --check src tests benchmarks examples results
	$(BIN)/ruff check src tests benchmarks examples results
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/.ready-dev
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

$(VENV)/.ready-quickstart: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV): this downloads the packages once."
	$(INSTALL) --editable '.[quickstart]'
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) for tests: this downloads the packages once."
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.ready-quickstart

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lilliput needs Python 3.11 or later: got $$($(PYTHON) --version). Run: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "python -m venv must work: on Debian and Ubuntu, install the package python3-venv."; exit 2; }

clean:
	rm -rf $(VENV) docs/_build lilliput-quickstart
