# make demo: cartoons of sample photos. make test: all tests; make quick: those that take a second or less. The first run
# installs the pinned requirements into .venv. Another Python: make PYTHON=python3.10 VENV=.venv-3.10 quick
PYTHON ?= python3
VENV := .venv
INSTALL := bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes
CHECK = @$(1) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, $(2)) else "Python 3.10 to 3.$(2) is needed, but $(VENV) is made with %d.%d; use make clean and make PYTHON=python3.11 $(MAKECMDGOALS)" % v)'
UV_COMPILE := $(VENV)/bin/uv pip compile --quiet --python-version 3.10 --generate-hashes --no-annotate --custom-compile-command "make lock"

.PHONY: demo test quick docs gallery notebook paddle-2.6 paddle-3.3 wheel sbom lock clean

demo: $(VENV)/.demo
	$(VENV)/bin/python tools/infer.py

test: $(VENV)/.test
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

quick: $(VENV)/.test
	$(VENV)/bin/python -m pytest -n 2 -m "not slow"

# The tests that depend on Paddle's version, on versions other than the pinned one.
paddle-2.6 paddle-3.3: paddle-%: .venv-paddle-%/.test
	.venv-paddle-$*/bin/python -m pytest -n 2 --dist loadfile tests/models/test_networks.py tests/inference/test_engines.py tests/inference/test_export.py tests/test_register.py tests/models/test_parity.py tests/models/test_cartoonlossgan.py tests/training/test_trainer.py

# Builds an sdist and from it a wheel in dist/; checks both, and tests the wheel in an empty environment without Paddle.
wheel: $(VENV)/.test .venv-release/.done
	.ci/wheel $(VENV)/bin/python .venv-release/bin

# Lists, as CycloneDX, the packages that the Docker images add: dist/sbom-cpu.json and dist/sbom-gpu.json.
sbom: .venv-release/.done
	mkdir -p dist
	for lock in cpu gpu; do \
	    $(PYTHON) -m venv --clear .venv-sbom && .venv-sbom/$(INSTALL) -r requirements/$$lock.txt && \
	    .venv-release/bin/cyclonedx-py environment --output-reproducible -o dist/sbom-$$lock.json .venv-sbom/bin/python || exit 1; \
	done

# Builds the documentation into build/docs/. While writing: .venv-docs/bin/mkdocs serve
docs: .venv-docs/.done
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict

# Makes docs/gallery.md and its images, and README's.
gallery: $(VENV)/.test
	$(VENV)/bin/python tools/gallery.py

# Runs the notebook and stores its outputs.
notebook: $(VENV)/.test
	$(VENV)/bin/python tools/notebook.py

lock: $(VENV)/.test
	$(UV_COMPILE) --universal setup.py requirements/limits.in --extra demo -o requirements/demo.txt
	$(UV_COMPILE) --universal setup.py requirements/paddle.in requirements/limits.in --extra demo --extra openvino --extra video --extra raw --extra ray --extra study --extra web --extra train --extra test -c requirements/demo.txt -o requirements/test.txt
	$(UV_COMPILE) --universal setup.py requirements/build.in requirements/limits.in --extra openvino --extra video --extra raw --extra web -c requirements/test.txt -o requirements/cpu.txt
	$(UV_COMPILE) --universal setup.py requirements/build.in requirements/limits.in --extra train --extra video --extra web -c requirements/test.txt -o requirements/gpu.txt
	$(UV_COMPILE) --universal setup.py requirements/cartoons.in requirements/limits.in --extra demo --extra openvino --extra video --extra raw --extra web -c requirements/test.txt -o requirements/cartoons.txt
	$(UV_COMPILE) --universal requirements/release.in -c requirements/test.txt -o requirements/release.txt
	$(UV_COMPILE) --universal requirements/docs.in -c requirements/test.txt -o requirements/docs.txt
	for v in 2.6.2 3.3.1; do echo "paddlepaddle==$$v" | $(UV_COMPILE) - --python-platform x86_64-manylinux_2_28 -c requirements/demo.txt -o requirements/paddle-$${v%.*}.txt || exit 1; done

clean:
	rm -rf .venv* build dist site *.egg-info output

$(VENV)/bin/python:
	$(call CHECK,$(PYTHON),14)
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The module venv is missing; install it, for example: apt install python3-venv"; exit 1; }

$(VENV)/.demo: requirements/demo.txt | $(VENV)/bin/python
	@$(VENV)/$(INSTALL) --only-binary :all: -r requirements/demo.txt || { echo "Not all pinned packages could be installed. If one has no wheel for this Python: make clean, then make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1; }
	@touch $@

$(VENV)/.test: requirements/test.txt requirements/ppgan.txt | $(VENV)/bin/python
	$(call CHECK,$(VENV)/bin/python,13)
	$(VENV)/$(INSTALL) -r requirements/test.txt -r requirements/ppgan.txt
	@touch $@ $(VENV)/.demo

.venv-release/.done .venv-docs/.done: .venv-%/.done: requirements/%.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/$(INSTALL) -r requirements/$*.txt
	@touch $@

.venv-paddle-%/.test: requirements/test.txt requirements/ppgan.txt requirements/paddle-%.txt
	$(PYTHON) -m venv .venv-paddle-$*
	.venv-paddle-$*/$(INSTALL) -r requirements/test.txt -r requirements/ppgan.txt
	.venv-paddle-$*/$(INSTALL) -r requirements/paddle-$*.txt
	@touch $@
