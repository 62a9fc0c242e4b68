# Everything runs in .venv, which the first target that needs it makes. PYTHON picks the interpreter (3.11 or newer).
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SERVING := .venv/installed-serving
DEVELOPMENT := .venv/installed-development
LOADGEN := --manifest-path benchmarks/loadgen/Cargo.toml
PROJECTS := pyproject.toml proto/pyproject.toml constraints.txt

.PHONY: help demo serve train benchmark loadgen test lint format stubs clean

help: ## what each target does
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 12

demo: $(SERVING) ## score 1,000 held-out applications with the shipped champion
	@$(BIN)/python examples/demo.py

serve: $(SERVING) ## serve the shipped champion until Ctrl-C
	@$(BIN)/python -m server --model-repository model_repository

train: $(DEVELOPMENT) ## from data to a new registered build
	@$(BIN)/python -m flows.training train

benchmark: $(DEVELOPMENT) ## the network against LightGBM and WoE, with intervals
	@$(BIN)/python -m flows.training benchmark

loadgen: ## build the native load generator of credence-bench (needs Rust, Linux)
	@command -v cargo >/dev/null || { echo "no cargo here (https://rustup.rs): credence-bench falls back to its generator in Python, which is slower" >&2; exit 1; }
	@cargo build --release $(LOADGEN)

test: $(DEVELOPMENT) lint ## install the rest, check everything, run every test
	@if command -v cargo >/dev/null; then cargo test --release --quiet $(LOADGEN); else echo "no cargo here: the native load generator was not tested" >&2; fi
	@$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(DEVELOPMENT) ## formatting, lint, types, layers, contract
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy examples/demo.py
	@$(BIN)/lint-imports --no-logo
	@cd proto && ../$(BIN)/buf lint
	@cd proto && ../$(BIN)/buf build -o ../.venv/contract.json && ../$(BIN)/buf breaking ../.venv/contract.json --against contract.json
	@if command -v cargo-clippy >/dev/null; then cargo fmt --check $(LOADGEN) && cargo clippy --quiet --all-targets $(LOADGEN) -- -D warnings; \
		else echo "no cargo clippy here: the native load generator was not linted" >&2; fi

format: $(DEVELOPMENT) ## mend what can be mended by machine
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

stubs: $(DEVELOPMENT) ## generate the Python stubs from the .proto files
	@$(BIN)/python proto/generate.py

clean: ## remove the environment and what tools left behind
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

$(SERVING): $(PROJECTS) | .venv/bin/python
	@echo "installing what serving needs" >&2
	@$(PIP) install -c constraints.txt -e './proto[cli]' -e '.[cpu]'
	@touch $@

$(DEVELOPMENT): $(PROJECTS) | .venv/bin/python
	@echo "installing everything (torch alone is 3 GB with its libraries)" >&2
	@$(PIP) install -c constraints.txt -e './proto[cli]' -e '.[cpu,train,flows,bench,dev]'
	@touch $@ $(SERVING)
