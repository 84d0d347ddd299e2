# SPDX-License-Identifier: Apache-2.0
"""Count every test case of a run: `N passed, N failed, N skipped`; fails if one failed.

The file named is written by run.sh, one line each:
    pass NAME                  a case that passed
    fail NAME                  a case that failed
    suite NAME STATUS REPORT   the report of meson (json, beside it junit.xml) or pytest (xml)

A run that failed without a failed case, or held no case at all, counts as one failure.
"""

import collections
import json
import pathlib
import sys
import xml.etree.ElementTree

BAD = {"FAIL", "TIMEOUT", "ERROR", "INTERRUPT", "UNEXPECTEDPASS"}


def junit_cases(path):
    """(suite, name, outcome) of every test case of a junit file."""
    for suite in xml.etree.ElementTree.parse(path).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            outcome = "passed"
            if case.find("failure") is not None or case.find("error") is not None:
                outcome = "failed"
            elif case.find("skipped") is not None:
                outcome = "skipped"
            yield suite.get("name"), case.get("name"), outcome


def meson_cases(path):
    """Cases of each test program, and the program itself when it failed beyond its cases."""
    of_suite = collections.defaultdict(list)
    for suite, name, outcome in junit_cases(path.with_suffix(".junit.xml")):
        of_suite[suite].append((name, outcome))
    for line in path.read_text().splitlines():
        test = json.loads(line)
        name, result = test["name"], test["result"]
        # A program that speaks TAP is a suite, "PROJECT.NAME"; any other has one outcome.
        tap = next((cases for suite, cases in of_suite.items() if suite.endswith(f".{name}")), [])
        cases = [(f"{name}: {case}", outcome) for case, outcome in tap]
        if result in BAD and not any(outcome == "failed" for _, outcome in cases):
            cases.append((f"{name}: {result}", "failed"))
        yield from cases or [(name, "skipped" if result == "SKIP" else "passed")]


def suite_cases(name, status, report):
    cases = []
    try:
        if report.suffix == ".json":
            cases = list(meson_cases(report))
        else:
            cases = [(f"{name}: {case}", outcome) for _, case, outcome in junit_cases(report)]
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        return cases + [(f"{name}: no report: {error}", "failed")]
    if not cases:
        return [(f"{name}: no test ran", "failed")]
    if status != 0 and not any(outcome == "failed" for _, outcome in cases):
        cases.append((f"{name}: exit {status}", "failed"))
    return cases


def main(path):
    cases = []
    for line in pathlib.Path(path).read_text().splitlines():
        kind, name, *rest = line.split(" ", 3)
        if kind == "suite":
            cases += suite_cases(name, int(rest[0]), pathlib.Path(rest[1]))
        else:
            cases.append((name, "passed" if kind == "pass" else "failed"))
    for name, outcome in cases:
        if outcome != "passed":
            print(f"{outcome}: {name}")
    count = collections.Counter(outcome for _, outcome in cases)
    print(", ".join(f"{count[what]} {what}" for what in ("passed", "failed", "skipped")))
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
