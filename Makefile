# Thin: each target is one verb of the host tool, cli/benchtop, which runs in the checkout's .venv.
# `make help` lists them; `.venv/bin/python -m benchtop VERB --help` tells more of one.
export MESSAGE  # travels in the environment: a shell never reads it
BENCHTOP := @python3 cli/bootstrap.py
# USER is in everybody's environment: only one that was typed after `make` means a person
ENVIRONMENT := $(if $(filter command,$(origin ENV)),$(ENV))
PERSON := $(if $(filter command,$(origin USER)),$(USER))
UV := uv pip compile --quiet --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help up down clean apply dev status cell-stop cell-start announce announce-clear software software-remove logs shell people otp reset-otp trust doctor lint test test-long soak screenshots bench lock engine-stop

help:  ## list what you can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up:  ## build and start the facility, or bring it back; a second run changes nothing
	$(BENCHTOP) up

down:  ## stop it and keep all data
	$(BENCHTOP) down

clean:  ## remove it and its data after asking (YES=1: without; IMAGES=1: images too; ALL=1: the CA too)
	$(BENCHTOP) clean $(if $(YES),--yes) $(if $(IMAGES),--images) $(if $(ALL),--all)

apply:  ## check changed configuration and make it live, or refuse it and change nothing
	$(BENCHTOP) apply

dev:  ## run the hub of CELL= from this checkout, reloaded at each change, until Ctrl-C
	$(BENCHTOP) dev '$(CELL)'

status:  ## each service: healthy, or what is wrong with it
	$(BENCHTOP) status

cell-stop:  ## take CELL= out of service; its people read MESSAGE= until `make cell-start CELL=`
	$(BENCHTOP) cell stop '$(CELL)' --message "$$MESSAGE"

cell-start:  ## bring CELL= back into service
	$(BENCHTOP) cell start '$(CELL)'

announce:  ## show MESSAGE= on every page until `make announce-clear`
	$(BENCHTOP) announce -- "$$MESSAGE"

announce-clear:  ## take the announcement back
	$(BENCHTOP) announce --clear

software:  ## build and publish the environments of lab/environments (ENV=NAME: one), for forms and Launcher
	$(BENCHTOP) software $(if $(ENVIRONMENT),'$(ENVIRONMENT)')

software-remove:  ## remove the environment ENV=NAME, or one version of it, ENV=NAME/VERSION
	$(BENCHTOP) software --remove '$(ENVIRONMENT)'

logs:  ## follow the log of SERVICE= (or of all)
	$(BENCHTOP) logs $(SERVICE)

shell:  ## a shell in SERVICE=, or as the person USER= on the login node of their cluster
	$(BENCHTOP) shell $(if $(SERVICE),--service '$(SERVICE)') $(if $(PERSON),--user '$(PERSON)')

people:  ## the demo people, their passwords and clusters
	$(BENCHTOP) people

otp:  ## the one-time code of USER= right now
	$(BENCHTOP) otp '$(PERSON)'

reset-otp:  ## forget the second factor of USER=: the next login shows the QR code again
	$(BENCHTOP) people reset '$(PERSON)'

trust:  ## how to make a browser trust the facility (INSTALL=1: do it on this machine)
	$(BENCHTOP) trust $(if $(INSTALL),--install)

doctor:  ## check this machine; each failure says what to do
	$(BENCHTOP) doctor

engine-stop:  ## stop the container engine, if `make up` started it without an init system
	$(BENCHTOP) engine stop

lint:  ## check the style of every file
	$(BENCHTOP) test lint

test:  ## prove that it works: lint, unit, stack, browser, security
	$(BENCHTOP) test

screenshots:  ## take the pictures of the documentation anew
	$(BENCHTOP) test browser
	cp $(addprefix .benchtop/screenshots/,login.png enrolment.png landing.png form.png notebook.png \
	  jobs-panel.png tutorials.png tutorial-difference.png) docs/images/

test-long:  ## prove that it survives faults, and that each environment does its work
	$(BENCHTOP) test faults long

soak:  ## start, stop and kill sessions while hubs and schedulers restart (ROUNDS=200, SEED= of an earlier run)
	$(BENCHTOP) soak $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed '$(SEED)')

bench:  ## measure, each figure beside its floor, and write docs/benchmarks.md (ROUNDS=20)
	$(BENCHTOP) bench $(if $(ROUNDS),--rounds $(ROUNDS))

lock:  ## pin the Python packages of the host and of the images anew, with uv
	$(UV) --universal --python-version 3.11 cli/requirements.in --output-file cli/requirements.lock
	$(UV) --universal --python-version 3.11 tests/requirements.in --constraint cli/requirements.lock --output-file tests/requirements.lock
	$(UV) --universal --python-version 3.11 tests/tls.in --output-file tests/tls.lock
	$(UV) --python-version 3.13 tests/support/environments/tiny/requirements.in --output-file tests/support/environments/tiny/requirements.lock
	$(UV) --python-version 3.13 images/software/requirements.in --output-file images/software/requirements.lock
	for package in hub lab minter images/engine-gateway; do $(UV) --excludes lab/environments/excluded.txt --python-version 3.13 $$package/requirements.in --output-file $$package/requirements.lock || exit 1; done
	for name in base container hep ml root; do $(UV) --excludes lab/environments/excluded.txt --universal --python-version 3.13 lab/environments/$$name/requirements.in \
	  --constraint lab/requirements.lock --output-file lab/environments/$$name/requirements.lock || exit 1; done
	$(UV) --excludes lab/environments/excluded.txt --universal --python-version 3.11.2 lab/environments/legacy/requirements.in --output-file lab/environments/legacy/requirements.lock
