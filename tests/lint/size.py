#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""size - print functions over 100 lines and files over 600, so that each is a choice.

Never fails.  Relies on the house format: a function ends with the first `}` in column 0 after a
`{` in column 0.

usage: size.py [source directory]
"""

import pathlib
import re
import sys

MAX_FUNCTION = 100
MAX_FILE = 600

# The name before the parameter list, which may go on over several lines.
NAME = re.compile(r"(\w+)\s*\(")


def functions(lines):
    """Yield (first line, name, number of lines); the first line is that of the signature."""
    start = body = None
    for number, line in enumerate(lines, 1):
        if body is None and line[:1].isalpha() and "(" in line and not line.startswith("typedef"):
            start = number
        if line.startswith("{") and start is not None:
            body = number
        elif line.startswith("}"):
            if body is not None:
                match = NAME.search(lines[start - 1])
                yield start, match.group(1) if match else "?", number - start + 1
            start = body = None


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    for top in ("lib", "app", "bpf", "tests", "bench"):
        for path in sorted((root / top).rglob("*.[ch]")):
            lines = path.read_text().splitlines()
            where = path.relative_to(root)
            if len(lines) > MAX_FILE:
                print(f"{where}: {len(lines)} lines")
            for number, name, count in functions(lines):
                if count > MAX_FUNCTION:
                    print(f"{where}:{number}: {name}: {count} lines")


if __name__ == "__main__":
    main()
