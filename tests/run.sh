#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - build and run every test; as root, on Debian 12.
#
#   tests/run.sh               everything; the last line counts every test case
#   tests/run.sh --only PART   one of: unit bpf bench e2e lint san
#
# Installs the packages it needs.  Builds below build-*/; logs are in build-results/.
set -euo pipefail

# Debian's python3 and tools, whatever else is installed.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd "$(dirname "$0")/.."

parts="lint unit bpf bench san e2e"
case "${1:-}" in
"") ;;
--only)
	parts=${2:?usage: tests/run.sh [--only unit|bpf|bench|e2e|lint|san]}
	[[ " lint unit bpf bench san e2e " == *" $parts "* ]] || { echo "no such part: $parts" >&2; exit 2; }
	;;
*)
	sed -n '3,9s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

has() { [[ " $parts " == *" $1 "* ]]; }

if [ "$(id -u)" -ne 0 ]; then
	echo "tests/run.sh: as root, please: network namespaces and BPF need it" >&2
	exit 2
fi

results=$PWD/build-results
rm -rf "$results"
mkdir -p "$results"

# A checkout of another user is readable for us, but git wants to be told.
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=$PWD

# timed NAME CMD...: run with the output in a log, which is shown when it fails.
timed() {
	local name=$1 begin=$SECONDS status=0
	shift
	printf '%-24s' "$name"
	"$@" >"$results/$name.log" 2>&1 || status=$?
	if [ $status -eq 0 ]; then
		printf 'ok %5d s\n' $((SECONDS - begin))
	else
		printf 'FAILED %d s\n' $((SECONDS - begin))
		tail -n 60 "$results/$name.log"
	fi
	return $status
}

# check NAME CMD...: one test case.
check() {
	if timed "$@"; then
		echo "pass $1" >>"$results/cases"
	else
		echo "fail $1" >>"$results/cases"
		return 1
	fi
}

# suite NAME REPORT CMD...: a run of many cases, which REPORT (json or xml) lists.
suite() {
	local name=$1 report=$2 status=0
	shift 2
	rm -f "$report"
	timed "$name" "$@" || status=$?
	echo "suite $name $status $report" >>"$results/cases"
}

# build DIR COMPILER OPTION...: configure once, then build what changed.
build() {
	local dir=$1 cc=$2
	shift 2
	# Called from conditions, where set -e is off: hence the chain.
	{ [ -e "$dir/build.ninja" ] || { rm -rf "$dir" && CC=$cc meson setup "$dir" --werror "$@"; }; } &&
		ninja -C "$dir"
}

# meson_suite NAME DIR SUITE...: named suites of one build.
meson_suite() {
	local name=$1 dir=$2
	shift 2
	suite "$name" "$dir/meson-logs/$name.json" \
		meson test -C "$dir" --no-rebuild --print-errorlogs --logbase "$name" "${@/#/--suite=}"
}

# pytests NAME TEST...: cases written in Python.
pytests() {
	local name=$1
	shift
	suite "$name" "$results/$name.xml" python3 -m pytest -q -p no:cacheprovider --durations=10 \
		--junit-xml="$results/$name.xml" -o junit_family=xunit1 "$@"
}

# end_to_end NAME DIR TEST...: with the programs of one build.
end_to_end() {
	local name=$1 dir=$2
	shift 2
	TURNPIKE_BUILD=$PWD/$dir pytests "$name" "$@"
}

sources() { find "$@" -name '*.[ch]' -print0; }

lint_format() { sources lib app bpf bench tests | xargs -0 clang-format --dry-run -Werror; }

# The headers are force-fed because cppcheck does not look into system directories, and
# their macros are loops and declarations.  BPF programs are clang's: their sections are macros too.
lint_cppcheck() {
	find lib app bench -name '*.c' ! -name '*.bpf.c' -print0 |
		xargs -0 cppcheck -q -j "$(nproc)" --std=c11 --error-exitcode=1 --inline-suppr \
			-I lib -I . --enable=warning,performance,portability \
			--suppress=missingIncludeSystem \
			--include="/usr/include/$(gcc -print-multiarch)/sys/queue.h" \
			--include=/usr/include/bpf/libbpf_common.h --include=/usr/include/jansson.h \
			-D_GNU_SOURCE
}

lint_tidy() {
	python3 -c 'import json, re, sys
for entry in json.load(open("build-clang/compile_commands.json")):
	if re.search(r"(^|/)(app|bench|lib)/[^ ]*\.c$", entry["file"]):
		sys.stdout.write(entry["file"].removeprefix("../") + "\0")' |
		sort -zu | xargs -0 -P "$(nproc)" -n 1 clang-tidy --quiet -p build-clang
}

lint_shell() { find app bench tests .ci -name '*.sh' -print0 | xargs -0 shellcheck .ci/run; }

lint_python() { find app bench tests -name '*.py' -print0 | xargs -0 pyflakes3; }

check packages app/packages.sh build run test

have_gcc=true
if has unit || has bpf || has e2e; then
	check build-gcc build build-gcc gcc || have_gcc=false
fi

if has lint; then
	for script in tests/lint/*.sh; do
		check "lint-$(basename "$script" .sh)" "$script" || true
	done
	check lint-format lint_format || true
	check lint-shell lint_shell || true
	check lint-python lint_python || true
	check lint-cppcheck lint_cppcheck || true
	if check build-clang build build-clang clang; then
		check lint-tidy lint_tidy || true
	fi
fi

if has unit && $have_gcc; then
	meson_suite unit build-gcc unit sim fuzz golden
	check coverage tests/coverage.sh --floor 97 build-cov || true
	tail -n 1 "$results/coverage.log"
fi

if has bpf && $have_gcc; then
	meson_suite bpf build-gcc bpf
fi

if has bench; then
	check packages-bench app/packages.sh bench || true
	# Every program of the part runs and its rows are complete; the figures are nobody's business.
	check bench-pipeline bench/run.sh --only pipeline --quick --out "$results/bench" || true
	end_to_end bench build-bench tests/bench
fi

if has san && check build-san build build-san clang \
	-Db_sanitize=address,undefined -Db_lundef=false; then
	export ASAN_OPTIONS=detect_stack_use_after_return=1
	export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
	meson_suite san build-san unit sim fuzz golden
	end_to_end e2e-san build-san tests/e2e/test_{hostile,turn,two_nics}.py
	unset ASAN_OPTIONS UBSAN_OPTIONS
fi

if has e2e && $have_gcc; then
	check coturn app/fetch_coturn.sh build-coturn || true
	check webrtc tests/e2e/fetch_webrtc.sh build-webrtc || true
	end_to_end e2e build-gcc tests/e2e --ignore=tests/e2e/test_uclient.py
	# Coturn's clients take their time, most of which they sleep: beside them, and on DPDK ports, once
	# more what has not been run in that mode.
	set -m # a process group of its own, which hears SIGINT
	end_to_end e2e-uclient build-gcc tests/e2e/test_uclient.py >"$results/e2e-uclient.said" &
	uclient=$!
	set +m
	trap 'kill -INT -- "-$uclient" 2>/dev/null && wait || true' EXIT
	TURNPIKE_MODE=dpdk end_to_end e2e-dpdk build-gcc tests/e2e
	wait "$uclient" || true
	trap - EXIT
	cat "$results/e2e-uclient.said"
fi

python3 tests/tally.py "$results/cases"
