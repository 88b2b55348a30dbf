# make demo | make test | make test-slow | make attack MINUTES=60 | make test-trt | make test-interop
# make test-ray
# make lint | make format | make docs
# make wheel | make paper | make clean
# Each works on a fresh machine: they make .venv and install what they need, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
TORCH := $(shell sed -n 's/^torch==\([^ ;]*\).*/\1/p' constraints.txt)
PYTEST_ARGS ?=
SOURCES := $(shell find darknet_compat cfg weights -name '*.py' -o -name '*.cfg' -o -name '*.weights')
NOTEBOOKS := $(patsubst docs/notebooks/%.ipynb,build/notebooks/%.md,$(wildcard docs/notebooks/*.ipynb))

# Two workers on two cores; more than four only fight for memory. The machine's own load is each test's business.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-slow attack test-ray test-trt test-interop lint format docs wheel paper clean

demo: $(VENV)/ready-demo
	@$(BIN)/python tools/demo.py

test: $(VENV)/ready-dev
	@tools/install-original $(BIN)/python
	@tools/install-tensorrt-rtx $(BIN)/python
	@$(PYTEST) $(PYTEST_ARGS)

test-slow: $(VENV)/ready-dev
	@tools/install-original $(BIN)/python
	@$(PYTEST) -m slow --timeout 3600 $(PYTEST_ARGS)

# Ray starts a process for each core by itself: no workers beside them.
test-ray: $(VENV)/ready-dev
	@$(PIP) -e '.[ray]'
	@$(BIN)/python -m pytest -m ray --timeout 1200 $(PYTEST_ARGS)

test-trt: $(VENV)/ready-dev
	@tools/install-tensorrt-rtx $(BIN)/python
	@$(PYTEST) -m tensorrt --timeout 3600 $(PYTEST_ARGS)

# Each runtime gets an environment of its own there (gigabytes); what cannot be installed is named, and skipped.
test-interop: $(VENV)/ready-dev
	@$(BIN)/python -m tests.interop.runtimes
	@$(BIN)/python -m pytest tests/interop -m interop --timeout 1200 $(PYTEST_ARGS)

MINUTES ?= 10
attack: $(VENV)/ready-dev
	@tools/install-original $(BIN)/python
	@$(BIN)/python -m tests.attack --minutes $(MINUTES)

lint: $(VENV)/ready-dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(VENV)/ready-dev
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

docs: $(VENV)/ready-docs $(NOTEBOOKS)
	@$(BIN)/zensical build --strict

# The pages of the notebooks take these in (docs/notebooks/*.md): run anew where the notebook or the package has changed,
# each in a folder of its own, since it writes files beside itself.
$(NOTEBOOKS): build/notebooks/%.md: docs/notebooks/%.ipynb $(SOURCES) | $(VENV)/ready-docs
	@echo "running $<"
	@rm -rf build/notebooks/$*; mkdir -p build/notebooks/$*; cp $< build/notebooks/$*/
	@cd build/notebooks/$* && PATH="$(CURDIR)/$(BIN):$$PATH" JUPYTER_PREFER_ENV_PATH=1 jupyter-nbconvert \
		--log-level ERROR --execute --to markdown --ExtractOutputPreprocessor.enabled=False $*.ipynb
	@sed 's/!\[png\]/![What the cell above drew]/' build/notebooks/$*/$*.md > $@

wheel: $(VENV)/ready-python
	@$(PIP) build
	@$(BIN)/python -m build --wheel --outdir dist .

# Two cores for a night; goes on after a kill.
paper: $(VENV)/ready-dev
	@OMP_NUM_THREADS=1 $(BIN)/python tools/paper.py all --page

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# ---------------------------------------------------------------------------------------------- the environment
# An empty file .venv/ready-WHAT says that this much is installed, as of its prerequisites.

$(VENV)/ready-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"Python 3.10 or newer is needed, $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.11 …")'
	@echo "making $(VENV)"
	@# Debian keeps what `venv` needs in a package of its own.
	@$(PYTHON) -m venv $(VENV) >/dev/null || { apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null && $(PYTHON) -m venv --clear $(VENV); }
	@touch $@

# Where there is a GPU, PyPI's torch is the right one (on Linux it brings CUDA, gigabytes of it). Where there is none, the
# CPU build is wanted, a "+cpu" version, which PyPI does not carry: take it from wherever this machine's pip is told to
# look (a folder of wheels, a company's index), else from PyTorch's own index, and if neither has one (macOS needs none),
# take PyPI's after all.
$(VENV)/ready-torch: $(VENV)/ready-python constraints.txt
	@echo "installing torch $(TORCH)"
	@if nvidia-smi -L >/dev/null 2>&1; then $(PIP) torch==$(TORCH); else \
		$(PIP) torch==$(TORCH)+cpu 2>/dev/null \
		|| $(PIP) torch==$(TORCH)+cpu --extra-index-url https://download.pytorch.org/whl/cpu 2>/dev/null \
		|| $(PIP) torch==$(TORCH); fi
	@touch $@

# The site's notebooks train and export.
$(VENV)/ready-demo $(VENV)/ready-dev $(VENV)/ready-docs: $(VENV)/ready-torch
$(VENV)/ready-demo $(VENV)/ready-dev $(VENV)/ready-docs: $(VENV)/ready-%: pyproject.toml constraints.txt
	@echo "installing darknet-compat[$*]"
	@$(PIP) -e '.[$*]'
	@touch $@
