# Two commands do everything, on a machine with git, make and Python >= 3.11 alone:
#   make demo [STUDY=path]   a CT study goes through the node into a PACS, and its report comes back
#   make test                formatting, lint, types, import floors, and all tests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STUDY  ?=
OUT    ?= demo-out
WORKERS ?= 2

.PHONY: demo test lint unit wheel viewer bench clean

demo: $(VENV)/.installed
	$(BIN)/vbmd-node demo --out $(OUT) $(if $(STUDY),--study "$(STUDY)")

test: lint unit

lint: $(VENV)/.installed
	$(BIN)/ruff format --check node tests
	$(BIN)/ruff check node tests
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

wheel: $(VENV)/.installed
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

# The published OHIF viewer and what drives a browser, for tests/viewer. Those are skipped without it.
viewer: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[viewer]'
	$(BIN)/python -m tests.viewer.get_ohif

bench: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks.walk

# Debian splits venv off Python; where it is missing, root installs it.
$(VENV)/.installed: pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/install-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist demo-out .pytest_cache .mypy_cache .ruff_cache
