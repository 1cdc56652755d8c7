# Everything a fresh machine needs is Python 3.11+ and a package registry.
PYTHON ?= python3
BIN := .venv/bin
RUN := OMP_NUM_THREADS=1 RAY_DISABLE_IMPORT_WARNING=1 RAY_ENABLE_UV_RUN_RUNTIME_ENV=0 RAY_USAGE_STATS_ENABLED=0
TORCH_INDEX := $(if $(KINORA_TORCH_INDEX),--index-url $(KINORA_TORCH_INDEX))

.PHONY: setup demo weights test test-web test-slow test-gpu check bench clean lock
setup: .venv/.ready

# Torch first, from its own index if one is named; then the rest exactly as pinned.
.venv/.ready: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing torch (a CUDA build by default; KINORA_TORCH_INDEX names another index)"
	@$(BIN)/pip install -q --disable-pip-version-check $(TORCH_INDEX) -c requirements.lock torch torchvision
	@echo "installing the other pinned packages"
	@grep -vE '^(torch|torchvision|triton)==|^(nvidia|cuda)-' requirements.lock > .venv/pinned.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps -r .venv/pinned.txt
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -m kinora.demo.clips .cache
	@touch $@

demo: setup
	@$(RUN) $(BIN)/kinora demo

# Train the weights that ship, for a day on two cores; run it again to go on (docs/training-shipped.md).
weights: setup
	@$(RUN) $(BIN)/python -m kinora.training.shipped --out $(or $(OUT),runs/shipped)

check: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check -q
	@$(BIN)/pyright
	@$(BIN)/lint-imports --no-cache

test: check
	@$(RUN) $(BIN)/pytest -q -n 2 --dist loadfile

test-web: setup
	@$(RUN) $(BIN)/pytest -q -m web

test-slow: setup
	@$(RUN) $(BIN)/pytest -q -m slow || test $$? -eq 5 # 5: none is marked so

test-gpu: setup
	@$(BIN)/pytest -q -m gpu || test $$? -eq 5

bench: setup
	@$(RUN) $(BIN)/kinora train captioner validate --n 200

# Write the pins anew from what .venv holds.
lock: setup
	@$(BIN)/pip freeze --all --exclude-editable --exclude kinora --exclude pip > requirements.lock

clean:
	rm -rf .venv demo runs .cache .bench lightning_logs
