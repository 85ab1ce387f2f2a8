# make demo    train the example on real data, in a fresh virtual environment
# make test    format, lint, types, tests: what runs in CI too
# make nightly what make test leaves out: applications and large models beside Keras, code for other processors
# make bench   kgraph beside its peers, each in a process of its own
# make clean   remove everything that was built here
#
# PYTHON=python3.12 chooses the interpreter, JOBS=4 the number of test processes, VENV=dir the environment.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BENCH_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.DELETE_ON_ERROR:
.PHONY: demo test nightly format bench clean

demo: $(VENV)/.demo
	$(BIN)/python examples/digits.py

test: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict -p kgraph
	$(BIN)/python -m pytest -n $(JOBS)

nightly: $(VENV)/.test
	$(BIN)/python -m pytest -n $(JOBS) -m nightly

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.run $(BENCH_ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# One stamp per set of extras: a second run installs nothing until pyproject.toml changes.
$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	touch $@

$(VENV)/.demo: pyproject.toml $(VENV)/.created
	$(PIP) install --quiet --editable '.[demo]'
	touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.created
	$(PIP) install --quiet --editable '.[test]'
	touch $@
