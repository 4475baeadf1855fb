# Every command a person needs; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := PYTHONPATH=benchmarks:tests/support:tools $(BIN)/python benchmarks
PDF ?= examples/samples/report_en.pdf
OUT ?= out
PORT ?= 8080
TAG ?= dev
# Test files side by side: much of their time is waiting.
TEST_JOBS ?= 2
SET ?= ../shared/corpus/dev
# What the tests on clusters are told, if it is: make e2e-node RECORD=1 KUBE_ROOT=dir
E2E = $(if $(KUBE_TOOLS),--tools '$(KUBE_TOOLS)') $(if $(KUBE_ROOT),--root '$(KUBE_ROOT)') \
	$(if $(KUBE_CONTEXT),--context '$(KUBE_CONTEXT)') $(if $(RECORD),--record)
# PaddleX asks for the OpenCV that links to a desktop's libraries; this one is the same without.
HEADLESS := --no-deps --force-reinstall opencv-contrib-python-headless==4.10.0.84
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
export PYTHONSAFEPATH := 1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.11 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints/local.txt | $(BIN)/python
	$(PIP) -c constraints/local.txt -e '.[local]'
	$(PIP) $(HEADLESS)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints/dev.txt | $(BIN)/python
	$(PIP) -c constraints/dev.txt -e '.[dev]'
	$(PIP) $(HEADLESS)
	@touch $@ $(VENV)/.run

.PHONY: run
run: $(VENV)/.run ## convert a PDF with the real services: make run PDF=a.pdf OUT=dir
	@$(BIN)/ocrplus convert '$(PDF)' --out '$(OUT)'

.PHONY: serve
serve: $(VENV)/.run ## keep the services up: make serve PORT=8080
	@exec $(BIN)/ocrplus serve --port $(PORT)

.PHONY: test
test: $(VENV)/.dev ## the default test suite, with real servers, workers and models
	$(BIN)/ocrplus models assemble
	$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadfile

.PHONY: check
check: $(VENV)/.dev ## format, lint, types, import contracts, repository checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/repository tests/docs

.PHONY: format
format: $(VENV)/.dev ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(VENV)/.dev ## every benchmark; writes benchmarks/results
	$(BIN)/ocrplus models assemble
	for name in original pages streaming faults delivery wire eta captions observing; do $(BENCH)/$$name.py || exit 1; done

.PHONY: autoscaling
autoscaling: $(VENV)/.dev ## the operator's law beside its peers, in virtual time: half an hour
	$(BENCH)/autoscaling.py

.PHONY: quality
quality: $(VENV)/.dev ## score a corpus set, see it in OUT/index.html: make quality SET=dir OUT=dir
	$(BIN)/ocrplus models assemble
	$(BENCH)/quality.py '$(SET)' '$(OUT)'

.PHONY: quality-steps
quality-steps: $(VENV)/.dev ## what each Markdown step gains, on the pages of `make quality` and on made ones
	$(BIN)/ocrplus models assemble
	$(BENCH)/quality_made.py '$(OUT)/made'
	$(BENCH)/quality.py '$(OUT)/made' '$(OUT)/made-read'
	$(BENCH)/quality_steps.py '$(SET)' '$(OUT)' --made '$(OUT)/made' '$(OUT)/made-read'

.PHONY: faults
faults: $(VENV)/.dev ## kill and stop workers in the middle of documents
	$(BIN)/ocrplus models assemble
	$(BENCH)/faults.py

.PHONY: e2e-operator
e2e-operator: $(VENV)/.dev ## the operator's tests on a real cluster: KUBE_CONTEXT=kind-x, or a control plane of its own
	KUBE_E2E_SCALE_DOWNS=50 KUBE_E2E_GONE_SECONDS=120 $(BIN)/python tools/e2e_operator.py \
		$(if $(KUBE_TOOLS),--tools '$(KUBE_TOOLS)') $(if $(KUBE_CONTEXT),--context '$(KUBE_CONTEXT)')

.PHONY: images
images: $(VENV)/.dev ## build every image: make images TAG=dev ONLY="gateway operator"
	$(BIN)/python tools/images.py --tag $(TAG) $(if $(ONLY),--only $(ONLY))

.PHONY: e2e
e2e: e2e-control e2e-node ## the chart on a cluster that is thrown away: played nodes, then a real one

.PHONY: e2e-control
e2e-control: $(VENV)/.dev ## every values file installed on a real control plane with played nodes
	PYTHONPATH=tools $(BIN)/python tools/e2e_control.py $(E2E)

.PHONY: e2e-node
e2e-node: $(VENV)/.dev ## images built, installed on a real node, and used: an hour
	PYTHONPATH=tools $(BIN)/python tools/e2e_node.py --tag $(TAG) $(E2E)

.PHONY: test-hostile
test-hostile: $(VENV)/.dev ## broken, huge and malicious PDFs through the real services
	$(BIN)/ocrplus models assemble
	$(BENCH)/hostile.py '$(SET)'

.PHONY: monitoring
monitoring: $(VENV)/.dev ## the services under load, a real Prometheus, every panel: see OUT/monitoring/index.html
	$(BIN)/ocrplus models assemble
	$(BENCH)/monitoring.py '$(OUT)'

.PHONY: monitoring-faults
monitoring-faults: $(VENV)/.dev ## kill workers, fill Redis, stop model and gateway: does the right alert fire
	$(BENCH)/monitoring_faults.py

.PHONY: lock
lock: $(VENV)/.dev ## resolve the pins in constraints/ anew
	$(BIN)/python tools/lock.py

.PHONY: docs
docs: $(VENV)/.dev ## generate the reference pages
	PYTHONPATH=tools $(BIN)/python tools/render_docs.py
	$(BENCH)/results.py

.PHONY: chart
chart: $(VENV)/.dev ## the chart's generated files, then lint and render it
	PYTHONPATH=tools $(BIN)/python tools/chart.py
	$(BIN)/python -m pytest tests/chart

.PHONY: chart-conform
chart-conform: $(VENV)/.dev ## every object of the chart against a real API server's schemas
	PYTHONPATH=tools $(BIN)/python tools/chart_conform.py $(if $(KUBE_TOOLS),--tools '$(KUBE_TOOLS)') $(if $(CRDS),--crds '$(CRDS)')

.PHONY: clean
clean: ## remove what was built here
	rm -rf $(VENV) $(OUT) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
