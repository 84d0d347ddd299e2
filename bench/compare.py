#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""compare.py - what got slower, and what faster, between two runs of bench/run.sh.

Rows are paired by part, name and parameters.  Where both have a ratio to the same reference,
measured beside them in their own run, the ratios are compared, since the machine may have been in
another mood; else the values.  A row has changed if its median moved by more than the threshold
and the intervals min..max of the two runs do not touch.
"""
import argparse
import json
import math
import os
import statistics
import sys

SCHEMA = "turnpike-bench-1"
OK, SLOWER, USAGE = 0, 1, 2
MOODS = 1.5  # bounces that differ by this factor are of two phases of the machine


class Garbage(Exception):
    """Why a file is no results.json of ours."""


def is_figure(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and \
        math.isfinite(value)


def check_spread(where, spread):
    if not isinstance(spread, dict) or \
            not all(is_figure(spread.get(f)) for f in ("min", "median", "max")):
        raise Garbage(f"{where}: min, median and max are wanted")


def check_row(number, row):
    where = f"row {number}"
    if not isinstance(row, dict):
        raise Garbage(f"{where}: not an object")
    for field, kind in (("part", str), ("name", str), ("params", dict), ("unit", str)):
        if not isinstance(row.get(field), kind):
            raise Garbage(f"{where}: no {field}")
    where += f" ({row['name']})"
    if row.get("better") not in ("lower", "higher"):
        raise Garbage(f"{where}: better is neither lower nor higher")
    if not isinstance(row.get("bounce_ns", []), list):
        raise Garbage(f"{where}: bounce_ns is not a list")
    check_spread(where, row)
    if "ratio" in row:
        check_spread(f"{where}, ratio", row["ratio"])


def load(path):
    """A results.json, or the one in a directory."""
    if os.path.isdir(path):
        path = os.path.join(path, "results.json")
    try:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
    except OSError as err:
        raise Garbage(f"{path}: {err.strerror}") from err
    except (ValueError, RecursionError) as err:
        raise Garbage(f"{path}: not JSON: {err}") from err
    if not isinstance(results, dict) or "schema" not in results:
        raise Garbage(f"{path}: not a results.json of bench/run.sh")
    if results["schema"] != SCHEMA:
        raise Garbage(f"{path}: schema {results['schema']!r}, but this reads {SCHEMA!r}")
    try:
        if not isinstance(results.get("rows"), list):
            raise Garbage("no rows")
        for number, row in enumerate(results["rows"], 1):
            check_row(number, row)
    except Garbage as err:
        raise Garbage(f"{path}: {err}") from err
    return results


def key(row):
    return row["part"], row["name"], json.dumps(row["params"], sort_keys=True)


def measure(row):
    return row["unit"], row["better"]


def label(row):
    params = " ".join(f"{k}={v}" for k, v in sorted(row["params"].items()))
    name = row["name"]
    if not name.startswith(row["part"]):
        name = f"{row['part']}: {name}"
    return f"{name} {params}".rstrip()


def dig(results, *path):
    for name in path:
        results = results.get(name) if isinstance(results, dict) else None
    return results


def warnings(old, new):
    """What makes the two runs less comparable."""
    for what, *path in (
            ("CPU", "machine", "cpu", "model"), ("number of cores", "machine", "cpu", "cores"),
            ("hypervisor", "machine", "cpu", "hypervisor"),
            ("kernel", "machine", "kernel", "release"),
            ("mitigations", "machine", "kernel", "mitigations"),
            ("compilers", "machine", "build", "compilers"),
            ("build options", "machine", "build", "options"),
            ("compiler flags", "machine", "build", "flags")):
        a, b = dig(old, *path), dig(new, *path)
        if a != b:
            yield f"{what} differs: {a} and {b}"
    for name, results in (("OLD", old), ("NEW", new)):
        if not results.get("complete"):
            yield f"{name} is incomplete"
        if dig(results, "options", "quick"):
            yield f"{name} is a quick run"
        few = sum(1 for row in results["rows"] if row.get("too_few"))
        if few:
            yield f"{name} has {few} rows of too few repetitions"
    yield from bounce_warning(old, new)


def bounce_warning(old, new):
    """Values of two cores can not be compared over phases of the machine; ratios can."""
    medians = []
    for results in (old, new):
        values = [b for row in results["rows"] for b in row.get("bounce_ns", []) if is_figure(b)]
        medians.append(statistics.median(values) if values else None)
    if None not in medians and max(medians) > MOODS * min(medians):
        yield (f"a cache line took {medians[0]:.0f} ns between cores in OLD and {medians[1]:.0f} ns "
               "in NEW: believe no absolute figure of two cores")


class Change:
    """One row in both runs."""

    def __init__(self, old, new):
        self.row = new
        self.medians = old["median"], new["median"]
        self.by_ratio = "ratio" in old and "ratio" in new and \
            old.get("reference") == new.get("reference") and \
            old.get("ratio_inverted") == new.get("ratio_inverted")
        self.old = old["ratio"] if self.by_ratio else old
        self.new = new["ratio"] if self.by_ratio else new
        self.lower_is_better = (new["better"] == "lower") != \
            bool(self.by_ratio and new.get("ratio_inverted"))

    def percent(self):
        """How the median moved; infinite from nothing to something."""
        a, b = self.old["median"], self.new["median"]
        if a == b:
            return 0.0
        return (b / a - 1) * 100 if a else math.copysign(math.inf, b)

    def moved(self, threshold):
        return abs(self.percent()) > threshold

    def apart(self):
        """Do the two runs' min..max not touch?"""
        return self.old["max"] < self.new["min"] or self.new["max"] < self.old["min"]

    def worse(self):
        return (self.percent() > 0) == self.lower_is_better

    def __str__(self):
        figures = " -> ".join(f"{s['median']:.4g} ({s['min']:.4g}..{s['max']:.4g})"
                              for s in (self.old, self.new))
        unit = self.row["unit"]
        if self.by_ratio:
            figures = f"ratio {figures} to {self.row['reference']['name']}; values"
            figures += f" {self.medians[0]:.4g} -> {self.medians[1]:.4g}"
        return f"  {self.percent():+7.1f} %  {label(self.row)}: {figures} {unit}"


def show(title, lines):
    if lines:
        print(f"{title}:")
        print("\n".join(lines))


def compare(old, new, threshold):
    """Print what changed; the exit status."""
    for text in warnings(old, new):
        print(f"warning: {text}")
    before = {key(row): row for row in old["rows"]}
    after = {key(row): row for row in new["rows"]}
    both = [(before[k], after[k]) for k in after if k in before]
    changes = [Change(a, b) for a, b in both if measure(a) == measure(b)]
    moved = sorted((c for c in changes if c.moved(threshold)), key=lambda c: -abs(c.percent()))
    slower = [c for c in moved if c.apart() and c.worse()]
    faster = [c for c in moved if c.apart() and not c.worse()]
    unsure = len(moved) - len(slower) - len(faster)

    show("slower", list(map(str, slower)))
    show("faster", list(map(str, faster)))
    show("another unit, not compared", [f"  {label(b)}: {a['unit']} ({a['better']} is better) -> "
                                        f"{b['unit']} ({b['better']} is better)"
                                        for a, b in both if measure(a) != measure(b)])
    show("only in OLD", [f"  {label(row)}" for k, row in before.items() if k not in after])
    show("only in NEW", [f"  {label(row)}" for k, row in after.items() if k not in before])
    print(f"{len(changes)} rows compared, {sum(c.by_ratio for c in changes)} by their ratio: "
          f"{len(slower)} slower, {len(faster)} faster, "
          f"{len(changes) - len(moved)} within {threshold:g} %, "
          f"{unsure} beyond it but within the spread of the runs")
    return SLOWER if slower else OK


def percentage(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: want a percentage of 0 to 1000")
    return value


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="bench/compare.py", allow_abbrev=False, description=__doc__.split("\n\n", 1)[1],
        epilog="Exit status: 0, nothing got slower; 1, something did; 2, usage or bad input.")
    parser.add_argument("old", metavar="OLD", help="results.json, or the directory with it")
    parser.add_argument("new", metavar="NEW", help="the same of the other run")
    parser.add_argument("--threshold", metavar="PCT", type=percentage, default=5.0,
                        help="smaller changes are no news; default: %(default)g")
    args = parser.parse_args(argv)
    try:
        old, new = load(args.old), load(args.new)
    except Garbage as err:
        print(f"compare.py: {err}", file=sys.stderr)
        return USAGE
    return compare(old, new, args.threshold)


if __name__ == "__main__":
    sys.exit(main())
