# Two commands for a newcomer: `make demo` and `make test`. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo install test lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s  %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED) ## train autoencoders on MNIST and compare them (about 7 minutes, 2 cores)
	@$(BIN)/repr-toolkit study bottleneck_mnist5k

install: $(INSTALLED) ## create .venv and install the toolkit in it, editable

test: $(INSTALLED) ## run the tests, two files at a time
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(INSTALLED) ## check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(INSTALLED) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(INSTALLED) ## measure the ratios that the documentation claims
	@$(BIN)/python -m benchmarks

clean: ## delete the environment and what tools left behind; runs/ stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# PyTorch is some gigabytes: of pip's output only the packages' names are shown, on one line.
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "repr-toolkit needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) -V 2>&1 || true)."; \
		echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@[ -x $(BIN)/pip ] || { echo "Creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing into $(VENV) (with PyTorch, some gigabytes: minutes, the first time)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -e '.[dev]' \
		| awk '/^Collecting/ { printf "  %3d packages … %-40s\r", ++n, $$2; fflush() } \
		       /^Installing collected/ { printf "  %3d packages, unpacking … %-30s\r", n, ""; fflush() } \
		       END { printf "%-70s\r", "" }'
	@touch $@
