# kdash: `make run`, `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(wildcard backends/*/*.c) $(wildcard backends/*/*.h) $(wildcard backends/*/native_build.py)
ARGS ?=
SECONDS ?= 600
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -q -n 4 --dist worksteal

.PHONY: help run test coverage check bench bench-full readme fuzz soak screenshots screenshots-check man wheel clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 20

run: $(STAMP) ## the dashboard (ARGS="..." for arguments)
	@$(BIN)/kdash $(ARGS)

test: check ## everything a change must pass: style, types, structure, tests
	$(PYTEST)

coverage: $(STAMP) ## the tests, half as long again: which lines and branches they reach
	$(BIN)/coverage erase
	$(PYTEST) --cov --cov-branch --cov-report=term

check: $(STAMP) ## style, types and structure alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## measure this project beside its peers, within 8 minutes: build/bench.md, bench.json
	@$(BIN)/python benchmarks/run_all.py

bench-full: $(STAMP) ## all modules, all peers, all figures (about 15 minutes)
	@$(BIN)/python benchmarks/run_all.py --full

readme: $(STAMP) ## put the figures of benchmarks/results.json into README.md and docs/figures.md
	@$(BIN)/python benchmarks/readme_numbers.py

fuzz: $(STAMP) ## new inputs to every parser for SECONDS (600), then what was tried and what failed
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

soak: $(STAMP) ## all panes under load for SECONDS (600): memory, key latency, bytes, CPU, leftovers
	@$(BIN)/python benchmarks/soak.py --seconds $(SECONDS)

screenshots: $(STAMP) ## draw screenshots/*.svg from the recorded inputs in tests/
	@$(BIN)/python -m screenshots.draw

screenshots-check: $(STAMP) ## fail when a screenshot is not current
	@$(BIN)/python -m screenshots.draw --check

man: $(STAMP) ## the manual page and the completions of shells, into build/share
	@mkdir -p build/share/man/man1 build/share/bash-completion/completions build/share/zsh/site-functions build/share/fish/vendor_completions.d
	@$(BIN)/kdash manual > build/share/man/man1/kdash.1
	@$(BIN)/kdash completion bash > build/share/bash-completion/completions/kdash
	@$(BIN)/kdash completion zsh > build/share/zsh/site-functions/_kdash
	@$(BIN)/kdash completion fish > build/share/fish/vendor_completions.d/kdash.fish

wheel: $(STAMP) ## build the source package and, from it, the wheel into dist/
	@$(BIN)/python -m build --no-isolation .

clean: ## remove everything that make made
	rm -rf $(VENV) build dist *.egg-info kdash.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find backends -name '*.so' -delete

# The environment is made anew when what it is made of changes.
$(STAMP): Makefile pyproject.toml setup.py constraints.txt $(NATIVE)
	@PYTHON="$(PYTHON)" sh .ci/prerequisites
	@for room in widgets backends; do test -e kdash/$$room || ln -s ../$$room kdash/$$room; done # not in the sdist
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --upgrade setuptools wheel cffi
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt \
		--config-settings editable_mode=compat -e '.[dev]'
	@touch $@
