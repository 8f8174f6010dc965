# `make demo` and `make test` do everything on a fresh machine; the rest is for those who change the code.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: setup demo test lint docs bench clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/finetooth demo --out demo-run

# Two processes on two cores: more threads in each only wait for one another, in the processes that tests start too.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python docs/make.py --check

docs: setup
	$(BIN)/python docs/make.py

bench: setup
	$(BIN)/python bench/demo.py

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache build dist demo-run
