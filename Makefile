# hactl: every target sets up what it needs in .venv. Works with GNU make and FreeBSD make (POSIX syntax only).
#   make demo    the main job on two simulated nodes      make test    the tests
#   make check   everything CI checks                     make bench   ratios, measured in one run
#   make sim     seeded simulation (SEEDS=200)            make gen     write the generated files
#   make fmt     format
#   make fuzz    many requests for every operation of the OpenAPI document (EXAMPLES=100 FUZZ_SEED=1)
#   make real    exams on two real FreeBSD nodes (HACTL_REAL=..., EXAM=power-cut; docs/real-nodes.md)

PYTHON = python3
SEEDS = 200
EXAMPLES = 100
FUZZ_SEED = 1
# Three on two cores: some tests wait.
WORKERS = 3
VENV = .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

#   make mutants  mutations of the planner that the tests must catch

.PHONY: needs-demo needs-test needs-real real fuzz mutants demo test check lint bench sim gen fmt install clean

demo: needs-demo $(STAMP)
	$(BIN)/hactl demo

test: needs-test $(STAMP)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: needs-test $(STAMP) lint
	$(BIN)/python -m hactl.cli.generated --check
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	cd tests && ../$(BIN)/python -m repo.shellcheck

# What the machine itself lacks: installed or named in one line.
needs-demo:
	@sh .ci/needs $(PYTHON) demo

needs-test:
	@sh .ci/needs $(PYTHON) test

needs-real:
	@sh .ci/needs $(PYTHON) real

# HACTL_REAL, EXAM, RELEASE, TRIES, SEED, OUT and RECORD reach it through the environment, however make was told.
real: needs-real $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m real

bench: $(STAMP)
	cd tests && ../$(BIN)/python -m bench && ../$(BIN)/python -m bench.api && ../$(BIN)/python -m bench.lint
	cd tests && ../$(BIN)/python -m bench.strangers

sim: $(STAMP)
	HACTL_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/simulation -n $(WORKERS) --dist worksteal

fuzz: $(STAMP)
	HACTL_EXAMPLES=$(EXAMPLES) HACTL_SEED=$(FUZZ_SEED) HACTL_SLOW=20 $(BIN)/python -m pytest -p no:xdist tests/api/test_schema.py

mutants: $(STAMP)
	cd tests && ../$(BIN)/python -m mutants

gen: $(STAMP)
	$(BIN)/python -m hactl.cli.generated

fmt: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

install: $(STAMP)

# On FreeBSD packages with compiled parts come from pkg (see README): --system-site-packages lets the venv use them.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || sh .ci/venv $(PYTHON) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[lab,dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .lab
