# SPDX-FileCopyrightText: 2026 The srkd_ros authors
# SPDX-License-Identifier: Apache-2.0
#
# Every verb sets up what it needs in $(VENV) and skips that when it is done. `make help` lists the verbs.

# --- variables to give on the command line, e.g. `make test PYTHON=python3.12 VENV=.venv312` ---
PYTHON ?= python3
VENV ?= .venv
# The torch to install, and which build: cpu, another that uv knows as --torch-backend (cu130, auto), or nothing for
# pip's usual one. TORCH_INDEX instead names a wheel index outright: a mirror, or the address that the selector on
# https://pytorch.org/get-started/locally shows for the wanted build.
TORCH_SPEC ?= torch==2.13.0
TORCH_BUILD ?= cpu
TORCH_INDEX ?=
EXTRAS ?= train,waymo,viz,bags,ros,export,build,dev
# Test processes, one thread each; TESTS and TEST_ARGS narrow a run: `make test TESTS=test_labels.py TEST_ARGS="-k raw"`.
JOBS ?= 2
TESTS ?= .
TEST_ARGS ?=
# Random messages a property in `make fuzz`.
FUZZ ?= 100000
# Real sensor data, for the tests and `srkd demo --offline`; both do without.
SRKD_DATA ?= $(wildcard ../shared/data)

# A shell that has sourced a ROS distribution, or another environment with the ROS wheels, must not leak in.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION ROS_DOMAIN_ID ROS_LOCALHOST_ONLY
unexport ROS_AUTOMATIC_DISCOVERY_RANGE ROS_STATIC_PEERS ROS_DISCOVERY_SERVER RMW_IMPLEMENTATION CYCLONEDDS_URI
unexport AMENT_CURRENT_PREFIX COLCON_CURRENT_PREFIX CYCLONEDDS_HOME ROS_NAMESPACE ROS_PACKAGE_PATH ROS_SECURITY_ENABLE
unexport ROS_SECURITY_STRATEGY ROS_SECURITY_KEYSTORE RCUTILS_LOGGING_USE_STDOUT RCUTILS_CONSOLE_OUTPUT_FORMAT DESTDIR
unexport FASTDDS_DEFAULT_PROFILES_FILE FASTRTPS_DEFAULT_PROFILES_FILE FASTDDS_BUILTIN_TRANSPORTS
override SRKD_DATA := $(abspath $(SRKD_DATA))
ifneq ($(SRKD_DATA),)
export SRKD_DATA
endif

BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
SOURCES := pyproject.toml setup.py CMakeLists.txt package.xml \
	$(shell find srkd srkd_train srkd_ros cmake msg srv config launch rviz -name __pycache__ -prune -o -print)
fail = { echo "$(1)" >&2; exit 1; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo bench-live test fuzz check lint fmt cuda clean distclean

help: ## List the verbs and the variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  variables: PYTHON=$(PYTHON) VENV=$(VENV) TORCH_SPEC=$(TORCH_SPEC) TORCH_BUILD=$(TORCH_BUILD) TORCH_INDEX=$(TORCH_INDEX)"
	@echo "             FUZZ=$(FUZZ) JOBS=$(JOBS) TESTS=$(TESTS) TEST_ARGS=$(TEST_ARGS) SRKD_DATA=$(SRKD_DATA)"

setup: $(VENV)/.installed ## Make the environment and install the packages in it (other verbs do it when needed)

demo: setup ## Replay a made drive to the live node, record, score and draw its labels; see demo_out/report.html
	$(BIN)/srkd demo --output demo_out

bench-live: setup ## Hold the live node against its bar on this machine; figures go to benchmarks/live_cpu.json
	$(BIN)/srkd bench-live --output benchmarks/live_cpu.json

# Run from tests/, so that no test and no process it starts finds the packages' source tree in its working directory.
test: setup ## Test the installed packages
	cd tests && SRKD_TEST_INSTALLED=1 OMP_NUM_THREADS=1 $(BIN)/pytest -c ../pyproject.toml -n $(JOBS) $(TEST_ARGS) $(TESTS)

fuzz: setup ## Test what arrives with 10^5 random messages for each property, or FUZZ=N
	cd tests && SRKD_FUZZ=$(FUZZ) OMP_NUM_THREADS=1 $(BIN)/pytest -c ../pyproject.toml -n $(JOBS) $(TEST_ARGS) test_fuzz_*.py

check: lint test ## Everything that a change must pass: lint, then test

lint: setup ## Run ruff and the type checker on all packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fmt: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cuda: ## Like setup, with pip's usual torch (CUDA on Linux) or the one of TORCH_INDEX, in .venv-cuda
	$(MAKE) setup VENV=.venv-cuda TORCH_BUILD=
	.venv-cuda/bin/python -c "import torch; print(torch.__version__, 'sees a GPU:', torch.cuda.is_available())"

clean: ## Remove what builds, tests and the demo left
	rm -rf build dist *.egg-info demo_out .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/.hypothesis
	find srkd srkd_train srkd_ros tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## The same, and the environments
	rm -rf .venv .venv-cuda

# --- the environment: the interpreter, what the packages need, the packages ---
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null || \
		$(call fail,'$(PYTHON)' is not Python 3.10 to 3.13: name one that is with make PYTHON=python3.12)
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		$(call fail,'$(PYTHON)' cannot make an environment: install python3-venv (apt install python3-venv))
	@$(PYTHON) -c 'import os, sysconfig as s; os.stat(os.path.join(s.get_path("include"), "Python.h"))' 2>/dev/null || \
		$(call fail,'$(PYTHON)' has no Python.h: install its headers (apt install python3-dev))
	@command -v $(CXX) >/dev/null || $(call fail,'$(CXX)' not found: install a C++ compiler (apt install g++))
	@echo "making $(VENV) with $(PYTHON); torch and the rest take a few minutes"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.requirements: pyproject.toml | $(VENV)/bin/python
	@echo "installing $(TORCH_SPEC) ($(or $(TORCH_INDEX),$(TORCH_BUILD),pip's usual build))"
ifneq ($(TORCH_INDEX),)
	@$(PIP) install -i $(TORCH_INDEX) '$(TORCH_SPEC)'
else ifeq ($(TORCH_BUILD),)
	@$(PIP) install '$(TORCH_SPEC)'
else
	@$(PIP) install '$(TORCH_SPEC)+$(TORCH_BUILD)' 2>/dev/null || { $(PIP) install uv && \
		$(BIN)/uv pip install --python $(BIN)/python --torch-backend $(TORCH_BUILD) '$(TORCH_SPEC)'; } || { \
		echo "no $(TORCH_BUILD) build of $(TORCH_SPEC) within reach: taking pip's usual one, several GB on Linux"; \
		$(PIP) install '$(TORCH_SPEC)'; }
endif
	@echo "installing what the packages and their build need: $(EXTRAS)"
	@$(PIP) install 'pip>=23' 'setuptools>=77'
	@SRKD_ROS_MESSAGES=0 $(PIP) install --no-build-isolation '.[$(EXTRAS)]' '$(TORCH_SPEC)'
	@rm -rf *.egg-info
	@touch $@

# build/ros stays: with it the messages are not compiled again. setup.py throws it away when the tool chain is another.
$(VENV)/.installed: $(VENV)/.requirements $(SOURCES)
	@echo "installing the packages"
	@$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@rm -rf *.egg-info
	@$(BIN)/python -c 'import srkd_ros.msg' 2>/dev/null || echo "installed without ROS messages: see docs/ros_workspace.md"
	@touch $@
