# `make test` runs everything that continuous integration runs: what passes here passes there.
#
# It installs what the tests need when it may (as root, or with CI set); otherwise it prints the one
# command that installs it, and exits with 2. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

CARGO ?= cargo
PYTHON := $(CURDIR)/.venv/bin/python
# The browser tests that every run repeats in Firefox: what people do most, and how it looks.
FIREFOX_FILES := chat.test keeping.test reading.test pictures.test

.PHONY: help
help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: test
test: ready format lint docs rust demo-model web browser kernels ## Runs everything: format, lints, docs, Rust, demo model, web and browser tests, kernels
	@echo "make test: all passed"

.PHONY: test-long
test-long: ready ## As test, and then what takes hours, in parts that are not repeated once they passed
	tools/test-long.sh $(PARTS)

.PHONY: portable
portable: ## Builds a release that starts with glibc 2.28 and later (installs zig and cargo-zigbuild in target/)
	tools/portable.sh

.PHONY: feel
feel: ready ## Measures how the page feels: first words, pauses, stops, reloads, tabs (writes target/feel.csv)
	tools/feel.sh

.PHONY: setup
setup: ## Installs what the tests need (Debian or Ubuntu, as root)
	tools/setup.sh install

.PHONY: ready
ready:
	@tools/setup.sh

.PHONY: format
format:
	$(CARGO) fmt --all --check

.PHONY: lint
lint:
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p banter -p banter-remote --features opentelemetry --all-targets -- -D warnings
	@# A newcomer can read the server's files one after another: none use each other in a circle.
	python3 tools/check_cycles.py crates/server/src
	@# Unsafe code, secrets, large files and packages do not come in unnoticed.
	cd tools && python3 -m unittest -q
	python3 tools/check_sources.py

.PHONY: docs
docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

.PHONY: rust
rust:
	$(CARGO) test --workspace
	@# What only builds with this feature do.
	$(CARGO) test -p banter --features opentelemetry --test binary traces

.PHONY: demo-model
demo-model:
	@# What the demo model is judged by, and that it was never taught it.
	cd tools/demo-model && python3 -m unittest && python3 check_heldout.py

.PHONY: web
web:
	cd web && npm run check && npm test
	cd web && npm run build
	@# The built page is committed so that cargo alone builds the binary: it must be what web/ builds.
	@if [ -n "$$(git status --porcelain -- crates/server/assets)" ]; then \
		git status --short -- crates/server/assets; \
		echo "crates/server/assets differs from what web/ builds: run 'npm run build' in web/ and commit"; exit 1; fi

.PHONY: kernels
kernels:
	@# How the kernels of a built program address what they multiply by.
	$(CARGO) build -p banter
	python3 tools/check_kernels.py target/debug/banter

.PHONY: browser
browser:
	$(CARGO) build -p banter -p banter-server --bins --examples
	cd web && BANTER_PYTHON=$(PYTHON) npm run test:browser
	cd web && npm run test:phone
	@# `make test-long` has the others.
	cd web && npm run test:firefox -- $(FIREFOX_FILES)
