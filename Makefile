PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench gallery docs clean

help:
	@echo "landscape: measure the loss landscape of neural networks and draw it."
	@echo
	@echo "  make demo    from nothing to a picture: install, train a small network on handwritten"
	@echo "               digits (if that was not done), draw its loss surface, say where it lies"
	@echo "  make test    from nothing: install, check the style, run every test and example"
	@echo "  make lint    check style, docstrings and types"
	@echo "  make bench   measure speed and memory against the usual ways; see benchmarks/RESULTS.md"
	@echo "  make gallery measure what is missing of the gallery, draw it, and write its index"
	@echo "  make docs    build the documentation: tutorial, reference of all names and commands"
	@echo "  make clean   remove the environment and what was built"
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter, VENV=DIR the place of the environment."

# The stamp is newer than what it depends on, so an environment is made once and updated when needs change.
$(VENV)/.ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint,export]'
	@touch $@

demo: $(VENV)/.ready
	$(BIN)/landscape demo

# Tests run side by side, so that more threads than one each would only wait for one another.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/pyright

bench: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/python benchmarks/surface.py --write
	$(BIN)/python benchmarks/curvature.py --write --examples 128
	$(BIN)/python benchmarks/training.py --write
	$(BIN)/python benchmarks/quantization.py --write
	$(BIN)/python benchmarks/connectivity.py --write

# A figure is drawn again when its script is newer; it is measured only where its data are missing.
FIGURES := $(patsubst %.py,%.png,$(filter-out gallery/_%,$(wildcard gallery/*.py)))
.PRECIOUS: gallery/%.h5
gallery: gallery/index.html
gallery/index.html: gallery/_index.py $(FIGURES) | $(VENV)/.ready
	$(BIN)/python gallery/_index.py
gallery/%.png: gallery/%.py gallery/%.h5 | $(VENV)/.ready
	$(BIN)/python $<
gallery/%.h5: | $(VENV)/.ready
	$(BIN)/python gallery/$*.py

docs: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build
	@echo "docs/_build/index.html"

clean:
	rm -rf $(VENV) build *.egg-info demo docs/_build docs/reference
