# The commands of the README and the one check. Everything happens in .venv; `make clean` removes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --quiet -c constraints.txt
SOURCES := config indexer search daemon
CHECKED := $(SOURCES) tests $(wildcard benchmarks training)

.PHONY: setup test check lint demo format clean

setup: $(VENV)/.installed

# hatchling is installed first, pinned, and builds without isolation: otherwise pip would fetch its newest version.
# It compiles the C sources with $(CC), if that is set, or cc; where there is none, ziglang is the compiler.
COMPILER := $(shell command -v $${CC-cc})
NATIVE := $(wildcard indexer/native/*.[ch]) indexer/native/build.py

$(VENV)/.installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) pip hatchling $(if $(COMPILER),,ziglang)
	$(INSTALL) --no-build-isolation --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --group dev
	touch $@

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy

check: lint test

demo: setup
	$(BIN)/python -m benchmarks.demo

format: $(VENV)/.installed-dev
	$(BIN)/ruff format $(CHECKED)
	$(BIN)/ruff check --fix $(CHECKED)

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	rm -f indexer/native/*.so
	find $(CHECKED) -name __pycache__ -type d -prune -exec rm -rf {} +
