# Two commands do everything on a fresh Linux machine: `make study` and `make test`. Needs Python >= 3.11 and g++.
PYTHON ?= python3
BIN := .venv/bin
# Two workers of one thread each: two of two on two cores wait for one another, up to tenfold.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2
COVERAGE ?=  # CI gives --cov: it counts branches, which takes as long again
SOURCES := $(shell find src -type f -not -name '*.pyc' -not -name '*.nb?' | sed 's/ /\\ /g')  # names of netlists have spaces
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: study test test-slow lint setup bench silicon clean

study: setup
	$(BIN)/fewbits run default --out fewbits-default
	$(BIN)/fewbits report fewbits-default

test: setup lint
	$(PYTEST) -m "not slow and not nightly" $(COVERAGE)

test-slow: setup
	$(PYTEST) -m "slow and not nightly"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

setup: .venv/.installed

.venv/.locked: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fewbits needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@command -v g++ >/dev/null || { echo "fewbits needs g++ (to compile circuit simulations): install your system's package g++"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.lock
	# A pretrained network and a foreign model of systolic arrays, for tests. Of their own dependencies, what the tests
	# need is in the lock; torchvision does not fit every torch.
	$(BIN)/pip install --quiet --no-deps ccexam==1.0.0 scalesim==3.0.0
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml README.md LICENSE $(SOURCES)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@

bench: setup
	@failed=; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || failed="$$failed $$file"; done; \
	  test -z "$$failed" || { echo "not measured, for the reasons above:$$failed"; exit 1; }

silicon: setup
	$(BIN)/python studies/date2017/silicon.py docs/silicon.md

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .coverage
