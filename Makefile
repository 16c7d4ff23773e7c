# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: docs wheel help install install-dev install-bench bench-retail bench-sessions bench-ctr bench-speed bench-policy bench-detect bench-gate bench-behaviors install-s3 bench-publish bench-serve bench-million bench-growth bench-skew bench-loop demo check test fuzz chaos lint types format up down requirements clean

help: ## show this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## make .venv with the pinned packages, bytecode compiled

install-dev: $(VENV)/.installed-dev ## the same, with what tests and lints need

install-bench: $(VENV)/.installed-bench ## the same, with the peers that benchmarks compare with

install-s3: $(VENV)-s3/.installed ## a small S3 for tests, in $(VENV)-s3

$(VENV)/.installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "recloop needs Python 3.11 to 3.13, this is $$($(PYTHON) --version); try: make PYTHON=python3.12 …"; exit 1; }
	@echo "installing the pinned packages into $(VENV) (about 3 GB) …"
	@$(PYTHON) -m venv $(VENV)
	@$(call pip_install,-r requirements.txt)
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(call pip_install,-r requirements-dev.txt)
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed requirements-bench.txt
	@$(call pip_install,-r requirements-bench.txt)
	@touch $@

$(VENV)-s3/.installed: requirements-s3.txt
	@$(PYTHON) -m venv $(VENV)-s3
	@$(VENV)-s3/bin/python -m pip install --quiet -r requirements-s3.txt
	@touch $@

# uv compiles bytecode while it installs, in parallel; plain pip does the same job more slowly.
define pip_install
( $(BIN)/python -m pip install --quiet uv==$(UV_VERSION) \
	  && $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode $(1) ) \
	|| ( $(BIN)/python -m pip install --quiet $(1) && { $(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true; } )
endef

demo: install ## the whole loop on real data, through a real Airflow scheduler
	@$(BIN)/recloop demo

up: install ## start Airflow and say where its UI is
	@$(BIN)/recloop up

down: ## stop it
	@$(BIN)/recloop down

lint: install-dev ## ruff and the import contracts: seconds
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

types: install-dev ## mypy
	@$(BIN)/mypy

check: lint ## lint, types, and the tests that need no Airflow, browser or long training: minutes
	@$(call with_types,--turn $(TURN) -m "not airflow and not browser and not slow")

test: lint install-s3 ## lint, types, and the tests; of the dearest a third, by turns: TURN=all runs all
	@$(call with_types,--turn $(TURN))

# Which third: by the second of the last commit, so that a few of them run all.
TURN ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

# One for each core; each may take 2 GB.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 2, 6))')
# Types are checked beside the tests: one process, which is done before they are.
define with_types
mkdir -p var; $(BIN)/mypy > var/types.txt 2>&1 & checker=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) $(1); tests=$$?; \
	wait $$checker; types=$$?; cat var/types.txt; exit $$((tests + types))
endef

fuzz: install-dev ## random inputs of every kind, with a report: SEED, N, ONLY=kind:number, KINDS, JOBS
	$(BIN)/python -m tests.fuzz $(call bench_options,seed n only kinds jobs out)

# DATA, DATASET, OUT, SYSTEMS, SEEDS, WEEKS, JOBS=…: passed on where they are set.
bench-retail: install-bench ## weekly protocol on a dataset: DATA, DATASET, OUT, SYSTEMS, SEEDS
	$(BIN)/python -m benchmarks.retail $(call bench_options,dataset data out systems seeds weeks jobs)

bench-sessions: install-bench ## session protocol on a folder of periods: DATA=…, OUT, SYSTEMS
	$(BIN)/python -m benchmarks.sessions $(call bench_options,data out systems seeds)

bench-ctr: install-bench ## click-through protocol on a ratings file: DATA=…, OUT, SYSTEMS, START, END
	$(BIN)/python -m benchmarks.ctr $(call bench_options,data out systems seeds periods tested start end)

bench-speed: install-bench ## throughput and scaling, as ratios: OUT, SYSTEMS
	$(BIN)/python -m benchmarks.speed $(call bench_options,out systems)

bench-policy: install ## when to update, on streams: DATASET, DATA, SESSIONS, OUT, SYSTEMS, ONLY, SEEDS
	$(BIN)/python -m benchmarks.policy $(call bench_options,dataset data sessions out systems only seeds)

bench-detect: install ## faults planted into streams, found or not, and false alarms: DATA, STREAMS, ONLY, OUT
	$(BIN)/python -m benchmarks.detect $(call bench_options,data streams only out)

bench-gate: install ## how often the gate is wrong, by planted challengers on real streams: DATA, STREAMS, TRIALS, OUT
	$(BIN)/python -m benchmarks.gate $(call bench_options,data streams trials out)

bench-behaviors: install ## learning from all behavior against purchases alone, on a marketplace: DATA, OUT
	$(BIN)/python -m benchmarks.behaviors $(call bench_options,data out)

bench-growth: install ## what grew until it hung, at three sizes each; ONLY=one row
	$(BIN)/python -m benchmarks.growth $(call bench_options,only)

bench-skew: install ## is what is served what is learnt from? Online Retail by days; BEGIN= DAYS= SERVE=
	$(BIN)/python -m benchmarks.skew $(call bench_options,begin days serve out)

bench-loop: install ## a stream through the loop itself; STREAM=sessions DATA=folder, ratings, click_through; WINDOWS= WARM_UP=
	$(BIN)/python -m benchmarks.loop $(or $(STREAM),ratings) $(if $(DATA),--data "$(DATA)") --windows $(or $(WINDOWS),38) --warm-up $(or $(WARM_UP),26)

bench-publish: install ## everybody's recommendations as tables, beside exact NumPy: USERS, ITEMS, OUT
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.publish $(call bench_options,users items out)

bench-million: install ## answers from a million items, alone and over HTTP: ITEMS, RATE, SECONDS, OUT
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.million $(call bench_options,items rate seconds out)

bench-serve: install ## `recloop serve` under load, while releases change: HOME, SYSTEMS, ONLY, RATE, REQUESTS, SWAPS
	$(BIN)/python -m benchmarks.serving $(if $(filter-out environment,$(origin HOME)),--home "$(HOME)") $(call bench_options,systems only rate seconds requests swaps out)

bench_options = $(foreach name,$(1),$(if $($(call upper,$(name))),--$(name) "$($(call upper,$(name)))"))
upper = $(shell echo $(1) | tr a-z A-Z)

chaos: install-dev ## kill one process after the other, see that the loop goes on by itself: SEED, N, OUT
	$(BIN)/python -m tests.chaos $(call bench_options,seed n out)

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

requirements: ## compile requirements*.txt from requirements*.in
	$(BIN)/uv pip compile --python-version 3.11 requirements.in -o requirements.txt --custom-compile-command "make requirements"
	$(BIN)/uv pip compile --python-version 3.11 requirements-dev.in -o requirements-dev.txt --custom-compile-command "make requirements"
	$(BIN)/uv pip compile --python-version 3.11 requirements-bench.in -o requirements-bench.txt --custom-compile-command "make requirements"
	$(BIN)/uv pip compile --python-version 3.11 requirements-s3.in -o requirements-s3.txt --custom-compile-command "make requirements"

docs: install-dev ## the documentation, into var/site: seconds, and no network
	@$(BIN)/python -m docsite

wheel: install ## a wheel that carries the project's folders, into dist
	@rm -rf build && $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . && rm -rf build && ls dist/*.whl

clean: ## remove what recloop wrote to var, the data included
	@[ ! -x $(BIN)/recloop ] || RECLOOP_HOME=$(CURDIR)/var $(BIN)/recloop down
	rm -rf var
