#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Lines that were run: coverage.py [--floor PERCENT] BUILD DIRECTORY...

Asks gcov about everything below BUILD that left counters, adds them up for each source line below
the directories, and prints a line for each file with the lines that nobody ran, then the total.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys


def counts(build, directories):
    """{path: {line: how often}} of every source below the directories."""
    root = pathlib.Path.cwd()
    out = collections.defaultdict(collections.Counter)
    for gcda in sorted(build.rglob("*.gcda")):
        said = subprocess.run(
            ["gcov", "--json-format", "--stdout", gcda.resolve()],
            check=True,
            capture_output=True,
            cwd=build,
        ).stdout
        for unit in said.splitlines():
            for source in json.loads(unit)["files"]:
                path = (build / source["file"]).resolve()
                if not any(path.is_relative_to(root / d) for d in directories):
                    continue
                for line in source["lines"]:
                    out[path.relative_to(root)][line["line_number"]] += line["count"]
    return out


def ranges(lines):
    """3-5,9 for 3, 4, 5, 9."""
    spans = []
    for line in sorted(lines):
        if spans and spans[-1][1] == line - 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--floor", type=float, default=0)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("directories", nargs="+")
    args = parser.parse_args()

    found = counts(args.build, args.directories)
    n_lines = n_run = 0
    for path in sorted(found):
        lines = found[path]
        missed = [line for line, count in lines.items() if count == 0]
        n_lines += len(lines)
        n_run += len(lines) - len(missed)
        percent = 100 * (len(lines) - len(missed)) / len(lines)
        print(f"{percent:6.1f} % of {len(lines):4} {path}  {ranges(missed)}".rstrip())
    if n_lines == 0:
        print("coverage: nothing was run")
        return 1
    percent = 100 * n_run / n_lines
    print(f"{percent:6.1f} % of {n_lines} lines in {' and '.join(args.directories)}")
    if percent < args.floor:
        print(f"coverage: below {args.floor} %")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
