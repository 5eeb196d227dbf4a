# Targets for people; each installs what it needs into .venv. Only Python ≥ 3.11 must be there.
PYTHON ?= python3
ROOT ?= ./models
BIN := .venv/bin

.PHONY: run demo test test-long check format bench clean

run: .venv/.installed
	@mkdir -p $(ROOT)
	@exec $(BIN)/watcherd --root $(ROOT) run

demo: .venv/.installed
	@exec $(BIN)/python demo/demo.py

test: .venv/.tested
	$(BIN)/python -m pytest

test-long: .venv/.tested
	$(BIN)/python -m pytest -m long --timeout 7200
	WATCHERD_EXAMPLES=5000 $(BIN)/python -m pytest tests/test_cycle_properties.py --timeout 7200
	WATCHERD_EXAMPLES=10000 $(BIN)/python -m pytest tests/test_retention_properties.py --timeout 7200

check: .venv/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.tested
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.tested
	$(BIN)/python -m benchmarks

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit("watcherd needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@echo "installing into .venv; TensorFlow is large, this takes a minute or more"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	@touch $@

.venv/.installed: .venv/.made pyproject.toml
	@$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/.tested: .venv/.installed pyproject.toml
	@$(BIN)/pip install --quiet --group test --group check
	@touch $@

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
