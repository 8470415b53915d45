# Everything a newcomer needs. `make` alone prints this list.
#
#   PYTHON=python3.12          another interpreter (3.11 or newer)
#   TORCH=cpu|cuda             which build of torch is wanted; cpu refuses to download a CUDA build by accident
#   TORCH_INDEX=URL            package index that holds the wanted build, in addition to pip's configuration
#   PIP_ARGS="..."             further options for pip install
#   VENV=folder                another place for the virtual environment

PYTHON ?= python3
TORCH ?= cpu
TORCH_INDEX ?=
PIP_ARGS ?=
VENV ?= .venv
BIN := $(VENV)/bin

# One thread per process, and idle threads sleep: several workers share the cores, and results must not depend on them.
export OMP_NUM_THREADS := 1
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install install-all demo test test-all check docs contracts contracts-check bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18
	@sed -n '3,7s/^#//p' $(firstword $(MAKEFILE_LIST))

install: ## create the virtual environment (does nothing when it is up to date)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: $(PYTHON) is older than Python 3.11\nhint: make PYTHON=python3.12")'
	@$(PYTHON) tools/bootstrap.py --venv "$(VENV)" --torch "$(TORCH)" --torch-index "$(TORCH_INDEX)" --pip-args="$(PIP_ARGS)"

install-all: install
	@$(PYTHON) tools/bootstrap.py --venv "$(VENV)" --extras dev,train,node,store,availability,hf --torch "$(TORCH)" --torch-index "$(TORCH_INDEX)" --pip-args="$(PIP_ARGS)"

demo: install ## train four workers and one cheat, catch the cheat, verify the bundle (into ./runs)
	$(BIN)/attestrain demo

test: install ## the tests that a change must pass
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: install-all ## every test, with the Hugging Face parity tests
	$(BIN)/python -m pytest -n 2

check: install ## format, lint, types, import contracts, exactness, documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_exact.py
	$(BIN)/python tools/check_docs.py

docs: install ## regenerate docs/cli.md from the commands' help
	$(BIN)/python tools/check_docs.py --write

contracts: install ## rebuild the contracts' artefacts (needs node and npm; users of the package do not)
	$(BIN)/python tools/contracts.py build

contracts-check: install ## rebuild the contracts and compare with the artefacts that ship, byte for byte
	$(BIN)/python tools/contracts.py check

bench: install ## run every script in benchmarks/
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean: ## remove the virtual environment, caches and builds; runs/ stays
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests tools benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
