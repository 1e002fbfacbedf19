# The commands of a working day. Each does the set-up that it needs; all are fast the second time.
.PHONY: setup build install wheel test test-full demo demo-verify demo-kill soak bench bench-train bench-parts bench-generate bench-bertscore bench-sharding bench-plan bench-data compare-quality fuzz test-vllm check format clean

setup:
	@tools/setup

# A full release build stays under 6 minutes on 2 cores; one touched source under 30 seconds.
build: setup
	@tools/build release

# make install PREFIX=/opt/anneal [PYTHON=/path/to/python3 that has the packages] [DESTDIR=...]
install: build
	@PREFIX="$(or $(PREFIX),/usr/local)" DESTDIR="$(DESTDIR)" PYTHON="$(PYTHON)" tools/install

# build/wheel/anneal-*.whl, for the torch that it was built with; half a minute.
wheel: build
	@.venv/bin/python tools/make_wheel.py

# About 15 minutes after set-up on a quiet machine (tools/test holds the limits).
test: build
	@tools/test

# Everything at full size; no limit on time.
test-full: build
	@ANNEAL_TEST_FULL=1 tools/test

# About 4 minutes after set-up: model folder 25 s, two scores, training 1 to 2 minutes, adapter check 20 s.
demo: build
	@examples/demo/demo.sh

# About 2 minutes; after `make demo`.
demo-verify: build
	@.venv/bin/python examples/demo/verify_losses.py

# About 2 minutes: kills the demo's training while it saves, twice, and compares with an undisturbed run.
demo-kill: build
	@examples/demo/kill.sh

# About 2 hours: kills and faults of the disk at every call on files, and 200 kills at random moments.
soak: build
	@ANNEAL_TEST_FULL=1 .venv/bin/python -m pytest -s tests/end_to_end/kill_test.py tests/end_to_end/file_fault_test.py

# About 40 minutes: every goal of training; writes the table of docs/performance.md.
bench: build
	@.venv/bin/python benchmarks/bench.py

# About 10 minutes with 4 and 8 layers.
bench-train: build
	@.venv/bin/python benchmarks/bench_train.py

# About 2 minutes: each kernel beside its plain form and the machine's limit.
bench-parts: build
	@tools/build release bench_parts && build/release/bench_parts

# About 4 minutes; 15 with VLLM=1, which installs vLLM first (about 8 GB). Once it is there, it is measured each time.
bench-generate: build
	@$(if $(VLLM),tools/setup_vllm &&) .venv/bin/python benchmarks/bench_generate.py

bench-bertscore: build
	@.venv/bin/python benchmarks/bench_bertscore.py

# About 10 minutes; as root, for a network namespace of its own. Memory, bytes and speed of sharding at 1, 2 and 4 ranks.
bench-sharding: build
	@.venv/bin/python benchmarks/bench_sharding.py

# About 4 minutes: `anneal plan` against the peaks of trainings on this processor.
bench-plan: build
	@.venv/bin/python benchmarks/plan_against_peaks.py

# About 15 minutes. 500,000 rows against datasets and tokenizers.
bench-data: build
	@.venv/bin/python benchmarks/bench_data.py

# About 75 minutes: three seeds of each program; finished runs are kept.
compare-quality: build
	@.venv/bin/python benchmarks/compare_quality.py

# 40 minutes, ten for each target; FUZZ_SECONDS=60 shortens them. An input that fails stays below build/fuzz.
fuzz: setup
	@tools/fuzz

# About 15 minutes the first time: installs vLLM for CPUs, and compares greedy texts with it.
test-vllm: build
	@tools/test_vllm

check: setup
	@tools/check

format: setup
	@tools/format

clean:
	rm -rf build demo-run
