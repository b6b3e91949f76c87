# SPDX-License-Identifier: BSD-3-Clause
# The commands of the README. meson does the building; this file only names what people type.
#
#   make            build into build/
#   make demo       install what is missing, build, run the main job on namespaces   (root; KEEP=1)
#   make check      install what is missing, build, run all tests                    (root; SANITIZE=...)
#   make bench-quick   the same, then measure in under three minutes                 (root)
#   make bench      the same, then measure everything                                (root)
#   make bench-failover   the same, then measure failing over, some 20 minutes      (root; QUICK=1 ROUTES=1)
#   make bench-ike  the same, then measure IKE beside charon                         (root; QUICK=1)
#   make soak       the long forms of the tests, results as JSON                     (root; SUITE=...)
#   make conformance   install what is missing, build, a line for each statement on IKE    (root)
#   make deps       install what is missing (packages of debian/control)             (root)

SANITIZE ?=
BUILD    := build$(if $(SANITIZE),-sanitize)
MESON_ARGS := $(if $(SANITIZE),-Db_sanitize=$(SANITIZE) -Db_lundef=false -Doptimization=1,)

.PHONY: all demo check conformance bench bench-quick bench-failover bench-ike soak deps clean

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

bench bench-quick: deps
	$(MAKE) all
	/usr/bin/python3 -B bench/run.py --build $(BUILD) $(if $(filter bench-quick,$@),--quick)

bench-failover: deps
	$(MAKE) all
	/usr/bin/python3 -B bench/failover.py --build $(BUILD) $(if $(QUICK),--quick) $(if $(ROUTES),--routes)

bench-ike: deps
	$(MAKE) all
	/usr/bin/python3 -B bench/ike.py --build $(BUILD) $(if $(QUICK),--quick)

soak: deps
	$(MAKE) all
	/usr/bin/python3 tests/run.py --build $(BUILD) --long $(if $(SUITE),--suite $(SUITE))

conformance: deps
	$(MAKE) all
	/usr/bin/python3 -B tests/ike/conformance.py --run $(BUILD)

clean:
	rm -rf build build-sanitize build-fuzz demo-out
