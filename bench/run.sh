#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - measure turnpike and, in the same run, the alternatives; as root, on Debian 12.
#
#   bench/run.sh                       everything but the soak
#   bench/run.sh --only pipeline,wire  some parts; --list says which there are
#   bench/run.sh --help                all options
#
# Installs the packages it needs, builds a release build with symbols in build-bench/, and writes
# results.json, report.md and plots to the directory that --out names.
set -euo pipefail

# Debian's python3 and tools, whatever else is installed.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-bench

harness() { PYTHONPATH=$root exec python3 -B -P -m bench.harness --build "$build" "$@"; }

# A mistyped option is said at once, and needs neither root nor a build.
if [ -x /usr/bin/python3 ]; then
	for option in "$@"; do
		case "$option" in
		-h | --help | --list) harness "$option" ;;
		esac
	done
	(harness --check "$@")
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "bench/run.sh: as root, please: network namespaces and BPF need it" >&2
	exit 2
fi

"$root/app/packages.sh" build run bench
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! {
	{ [ -e "$build/build.ninja" ] || { rm -rf "$build" &&
		meson setup "$build" "$root" --buildtype=release -Ddebug=true -Dstrip=false; }; } &&
		ninja -C "$build"
} >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	echo "bench/run.sh: the build failed" >&2
	exit 1
fi
rm -f "$log"
trap - EXIT

harness "$@"
