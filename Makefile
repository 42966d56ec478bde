# make help   lists what can be made. Needs Python >= 3.11 and make; another Python: make PYTHON=python3.12 test

python := .venv/bin/python
quality := $(wildcard benchmarks/quality_*.py)
speed := $(filter-out $(quality),$(wildcard benchmarks/*.py))

.PHONY: help demo test test-slow pytest lint style types layers wheel native sanitize bench bench-quality \
	bench-peers faults mutants freeze clean installed installed-dev
.NOTPARALLEL:

help:           ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

demo: installed native           ## train on embedded data and write runs/demo/index.html
	$(python) -m regen demo

test: lint wheel pytest           ## every check; ends with pytest's summary

test-slow: installed-dev native           ## the learning tests, minutes each
	$(python) -m pytest -m slow

pytest: installed-dev native
	$(python) -m pytest -n auto --durations=15

lint: style types layers           ## the checks that run nothing: ruff, mypy, import-linter

style: installed-dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .

types: installed-dev
	$(python) -m mypy

layers: installed-dev
	$(python) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo

wheel: installed-dev native           ## build the wheel, and import it from another folder
	$(python) .ci/wheel.py

faults: installed-dev native           ## the long fault campaigns; their counts go to docs/reliability.md
	REGEN_FAULTS=long $(python) -m pytest --durations=15 tests/faults; code=$$?; $(python) tests/faults/tally.py; exit $$code

mutants: installed-dev native           ## 100 faults put into copies of the code, one at a time: do the tests notice? (an hour)
	@test -x build/mutants/tools/bin/cosmic-ray || { $(python) -m venv build/mutants/tools && \
		build/mutants/tools/bin/python -m pip install --quiet --disable-pip-version-check cosmic-ray==8.7.0; }
	build/mutants/tools/bin/python .ci/mutants.py draw $(or $(N),100) $(or $(SEED),$(shell date +%s)) >build/mutants/drawn.jsonl
	$(python) .ci/mutants.py run build/mutants/drawn.jsonl

sanitize: installed-dev           ## the native tests again, on kernels that watch their memory and arithmetic
	@sh .ci/native sanitize
	$(python) .ci/sanitize.py

native:           ## compile csrc into src/regen, only what changed
	@sh .ci/native

bench: installed-dev native           ## every speed in the README, into benchmarks/results/
	@set -e; for script in $(speed); do echo "== $$script"; $(python) "$$script"; done

bench-quality: installed-dev native           ## every accuracy in the README, into benchmarks/results/
	@set -e; for script in $(quality); do echo "== $$script"; $(python) "$$script"; done

bench-peers: installed-dev native           ## whole fits compared with skorch, Darts, NeuralForecast, Keras, pythae and PyOD, which it installs
	$(python) benchmarks/peers/compare.py

freeze: installed-dev           ## accept the public names and command-line flags as they are now
	$(python) tests/contracts/freeze.py --write

clean:           ## remove what was made, except .venv
	rm -rf build dist runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

installed:
	@PYTHON="$(PYTHON)" sh .ci/install plot,sources

installed-dev:
	@PYTHON="$(PYTHON)" sh .ci/install dev
