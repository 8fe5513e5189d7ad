# Set-up and every task of the project; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Without cached bytecode every process would compile its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
USECASE ?= usecases/air_quality.yaml
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv

.PHONY: help console compose run test test-chaos bench-load check unit docs lint format compile bench bench-drift bench-distributed bench-serving serve lock clean check-compiled images image-tags engine test-containers test-cluster retrain approve submit cluster-setup deploy release release-files changelog next-version bench-policy bench-gate bench-fuzz

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.components ## set up, then train, judge and document the reference use case
	@$(PY) pipeline.py run $(USECASE)

# Three processes, since tests of servers and other programs wait for a sixth of their time.
test: unit ## set up, then run the tests: units and contracts, then whole systems
	@$(PY) -m pytest -n 3 --dist loadfile -m 'not alone and not containers and not cluster' tests/system
	@$(PY) -m pytest -m alone tests/system/serving

lint: $(VENV)/.dev ## formatting, lint, types and import rules
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@rules="$$($(VENV)/bin/lint-imports)" || { echo "$$rules"; exit 1; }

check: $(VENV)/.dev ## format, lint, types, import rules, unit and contract tests: a minute
	@$(MAKE) --no-print-directory -j2 lint unit

test-chaos: $(VENV)/.dev ## ten minutes of mixed load while everything around the server fails in turn
	@ALMANAC_CHAOS=$${ALMANAC_CHAOS:-600} $(PY) -m pytest -s tests/system/serving/test_chaos.py

unit: $(VENV)/.dev ## unit and contract tests
	@$(PY) -m pytest -n 2 --dist loadfile tests/unit tests/contract

docs: $(VENV)/.dev ## build the documentation site into build/site
	@NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict -q

format: $(VENV)/.dev ## format the code
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

compile: $(VENV)/.components ## compile every use case's pipelines into compiled/
	@$(PY) pipeline.py compile

check-compiled: $(VENV)/.components ## fail where compiled/ is not what the code compiles to
	@$(PY) pipeline.py compile --check

bench: $(VENV)/.dev ## measure features and orchestration against their peers
	@$(PY) -m benchmarks.features
	@$(PY) -m benchmarks.pipeline_overhead

bench-drift: $(VENV)/.dev ## measure drift detection against its peers
	@$(PY) -m benchmarks.drift

bench-distributed: $(VENV)/.dev ## send 50 million rows through features and drift in bounded memory
	@$(PY) -m benchmarks.distributed

bench-policy: $(VENV)/.dev ## walk the drift policy over the whole series, against retraining every window and never
	@$(PY) -m benchmarks.policy_backtest

bench-gate: $(VENV)/.dev ## measure the gate's false refusals and power over 200 resampled months
	@$(PY) -m benchmarks.gate

bench-serving: $(VENV)/.dev ## measure the model server against its peers
	@$(PY) -m benchmarks.serving

K6 := .tools/k6
bench-load: $(VENV)/.dev ## load tests with k6 at 100 and 1,000 requests/s, with reports in build/load/
	@command -v k6 >/dev/null || test -x $(K6) || GOBIN=$(CURDIR)/.tools GOFLAGS=-mod=mod go install go.k6.io/k6@v1.8.1
	@$(PY) -m benchmarks.load

FUZZ ?= 100000
bench-fuzz: $(VENV)/.dev ## send generated requests by REST, V2 binary and gRPC (FUZZ=100000)
	@ALMANAC_FUZZ=$(FUZZ) $(PY) -m pytest tests/system/serving/test_fuzz.py tests/system/serving/test_grpc.py -k "mutated or generated"

console: $(VENV)/.dev ## serve the console on the last runs, and print a link that logs in
	@$(PY) pipeline.py console --port 8090

SECRETS := .almanac/secrets
compose: $(VENV)/.dev ## start server, monitoring, console and agent in containers, seeded by the last run
	@command -v $(DOCKER) >/dev/null || { echo "error: $(DOCKER) is not installed, which starts the containers" >&2; exit 1; }
	@test -d registry/use_cases/$(basename $(notdir $(USECASE))) || { \
	  echo "error: nothing is registered for $(basename $(notdir $(USECASE))); first make run USECASE=$(USECASE)" >&2; exit 1; }
	@mkdir -p -m 700 .almanac && mkdir -p $(SECRETS) .almanac/console .almanac/figures runs registry
	@test -s $(SECRETS)/agent_key || $(PY) -c 'import secrets; print(secrets.token_urlsafe(32))' >$(SECRETS)/agent_key
	@test -s .almanac/console/keys.json || { printf 'key of %s for the console on port 8090: ' "$$(id -un)"; \
	  $(PY) pipeline.py console key "$$(id -un)" --role admin --keys .almanac/console/keys.json; }
	@$(PY) pipeline.py push registry:$(basename $(notdir $(USECASE)))/production --to .almanac/figures
	@ALMANAC_USER=$$(id -u):$$(id -g) ALMANAC_USE_CASE=$(basename $(notdir $(USECASE))) $(DOCKER) compose up --build

serve: $(VENV)/.serving ## serve the production version of the use case
	@$(PY) -m serving --model registry:$(basename $(notdir $(USECASE)))/production --http-port 8080

# The distribution's client has a builder of its own; a newer bare one needs a plugin for that.
DOCKER ?= $(firstword $(wildcard /usr/bin/docker) docker)
IMAGES ?= ghcr.io/almanac
REVISION ?= $(shell git describe --always --abbrev=40 --dirty --exclude='*' 2>/dev/null || echo unknown)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
images: $(VENV)/.components ## build the images, tagged by revision and version, and their bills of materials in build/
	@for image in components serving operations; do \
	  name=$(IMAGES)/$${image/components/components-python}; \
	  $(DOCKER) build -q --network host -f $$image/Dockerfile -t $$name:$(REVISION) -t $$name:$(VERSION) \
	    --build-arg REVISION=$(REVISION) --build-arg VERSION=$(VERSION) . ; \
	  $(PY) pipeline.py dev sbom requirements/$$image.txt build/$$image.cdx.json; \
	done

image-tags: ## print what a workflow pushes the image NAME as
	@$(PYTHON) -m orchestration.image_tags $(NAME)

ENGINE := ../shared/containers/up
ANSWERS := timeout 30 $(DOCKER) info >/dev/null 2>&1
engine: ## fail unless a Docker engine answers, or can be started
	@$(ANSWERS) || { test -x $(ENGINE) && $(ENGINE) >/dev/null 2>&1; }

test-containers: $(VENV)/.dev ## build the images, and run the pipeline and the server in containers
	@if ! $(ANSWERS) && test -x $(ENGINE); then \
	  $(ENGINE); export DOCKER_HOST=unix:///run/almanac-docker/docker.sock; \
	fi; \
	$(MAKE) --no-print-directory images; \
	ALMANAC_TAG=$(REVISION) $(PY) -m pytest -m containers tests/containers --durations=8

CLUSTER ?= ../shared/cluster
# A cluster that is started for the tests, in whose place KUBECONFIG names another one.
test-cluster: $(VENV)/.dev ## prove deployments on a real KServe: the cluster of KUBECONFIG, or one that CLUSTER/up starts
	@if test -z "$${KUBECONFIG:-}" && test -x $(CLUSTER)/up; then \
	  export ALMANAC_CLUSTER=$(CLUSTER); \
	  if test -z "$${CLUSTER_FAST:-}"; then \
	    if ! $(ANSWERS); then $(ENGINE) >/dev/null; export DOCKER_HOST=unix:///run/almanac-docker/docker.sock; fi; \
	    for image in serving operations; do \
	      $(DOCKER) build -q --network host -f $$image/Dockerfile -t $(IMAGES)/$$image:$(VERSION) . >/dev/null || exit 1; \
	    done; \
	  fi; \
	fi; \
	PATH="$(CURDIR)/.tools:$$PATH" $(PY) -m pytest -m 'cluster$(if $(CLUSTER_FAST), and not slow)' tests/cluster --durations=8

REGISTRY ?= registry
# A workflow gives what is not configured as an empty word, which is no address: on a cluster the default is that of its
# config map.
override REGISTRY := $(or $(strip $(REGISTRY)),registry)
retrain: $(VENV)/.components ## train on the newest data, here or on the Kubeflow of KFP_HOST, and leave the version to an approval
	@$(PY) pipeline.py retrain $(USECASE) --registry '$(REGISTRY)'

# The texts stay in the environment: make would expand a dollar sign that a person typed.
approve: $(VENV)/.components ## record, in a GitHub workflow, the approval of the version APPROVED by its reviewer, for the reason WHY
	@test -n "$${GITHUB_KEY:-}" || { echo "error: the secret ALMANAC_GITHUB_KEY_PEM is not set in the environment approval" >&2; exit 1; }; \
	key=$$(mktemp); trap 'rm -f $$key' EXIT; printf '%s' "$$GITHUB_KEY" >$$key; \
	$(PY) -m governance registry approve "$$APPROVED" --via github --by "" --key "$$key" --why "$$WHY" --registry "$$REGISTRY"

submit: $(VENV)/.components ## run the training pipeline on the Kubeflow of KFP_HOST; fetch what it leaves in KFP_PIPELINE_ROOT
	@$(PY) pipeline.py submit $(USECASE) --registry '$(REGISTRY)' $(if $(strip $(KFP_PIPELINE_ROOT)),--fetch runs)

ENVIRONMENT ?= dev
KUSTOMIZE ?= $(firstword $(wildcard .tools/kustomize) $(shell command -v kustomize))
# kubectl has one of its own.
BUILD := $(if $(KUSTOMIZE),$(KUSTOMIZE) build,kubectl kustomize)
NAMESPACE ?= almanac
ACCOUNT ?= default-editor
cluster-setup: $(VENV)/.components ## make a NAMESPACE ready: config map, rights of the ACCOUNT, keys, volume claim; check it
	@kubectl get namespace $(NAMESPACE) >/dev/null 2>&1 || kubectl create namespace $(NAMESPACE)
	@$(PY) pipeline.py deploy setup --namespace $(NAMESPACE) --registry '$(REGISTRY)' --account $(ACCOUNT) | kubectl apply -f -
	@$(PY) pipeline.py deploy keys --namespace $(NAMESPACE)
	@$(PY) pipeline.py deploy check --namespace $(NAMESPACE)
# CANARY=10 RELEASE=4 gives version 4 that share of the requests first, and acts by the verdict.
CANARY ?=
RELEASE ?=
deploy: $(VENV)/.components ## apply the production version by an overlay (ENVIRONMENT), test it, go back where it fails
	@test -n "$(KUSTOMIZE)" || command -v kubectl >/dev/null || { echo "error: neither kustomize nor kubectl is installed" >&2; exit 1; }
	@rm -rf build/deploy; mkdir -p build/deploy; cp -r serving/deploy/kustomize/overlays build/deploy; \
	config=build/deploy/kubeconfig; trap 'rm -f $$config' EXIT; \
	if test -n "$${KUBE_CONFIG:-}"; then (umask 077; printf '%s' "$$KUBE_CONFIG" >$$config); export KUBECONFIG=$$config; fi; \
	$(PY) pipeline.py deploy render $(USECASE) $(REGISTRY) build/deploy/production.yaml $(if $(RELEASE),--version $(RELEASE)); \
	$(PY) pipeline.py deploy base --manifest build/deploy/production.yaml --out build/deploy/base >/dev/null; \
	$(BUILD) build/deploy/overlays/$(ENVIRONMENT) >build/deploy/objects.yaml; \
	$(PY) pipeline.py deploy apply $(USECASE) $(REGISTRY) build/deploy/objects.yaml $(if $(CANARY),--canary $(CANARY)) $(DEPLOY)

release-files: $(VENV)/.components ## compile into build/compiled, for the images of this version in IMAGES
	@ALMANAC_IMAGE=$(IMAGES)/components-python:$(VERSION) ALMANAC_SERVING_IMAGE=$(IMAGES)/serving:$(VERSION) \
	  $(PY) pipeline.py compile --kubernetes --out build/compiled
	@tar -czf build/compiled/kubernetes.tar.gz -C build/compiled kubernetes

changelog: $(VENV)/.components ## write the notes of the release TAG to build/changelog.md
	@$(PY) pipeline.py dev notes $(TAG) build/changelog.md

next-version: $(VENV)/.components ## print the version that the commits since the last release make (their trailer Change:)
	@$(PY) pipeline.py dev next-version

release: $(VENV)/.components $(VENV)/.serving ## set the next version everywhere, commit and tag it; pushing the tag releases it
	@test -z "$$(git status --porcelain)" || { echo "error: there are changes that are not committed" >&2; exit 1; }; \
	version=$$($(PY) pipeline.py dev next-version); \
	$(PY) pipeline.py dev set-version; \
	$(PY) pipeline.py compile >/dev/null; $(PY) pipeline.py deploy base >/dev/null; $(PY) pipeline.py deploy chart >/dev/null; \
	git add --all; git diff --cached --quiet || git commit -qm "Release $$version"; \
	git tag -a "v$$version" -m "Almanac $$version"; \
	echo "v$$version is tagged; release it by: git push --follow-tags"

LOCK := pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header
lock: $(VENV)/.uv ## lock the dependencies with hashes
	@$(UV) $(LOCK) pyproject.toml --group dev --extra console -o requirements/dev.txt
	@$(UV) $(LOCK) pyproject.toml --group stores --group dask --extra statistical -c requirements/dev.txt -o requirements/components.txt
	@$(UV) $(LOCK) --group serving -c requirements/dev.txt -o requirements/serving.txt
	@$(UV) $(LOCK) pyproject.toml --group stores --extra console -c requirements/dev.txt -o requirements/operations.txt

clean: ## remove what runs and tests leave behind, but not the environment
	@rm -rf runs registry .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Almanac needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

# The command `almanac` runs the code of this checkout. It is not installed anew: another checkout with the same
# environment would take it away.
INSTALL = @test -x $(VENV)/bin/almanac || $(UV) pip install -q --python $(PY) --no-deps --no-build-isolation -e .

$(VENV)/.components: requirements/components.txt | $(VENV)/.uv
	@echo "Installing the locked libraries ..."
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements/components.txt
	$(INSTALL)
	@touch $@

$(VENV)/.serving: requirements/serving.txt | $(VENV)/.uv
	@echo "Installing the locked libraries of the server ..."
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements/serving.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt | $(VENV)/.uv
	@echo "Installing the locked libraries, those of the tests too ..."
	@$(UV) pip install -q --python $(PY) --require-hashes -r requirements/dev.txt
	$(INSTALL)
	@touch $@ $(VENV)/.components $(VENV)/.serving
