# Every everyday command. `make help` lists them; each does all of its own set-up.

STACK  ?= staging
PYTHON ?= python3
PY     := .venv/bin/python

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

.PHONY: help
help: ## This list
	@echo 'make TARGET [STACK=staging|production|local]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## The virtual environment, from the pinned requirements (every other target does it)
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON): not found; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 ..." >&2; exit 3; }
	@$(PYTHON) simulator/bootstrap.py

.PHONY: preview
preview: setup ## Preview STACK with the real engine and the policy pack, without any account (BASE=main: against a revision)
	@$(PY) -m simulator preview --stack '$(STACK)' $(if $(BASE),--base '$(BASE)')

.PHONY: up
up: setup ## The whole platform on a real one-node Kubernetes on this machine, as root (KUBECONFIG=file: on that cluster instead)
	@$(PY) -m simulator node platform

.PHONY: status
status: setup ## What runs of it, and how it is reached
	@$(PY) -m simulator node status

.PHONY: down
down: setup ## Takes it down again, and leaves nothing behind
	@$(PY) -m simulator node down

.PHONY: policy
policy: setup ## The policy pack alone: on STACK, or on STATE=an exported state, or on MANIFESTS=a folder (LEVELS=a file)
ifdef STATE
	@PYTHONPATH=policies $(PY) -P -m baseline --state '$(STATE)' $(if $(LEVELS),--config '$(LEVELS)')
else ifdef MANIFESTS
	@PYTHONPATH=policies $(PY) -P -m baseline --manifests '$(MANIFESTS)' $(if $(LEVELS),--config '$(LEVELS)')
else
	@$(PY) -m simulator policy --stack '$(STACK)'
endif

.PHONY: rollback
rollback: setup ## The workloads' images of the release before, deployed like any, with an account: STACK=production [YES=1]
	@$(PY) -m delivery.rollback --stack '$(STACK)' --labels '$(LABELS)' $(if $(YES),--yes)

.PHONY: restore
restore: setup ## The database of a moment: STACK=production TO='2026-11-20 14:03:00+00' [SCRATCH=1] [TABLE=public.orders]
	@$(PY) -m settings.restore --stack '$(STACK)' $(if $(TO),--to '$(TO)') $(if $(SET),--set '$(SET)') \
		$(if $(SCRATCH),--scratch) $(if $(TABLE),--table '$(TABLE)') $(if $(DUMP),--dump '$(DUMP)') \
		$(if $(I_HAVE_ONE),--i-have-one) $(if $(NEW_CLUSTER),--new-cluster) $(if $(YES),--yes) \
		$(if $(filter local,$(STACK)),--up '$(PY) -m simulator node platform$(if $(NEW_CLUSTER), -- --refresh)')

.PHONY: adopt-edge
adopt-edge: setup ## The import file for what STACK's Cloudflare zone has already, on stdout (LISTING=zone.json: without asking the API)
	@$(PY) -m settings.adopt_edge --stack '$(STACK)' $(if $(LISTING),--listing '$(LISTING)')

.PHONY: silence
silence: setup ## Silences alerts for a while: STACK=production FOR=2h REASON='…' (ALERT=… NAMESPACE=… ALL=1; LIST=1; END=id)
	@$(PY) -m settings.silence --stack '$(STACK)' $(if $(FOR),--for '$(FOR)') $(if $(ALERT),--alert '$(ALERT)') \
		$(if $(NAMESPACE),--namespace '$(NAMESPACE)') $(if $(ALL),--all) $(if $(REASON),--reason "$$REASON") \
		$(if $(LIST),--list) $(if $(END),--end '$(END)')

.PHONY: review
review: setup ## What this branch makes of STACK: comment, gate (BASE=origin/main unless said; ACCOUNT=1: of what really stands; LABELS=a,b)
	@$(PY) -m delivery.review --stack '$(STACK)' $(if $(ACCOUNT),--account,--base '$(or $(BASE),origin/main)')
	@cat 'build/comment-$(STACK).md'
	@$(PY) -m delivery.gate --stack '$(STACK)' --labels '$(LABELS)'

.PHONY: cost
cost: setup ## What STACK costs in a month by list prices, of the last review
	@$(PY) -m delivery.cost --stack '$(STACK)'

.PHONY: promote
promote: setup ## The images of one stack to the next: FROM=staging TO=production [YES=1]; without both: is any stack ahead?
	@$(PY) -m delivery.promote $(if $(FROM),--from '$(FROM)' --to '$(TO)' $(if $(YES),--yes),--check)

.PHONY: deploy
deploy: setup ## Brings STACK up as previewed, with an account [LABELS=stateful-change] [REFRESH=1: takes back what was changed by hand]
	@$(PY) -m delivery.deploy --stack '$(STACK)' --labels '$(LABELS)' $(if $(REFRESH),--refresh)

.PHONY: secrets
secrets: setup ## Which credentials STACK has, who uses them, how old they are; SET=name asks for one, unseen; CHECK=1: is any too old?
	@$(PY) -m delivery.$(if $(CHECK),rotation,secrets) --stack '$(STACK)' $(if $(SET),--set '$(SET)')

.PHONY: test
test: lint types test-fast test-engine ## Everything that holds the platform's promises, except the heavy parts

.PHONY: lint
lint: setup ## Style
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --quiet --check . || { echo "make format mends it" >&2; exit 1; }

.PHONY: types
types: setup ## Strict types
	@.venv/bin/mypy .
	@.venv/bin/mypy policies/__main__.py

.PHONY: test-fast
test-fast: setup ## Tests that need no engine: units, policies, artifacts
	@.venv/bin/pytest -n 2 tests/unit tests/policy tests/artifact

.PHONY: test-engine
test-engine: setup engine ## Tests that run the real engine over the simulated providers
	@.venv/bin/pytest -n 2 -m 'not heavy' tests/engine

.PHONY: test-up
test-up: setup engine ## Heavy: whole stacks up through the real engine, and deployments from one end to the other
	@.venv/bin/pytest -n 2 -m heavy tests/engine

.PHONY: test-cluster
test-cluster: setup engine ## Every object judged by a real Kubernetes API server (built at the first time: 6 to 8 minutes)
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -m 'not node and not platform and not runbooks' tests/cluster

.PHONY: test-node
test-node: setup ## Heavy: a whole Kubernetes on this machine, by Linux and root; its programs are built at the first time
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -m node tests/cluster

.PHONY: test-platform
test-platform: setup engine ## Heavy: the whole platform on such a node: it serves, its jobs succeed, and all of it is watched
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -m platform tests/cluster

.PHONY: test-runbooks
test-runbooks: setup engine ## Heavy: each disaster on such a node, ended by its runbook's own commands
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -s -m runbooks tests/cluster

.PHONY: test-build
test-build: setup ## Heavy: builds the engine, the entrance, Loki, Jaeger and others from source, and tests what was built
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest tests/artifact/test_engine_install.py tests/artifact/test_traefik.py tests/artifact/test_traefik_drain.py tests/artifact/test_sample_app_entrance.py tests/artifact/test_kube_state_metrics.py tests/artifact/test_logs.py tests/artifact/test_traces.py tests/unit/test_workflows.py

.PHONY: test-backup
test-backup: setup ## Heavy: backups, dumps and restores of a real database, and what breaks them
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -n 2 --dist loadfile -m 'heavy and not faults and not build' tests/artifact

.PHONY: test-faults
test-faults: setup ## Heavy: faults caused in real programs reach the right people, and are taken back
	@FIXIA_TEST_BUILD=1 .venv/bin/pytest -m faults tests/artifact

.PHONY: test-cross
test-cross: setup ## Heavy: what others' tools find in the stacks (checkov is installed at the first time, apart from all else)
	@.venv/bin/pytest tests/cross

.PHONY: engine
engine: setup ## The pulumi engine: found, downloaded or built, once per version
	@$(PY) -m simulator.engine >/dev/null

.PHONY: bench
bench: setup engine ## Measurements as JSON, each beside what it is compared to
	@$(PY) -m bench

.PHONY: docs
docs: setup ## Renews docs/reference/ and the pictures from the code
	@$(PY) -m settings.schema
	@$(PY) -m tests.reference
	@PYTHONPATH=policies $(PY) -m tests.policy.pages
	@PYTHONPATH=policies $(PY) -m tests.compliance_page

.PHONY: pictures
pictures: setup ## Draws the dashboards of docs/pictures/ from what a real Prometheus answers (Linux, root)
	@$(PY) -m tests.artifact.pictures

.PHONY: format
format: setup ## Mends style
	@.venv/bin/ruff check --quiet --fix .
	@.venv/bin/ruff format --quiet .

.PHONY: lock
lock: ## Renews constraints.txt from requirements*.txt
	@$(PYTHON) simulator/bootstrap.py --lock

.PHONY: clean
clean: ## Removes .venv and build; the cached engine stays
	@rm -rf .venv build
