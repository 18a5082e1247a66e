# .venv, made from pinned constraints, and for the tests a second environment with OpenCV 4, which cannot be installed
# beside OpenCV 5. `make demo` and `make test` start from nothing.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip
# ONNX Runtime for the GPU where there is an NVIDIA driver, else for the CPU; never both.
ORT := $(shell if command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; then echo gpu; else echo cpu; fi)
# Where the CPU build of PyTorch is published; asked only if the configured indexes do not have it.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
ROOMS := $(patsubst %/__init__.py,%,$(wildcard */__init__.py))
# Something of every room; the frameworks' own conversions and the recordings are left to `make test`.
FAST := $(addprefix tests/,base catalog cli darknet detect fetch pipeline shapes verify view vision \
	convert/from_darknet convert/onnx_graph convert/to_opencv/test_rewrites.py convert/to_torch/test_operators.py) \
	$(wildcard tests/test_*.py)
QUIETLY := --quiet --disable-pip-version-check --constraint constraints.txt
INSTALL := $(PIP) install $(QUIETLY)
install-torch = $(1) torch || $(1) --index-url $(TORCH_INDEX) torch
# What one may install alone; the core is the package without an extra.
EXTRAS := core cpu torch tf opencv

# $(call clean-environment,NAME,EXTRAS): a new environment that has the wheel, what these extras bring, and pytest.
define clean-environment
$(PYTHON) -m venv build/wheel/$(1)
$(if $(filter torch all,$(2)),$(call install-torch,build/wheel/$(1)/bin/python -m pip install $(QUIETLY)))
build/wheel/$(1)/bin/python -m pip install $(QUIETLY) pytest \
	$(foreach extra,$(2),"$$(echo build/wheel/*.whl)[$(extra)]") "$$(echo build/wheel/*.whl)"
endef

.PHONY: help install demo test test-fast check audit conformance mutations verify-gpu wheel wheel-test clean
.PHONY: $(EXTRAS:%=wheel-%)

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 16

install: .venv/.everything  ## .venv with everything that runs on this machine

demo: .venv/.core  ## fetch, convert and verify the shipped detector; writes zoo-demo/
	$(BIN)/zoo demo --out zoo-demo

test: .venv/.everything .venv-opencv4/.ready  ## the whole suite
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

test-fast: .venv/.everything  ## what one runs between two edits: something of every room
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "not slow" $(FAST)

check: .venv/.everything  ## formatting, lint, strict types, packages that fit together, known vulnerabilities
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(ROOMS:%=-p zoo.%)
	$(BIN)/mypy tests benchmarks
	$(PIP) check
	$(MAKE) audit || { test ! -s build/audit.txt && echo "NOT AUDITED: the package index could not be asked" >&2; }

audit: .venv/bin/python  ## known vulnerabilities of the pinned packages; asks the package index
	rm -f build/audit.txt
	$(PYTHON) -m venv build/audit-venv
	build/audit-venv/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit-venv/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --output build/audit.txt \
		|| { cat build/audit.txt; exit 1; }

conformance: .venv/.everything  ## ONNX's own node tests through the writers; writes docs/conformance.md
	$(PIP) download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.10 \
		--platform manylinux2014_x86_64 --dest build/onnx-1.12 onnx==1.12.0
	$(BIN)/python -m tests.conformance.scoreboard --older build/onnx-1.12/onnx-1.12.0-*.whl

mutations: .venv/.everything  ## break models in every known way: each must be caught; prints the score
	$(BIN)/python -m tests.mutations.scoreboard

verify-gpu: .venv/.everything  ## every model that is here, on the GPU, in ten minutes; writes docs/benchmarks/
	$(BIN)/python benchmarks/verify_gpu.py

wheel-test: $(EXTRAS:%=wheel-%) .venv-opencv4/.ready  ## build source archive and wheel; each extra alone, then the suite, in clean environments
	$(call clean-environment,suite,$(ORT) all dev)
	build/wheel/suite/bin/python -m pytest -n 2 --dist worksteal -q

$(EXTRAS:%=wheel-%): wheel-%: wheel
	$(call clean-environment,$*,$(filter-out core,$*))
	ZOO_EXTRAS=$(filter-out core,$*) build/wheel/$*/bin/python -m pytest -q tests/wheel/extras.py
	rm -rf build/wheel/$*

wheel: .venv/.everything
	rm -rf build/wheel
	$(BIN)/python -m build --outdir build/wheel . > /dev/null

clean:           ## remove everything that make made
	rm -rf .venv .venv-opencv4 build zoo-demo *.egg-info .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.core: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[$(ORT)]'
	mkdir -p build/types && ln -sfn ../.. build/types/zoo
	touch $@

.venv/.everything: .venv/.core
	$(call install-torch,$(INSTALL))
	$(INSTALL) --editable '.[$(ORT),all,dev]'
	touch $@

.venv-opencv4/.ready: constraints-opencv4.txt
	$(PYTHON) -m venv .venv-opencv4
	.venv-opencv4/bin/python -m pip install --quiet --disable-pip-version-check --constraint $< opencv-python-headless numpy
	touch $@
