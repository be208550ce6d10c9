# Short doors. `make` builds, `make demo` shows the main job, `make test` passes the tests; each installs what it needs.
PRESET ?= release
BUILD   = build/$(PRESET)
VENV   ?= build/venv
PYTHON  = $(VENV)/bin/python
JOBS   ?= $(shell nproc)
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60

.PHONY: all build binary deps python demo test unit pytest check asan arm64 bench-peers format lint clean fixtures fuzz mutate faults install uninstall

all: build

deps:
	@tools/install_deps.sh

$(BUILD)/build.ninja: CMakeLists.txt CMakePresets.json | deps
	cmake --preset $(PRESET)

binary: deps $(BUILD)/build.ninja
	cmake --build $(BUILD) -j $(JOBS) --target phial
	@ln -sfn $(BUILD)/phial phial
	@for name in $$(./phial man --llama-names); do ln -sfn phial $$name; done

build: binary
	cmake --build $(BUILD) -j $(JOBS) --target all

python: deps
	@tools/python_env.sh $(VENV)

install: binary
	tools/install.sh $(BUILD)/phial $(PREFIX)

uninstall: binary
	tools/install.sh $(BUILD)/phial $(PREFIX) uninstall

demo: binary
	@tools/demo.sh

unit: build
	ctest --test-dir $(BUILD) --output-on-failure

pytest: build python
	cmake --build $(BUILD) -j $(JOBS) --target test_tools
	PHIAL_BUILD=$(BUILD) $(PYTHON) -m pytest -q tests/python

test: unit pytest

asan: deps
	cmake --preset asan
	cmake --build build/asan -j $(JOBS) --target test_unit --target test_faults
	ctest --test-dir build/asan --output-on-failure -R "^(unit|faults)$$"

arm64: binary
	@tools/install_deps.sh --arm64
	@tools/arm64_libraries.sh build/arm64-libraries
	cmake --preset arm64
	cmake --build build/arm64 -j $(JOBS) --target phial test_ops tile_run
	@tools/arm64_tests.sh build/arm64 $(BUILD)/phial

lint: deps
	python3 tools/lint.py
	clang-format --dry-run -Werror $$(git ls-files 'src/*.cpp' 'src/*.h' 'include/*.h' 'tests/*.cpp' 'tests/*.h' 'bench/*.cpp')

format: deps
	clang-format -i $$(git ls-files 'src/*.cpp' 'src/*.h' 'include/*.h' 'tests/*.cpp' 'tests/*.h' 'bench/*.cpp')

fuzz: deps
	@tools/install_deps.sh --fuzz
	cmake --preset fuzz
	cmake --build build/fuzz -j $(JOBS)
	tools/fuzz.sh $(FUZZ_SECONDS)

mutate: build
	$(BUILD)/mutate --count 1000000 --target template
	$(BUILD)/mutate --count 1000000 --target messages
	for t in gguf safetensors tokenizer_json tokenizer_model; do $(BUILD)/mutate --count 2500000 --target $$t || exit 1; done

faults: build
	PHIAL_FAULTS=all $(BUILD)/test_faults
	PHIAL_FAULTS=all $(BUILD)/test_models -tc="*session file*"

check: test lint asan arm64 fuzz mutate faults

bench-peers: binary python
	PHIAL_BUILD=$(BUILD) $(PYTHON) bench/run.py $(BENCH_FLAGS)

fixtures: python
	$(PYTHON) tools/make_fixture.py

clean:
	rm -rf build phial llama-*
