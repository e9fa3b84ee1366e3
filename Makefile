# Every target works from a fresh clone: it makes .venv and builds what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .build/bench
BENCH_PYTHON := $(BENCH_VENV)/bin/python
NATIVE := $(shell find native/src -name '*.rs') native/Cargo.toml native/Cargo.lock
PACKAGE := $(shell find pyzen -name '*.py') README.md
CARGO := cargo
NEEDS_CARGO = command -v $(CARGO) >/dev/null || { echo 'cargo is missing: install Rust 1.85 or newer first'; exit 1; }
FUZZ_SECONDS ?= 600
MINUTES ?= 3
export CARGO_TERM_COLOR ?= never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test interop test-pythons check bench bench-check bench-check-short matrix fuzz chaos hostile format clean \
    native tools erlang check-python check-rust check-elixir

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

# ---- what everything needs -------------------------------------------------------------------------

$(VENV)/base: constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt maturin rich
	@touch $@

$(VENV)/tools: $(VENV)/base pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	    attrs coverage cryptography hypothesis import-linter mypy opentelemetry-api opentelemetry-sdk prometheus_client \
	    pytest pytest-asyncio pytest-timeout ruff
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uvloop || echo 'uvloop: its tests are skipped'
	@touch $@

$(VENV)/native: $(VENV)/base pyproject.toml $(NATIVE)
	@$(NEEDS_CARGO)
	$(BIN)/maturin develop --quiet --locked
	@touch $@

native: $(VENV)/native ## Build the native module into the package.
tools: $(VENV)/tools

erlang:
	@sh erlang_interop/ensure_erlang.sh

# ---- the two commands of the README ----------------------------------------------------------------

demo: native ## Show the main job between two nodes.
	$(BIN)/pyzen demo

test: native tools erlang ## Run tests/, erlang_interop/ and mix_fixture/ against real nodes.
	$(BIN)/python -m pytest tests
	@$(MAKE) --no-print-directory interop

interop: native tools erlang ## The part of that which needs Erlang: erlang_interop/ and mix_fixture/.
	sh mix_fixture/check.sh
	$(BIN)/python -m pytest erlang_interop

# ---- checks ----------------------------------------------------------------------------------------

check: check-rust check-python ## Format, lint, types, layers, clippy, unit tests of both languages.

check-rust:
	cd native && $(CARGO) fmt --check
	cd native && $(CARGO) clippy --quiet --locked --all-targets --features python -- -D warnings
	cd native && $(CARGO) test --quiet --locked

check-python: native tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/stubtest pyzen._native
	$(BIN)/lint-imports
	$(BIN)/python -m coverage run -m pytest tests
	$(BIN)/python -m coverage report

format: tools ## Format the sources of all languages.
	cd native && $(CARGO) fmt
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-pythons: $(VENV)/base ## Run tests/ against a wheel on each Python there is; PYTHONS='--python 3.12' for one.
	@$(NEEDS_CARGO)
	$(BIN)/python -m tests.pythons $(PYTHONS)

# ---- longer runs -----------------------------------------------------------------------------------

# Measured is the package that users get, a wheel, in a virtual environment of its own: the development build stays.
# `checkout.pth` lets erlang_interop be imported from here; it comes after the wheel, so pyzen is the wheel's.

$(BENCH_VENV)/base: constraints.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_PYTHON) -m pip install --quiet --constraint constraints.txt matplotlib
	$(BENCH_PYTHON) -m pip install --quiet --constraint constraints.txt erlang_py || echo 'erlang_py: not measured'
	echo '$(CURDIR)' > $$($(BENCH_PYTHON) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth
	@touch $@

$(BENCH_VENV)/wheel: $(VENV)/base $(BENCH_VENV)/base pyproject.toml $(NATIVE) $(PACKAGE)
	@$(NEEDS_CARGO)
	rm -rf .build/wheel
	$(BIN)/maturin build --quiet --release --locked --interpreter $(BENCH_PYTHON) --out .build/wheel
	$(BENCH_PYTHON) -m pip install --quiet --no-deps --force-reinstall .build/wheel/*.whl
	@touch $@

bench: $(BENCH_VENV)/wheel erlang ## Measure a release build against BEAM in one run; prints a table.
	$(BENCH_PYTHON) -P -m erlang_interop.benchmarks $(BENCH)

bench-check: $(BENCH_VENV)/wheel erlang ## Fail when a ratio is worse than its bound by more than a quarter.
	$(BENCH_PYTHON) -P -m erlang_interop.benchmarks.check $(BENCH)

bench-check-short: native erlang ## The same in small, with the development build, as .ci/run does.
	$(BIN)/python -P -m erlang_interop.benchmarks.check --form short $(BENCH)

fuzz: native tools ## Terms of every shape that could be slow; hostile inputs for FUZZ_SECONDS to all that a peer reaches.
	$(BIN)/python -m tests.fuzz_linear
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

chaos: native tools erlang ## Break everything for MINUTES with SEED; every monitor must have one allowed outcome.
	$(BIN)/python -m erlang_interop.chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(CHAOS)

hostile: native tools erlang ## Play every known attack against a node, each with its pass line; docs/hostile.md.
	$(BIN)/python -m erlang_interop.hostile $(HOSTILE)

matrix: native tools erlang ## Conformance against OTP 25, 27, 28 and 29; writes docs/conformance.md.
	$(BIN)/python -m erlang_interop.releases || :
	$(BIN)/python -m pytest --releases all --table docs/conformance.md erlang_interop/conformance \
	    $(addprefix erlang_interop/test_, $(addsuffix .py, handshake logs node rpc signals sys tls zen_local))

clean: ## Remove what the targets have made.
	rm -rf $(VENV) native/target mix_fixture/_build .build
