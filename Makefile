# SPDX-License-Identifier: BSD-3-Clause
# The commands of the README. meson does the building; this file only names what people type.
#
#   make            build into build/
#   make demo       install what is missing, build, run the main job on namespaces   (root; KEEP=1)
#   make check      install what is missing, build, run all tests                    (root; SANITIZE=...)
#   make deps       install what is missing (packages of debian/control)             (root)

SANITIZE ?=
BUILD    := build$(if $(SANITIZE),-sanitize)
MESON_ARGS := $(if $(SANITIZE),-Db_sanitize=$(SANITIZE) -Db_lundef=false -Doptimization=1,)

.PHONY: all demo check deps clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup $(BUILD) $(MESON_ARGS)

deps:
	bash debian/install-deps

demo: deps
	$(MAKE) all
	KEEP=$(KEEP) /usr/bin/python3 tests/lab/demo.py

check: deps
	$(MAKE) all SANITIZE=$(SANITIZE)
	/usr/bin/python3 tests/run.py --build $(BUILD) $(if $(SANITIZE),--sanitized) $(if $(SUITE),--suite $(SUITE))

clean:
	rm -rf build build-sanitize build-fuzz demo-out
