# Every target makes its own environment in .venv on first use, from a bare python3 and constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PORT ?= 2024
REQUEST ?= What do 12 chairs at 45.50 and 4 tables at 120 cost together? Name two things that make an office chair comfortable. Then write a note of two sentences with both.

ENGINE_TESTS := $(wildcard tests/test_workflow*.py tests/test_pattern.py tests/test_node.py tests/test_steps.py tests/test_langgraph_contracts*.py)
CORE_TESTS := tests/test_workflow.py tests/test_pattern.py tests/test_node.py tests/test_steps.py $(wildcard tests/test_langgraph_contracts*.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-local test-oldest test-others docs docs-check check format notebooks tour studio bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: .venv/base ## Answer a real request: with your key, or without one with a small local model (1.1 GB, asked for once)
	@if [ -z "$$PODIUM_MODEL$$OPENAI_API_KEY$$OPENAI_BASE_URL" ]; then $(MAKE) --no-print-directory .venv/local && $(BIN)/podium model pull; fi
	$(BIN)/podium --pattern planner "$(REQUEST)"
	@echo "Next: source .venv/bin/activate; podium runs; podium show RUN --html; make tour"

test: .venv/dev ## Run the tests (no key, no network; about two minutes on two quiet cores)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n auto -m "not types"

test-local: .venv/dev .venv/local ## Run the tests of the local model, if its weights are on this machine
	$(BIN)/python -m pytest -q -m local_model tests/test_local.py

test-oldest: .venv-oldest/done ## Run the engine's tests with the oldest versions of LangGraph and LangChain admitted
	.venv-oldest/bin/python -m pytest -q -p no:cacheprovider $(ENGINE_TESTS)

test-others: .venv/dev ## Run core tests with the wheel on each other Python of this machine, 3.11 to 3.14
	@for version in 3.11 3.12 3.13 3.14; do \
	  for python in $$(ls $$HOME/.pyenv/versions/$$version.*/bin/python 2>/dev/null | tail -1) $$(command -v python$$version); do \
	    sh .ci/try_python "$$python" $(CORE_TESTS) || exit 1; \
	  done; \
	done

docs: .venv/docs ## Build the documentation as a site in build/site, with search; a broken link is an error
	$(BIN)/python docs/site.py
	$(BIN)/zensical build --strict
	@echo "Open build/site/index.html, or serve it, for the search: $(BIN)/python -m http.server --directory build/site"

docs-check: .venv/dev ## Check the documentation: links, examples and their types, commands, drawings, tables of parameters
	$(BIN)/python -m pytest -q tests/test_docs.py tests/test_readme.py tests/test_types.py

check: .venv/dev ## Lint, formatting and types, those of the examples in the documentation too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -m types tests/test_types.py

format: .venv/dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tour: .venv/base ## Open the notebooks in JupyterLab, beginning with the tour
	@$(BIN)/python -c "import jupyterlab" 2>/dev/null || { echo "Installing JupyterLab ..."; $(PIP) install -c constraints.txt -e '.[notebook]' jupyterlab; }
	$(BIN)/jupyter lab notebooks/0_tour.ipynb

notebooks: .venv/dev ## Execute the notebooks without a key or a model, and save them with their outputs
	$(BIN)/python -m tests.notebooks

studio: .venv/studio ## Serve the six graphs for LangGraph Studio and other clients, on PORT (2024)
	@echo "Server: http://127.0.0.1:$(PORT); the link for Studio comes when it is up. docs/deploy.md says more"
	LANGGRAPH_CLI_NO_ANALYTICS=1 $(BIN)/langgraph dev --no-browser --n-jobs-per-worker 10 --port $(PORT)

bench: .venv/dev ## Measure the workflow engine, the router's classifiers, and what survives kills
	@$(PIP) install -c constraints.txt -e . --group bench
	$(BIN)/python -m benchmarks.workflow
	$(BIN)/python -m benchmarks.workflow --steps 100,1000,10000
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python benchmarks/router.py
	$(BIN)/python benchmarks/checks.py
	$(BIN)/python -m benchmarks.kill --kills 240
	$(BIN)/python -m benchmarks.many
	$(BIN)/python -m benchmarks.workers

clean: ## Remove the environment and everything built
	rm -rf .venv .venv-oldest .venv-3.* dist build .pytest_cache .mypy_cache .ruff_cache

.venv/base: pyproject.toml constraints.txt
	@echo "Making .venv (first use, about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) install -c constraints.txt pip
	@$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/dev: .venv/base
	@echo "Installing what the tests need ..."
	@$(PIP) install -c constraints.txt -e '.[dask,notebook,prefect,queue,studio,tracing]' --group dev
	@touch $@ .venv/studio

.venv-oldest/done: pyproject.toml constraints.txt constraints-oldest.txt
	@echo "Installing the oldest versions ..."
	@test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	@{ grep -vE '^(langchain|langgraph)' constraints.txt; cat constraints-oldest.txt; } > .venv-oldest/constraints.txt
	@.venv-oldest/bin/python -m pip --quiet --disable-pip-version-check install -c .venv-oldest/constraints.txt -e . pytest pytest-socket hypothesis
	@touch $@

.venv/docs: .venv/base
	@$(PIP) install -c constraints.txt -e . --group docs
	@touch $@

.venv/studio: .venv/base
	@$(PIP) install -c constraints.txt -e '.[studio]'
	@touch $@

.venv/local: .venv/base
	@$(PIP) install -c constraints.txt -e '.[local]'
	@touch $@
