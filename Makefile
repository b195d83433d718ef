# What there is to do here: `make help`. It needs Python 3.11, 3.12 or 3.13, and sets up the rest by
# itself in .venv: once, and again when pyproject.toml changes.

VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
WORKERS ?= 2
ARGS ?=

BENCHMARKS ?= $(addprefix benchmarks/,latency.py continuity.py hitrate.py stores.py)

PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3 python)
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo voice-bot call test lint types bench clean

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	    | awk -F'|' '{ printf "%-18s%s\n", $$1, $$2 }'
	@echo
	@echo '  ARGS="…" is passed on: make demo ARGS="--redis redis://localhost:6379/0"'
	@echo '                         make test ARGS="-k redis"'
	@echo '  WITHOUT_KEYS=1 lets make voice-bot do without: it says what you type into its page.'
	@echo '  PYTHON=… chooses the Python that .venv is made with.'

demo: $(VENV)/.demo ## Hear a bot that remembers what it has said: no keys, no servers
	@$(BIN)/python examples/demo_bot.py $(ARGS)

voice-bot: $(VENV)/.$(if $(WITHOUT_KEYS),call,voice) ## Run the bot one would deploy: three keys, then http://localhost:7860
	@$(if $(WITHOUT_KEYS),WITHOUT_KEYS=1) $(BIN)/python examples/voice_bot.py $(ARGS)

call: $(VENV)/.call ## Have a browser, Chromium, call that bot and check what is heard: no keys
	@$(BIN)/python -m tests.browser_call $(ARGS)

test: $(VENV)/.test ## Run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(VENV)/.lint ## Check style and format
	@$(BIN)/ruff check . $(ARGS)
	@$(BIN)/ruff format --check .

types: $(VENV)/.test $(VENV)/.lint ## Check types, with mypy and pyright
	@$(BIN)/mypy $(ARGS)
	@$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/.test ## Measure; the benchmarks say what
	@set -e; for benchmark in $(BENCHMARKS); do \
	    echo "== $$benchmark"; $(BIN)/python "$$benchmark" $(ARGS); \
	done

clean: ## Remove what was made here, .venv included
	rm -rf $(VENV) build dist htmlcov demo-output .coverage .coverage.* \
	    .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp for every dependency group of pyproject.toml; the project itself is installed with each.
# By pip, not by something faster: it comes with Python and obeys the user's own pip settings.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	@echo "Installing what '$*' needs into $(VENV). This takes a minute, once ..."
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PIP) --editable . --group $*
	@touch $@

$(BIN)/python:
	@for python in $(PYTHONS); do \
	    if "$$python" -c '$(SUITABLE)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "No suitable Python: this needs 3.11, 3.12 or 3.13, and looked for: $(PYTHONS)." >&2; \
	    echo "Name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	    exit 1; \
	fi; \
	echo "Making $(VENV) with $$found ($$("$$found" -V)) ..."; \
	if ! "$$found" -m venv --clear $(VENV); then \
	    rm -rf $(VENV); \
	    echo "$$found cannot make virtual environments. On Debian and Ubuntu the module is a" >&2; \
	    echo "package of its own: apt install python3-venv" >&2; \
	    exit 1; \
	fi
