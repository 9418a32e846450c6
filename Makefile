# Thin front of Meson: what a newcomer types. Everything is built below build/.
#
#   make              build
#   make demo         set up, build, boot Xen under emulation, give a guest a disk
#   make check        set up, build, run every test
#   make check-quick  the tests that take less than a minute
#   make bench        measure (ONLY=... for a part)
#   make install      DESTDIR= and PREFIX= as usual
PREFIX ?= /usr/local
BUILD := build

.PHONY: all setup-build setup demo check check-quick bench testbed install format clean

all: setup-build $(BUILD)/build.ninja
	@ninja -C $(BUILD)

setup-build:
	@scripts/setup build

setup:
	@scripts/setup check

$(BUILD)/build.ninja:
	@meson setup $(BUILD) --prefix=$(PREFIX)

demo: setup all testbed
	@scripts/demo

testbed: setup
	@testbed/build $(BUILD)/testbed

check: setup
	@scripts/check

check-quick: setup
	@scripts/check quick

bench: setup all
	@bench/run $(ONLY)

install: all
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@ninja -C $(BUILD)
	@meson install -C $(BUILD) --no-rebuild

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(BUILD)
