# SPDX-License-Identifier: Apache-2.0
"""bench/compare.py: what it calls slower, and what it says about input that is none."""
import copy
import json
import os
import subprocess

import pytest


def row(name, low, median, high, **more):
    return {"part": "pipeline", "name": name, "params": {"flows": 1024}, "unit": "ns/packet",
            "better": "lower", "values": [low, median, high], "min": low, "median": median,
            "max": high, "extra": [{}, {}, {}], "bounce_ns": [None, None, None], **more}


def ratio(low, median, high, **more):
    return {"reference": {"name": "memcpy", "params": {}}, "ratio_inverted": False,
            "ratio": {"values": [], "min": low, "median": median, "max": high}, **more}


MACHINE = {"cpu": {"model": "A CPU", "cores": 2, "hypervisor": None},
           "kernel": {"release": "6.1", "mitigations": {}},
           "build": {"compilers": {"cc": "12"}, "options": {"buildtype": "release"},
                     "flags": ["-O3"]}}


def run_of(*rows, **more):
    return {"schema": "turnpike-bench-1", "complete": True, "options": {"quick": False},
            "machine": copy.deepcopy(MACHINE), "rows": list(rows), **more}


@pytest.fixture
def compare(root, tmp_path):
    """compare(OLD, NEW, OPTION...): exit status, stdout, stderr."""
    def call(old, new, *options):
        paths = []
        for name, content in (("old", old), ("new", new)):
            path = tmp_path / f"{name}.json"
            path.write_text(content if isinstance(content, str) else json.dumps(content))
            paths.append(str(path))
        done = subprocess.run([os.path.join(root, "bench/compare.py"), *paths, *options],
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    return call


def test_the_same_twice(compare):
    status, out, _ = compare(run_of(row("a", 9, 10, 11)), run_of(row("a", 9, 10, 11)))
    assert status == 0
    assert out == ("1 rows compared, 0 by their ratio: 0 slower, 0 faster, 1 within 5 %, "
                   "0 beyond it but within the spread of the runs\n")


def test_slower(compare):
    status, out, _ = compare(run_of(row("a", 9, 10, 11)), run_of(row("a", 14, 15, 16)))
    assert status == 1
    assert "slower:\n    +50.0 %  pipeline: a flows=1024: 10 (9..11) -> 15 (14..16) ns/packet\n" in out


def test_faster(compare):
    status, out, _ = compare(run_of(row("a", 14, 15, 16)), run_of(row("a", 9, 10, 11)))
    assert status == 0 and "faster:\n    -33.3 %" in out and "slower:" not in out


def test_less_is_slower_where_more_is_better(compare):
    old, new = (row("a", m - 0.1, m, m + 0.1, better="higher", unit="Mpps") for m in (2.0, 1.0))
    status, out, _ = compare(run_of(old), run_of(new))
    assert status == 1 and "slower:\n    -50.0 %" in out


def test_within_the_spread_is_not_slower(compare):
    status, out, _ = compare(run_of(row("a", 9, 10, 16)), run_of(row("a", 15, 17, 18)))
    assert status == 0 and "1 beyond it but within the spread" in out


def test_within_the_threshold_is_not_slower(compare):
    old, new = run_of(row("a", 10, 10, 10)), run_of(row("a", 10.4, 10.4, 10.4))
    assert compare(old, new)[0] == 0
    assert compare(old, new, "--threshold", "3")[0] == 1


def test_ratio_counts_where_both_have_one(compare):
    """The machine was slow in NEW, for the reference as well."""
    old = run_of(row("a", 9, 10, 11, **ratio(0.49, 0.5, 0.51)))
    new = run_of(row("a", 29, 30, 31, **ratio(0.49, 0.5, 0.51)))
    status, out, _ = compare(old, new)
    assert status == 0 and "1 by their ratio" in out
    new = run_of(row("a", 9, 10, 11, **ratio(0.69, 0.7, 0.71)))
    status, out, _ = compare(old, new)
    assert status == 1
    assert "ratio 0.5 (0.49..0.51) -> 0.7 (0.69..0.71) to memcpy; values 10 -> 10 ns/packet" in out


def test_more_is_better_in_a_ratio_that_is_upside_down(compare):
    old = run_of(row("a", 9, 10, 11, **ratio(2.9, 3, 3.1, ratio_inverted=True)))
    new = run_of(row("a", 9, 10, 11, **ratio(4.9, 5, 5.1, ratio_inverted=True)))
    status, out, _ = compare(old, new)
    assert status == 0 and "faster:" in out
    assert compare(new, old)[0] == 1


def test_values_count_where_the_references_differ(compare):
    other = ratio(0.7, 0.7, 0.7, reference={"name": "touch", "params": {}})
    status, out, _ = compare(run_of(row("a", 10, 10, 10, **ratio(0.5, 0.5, 0.5))),
                             run_of(row("a", 10, 10, 10, **other)))
    assert status == 0 and "0 by their ratio" in out


def test_rows_of_one_run_only(compare):
    status, out, _ = compare(run_of(row("a", 1, 1, 1)), run_of(row("b", 1, 1, 1)))
    assert status == 0
    assert "only in OLD:\n  pipeline: a flows=1024\n" in out
    assert "only in NEW:\n  pipeline: b flows=1024\n" in out


def test_rows_of_another_unit_are_not_compared(compare):
    status, out, _ = compare(run_of(row("a", 1, 1, 1)), run_of(row("a", 9, 9, 9, unit="us")))
    assert status == 0 and "another unit, not compared" in out and "0 rows compared" in out


def test_what_makes_runs_incomparable_is_said(compare):
    new = run_of(row("a", 1, 1, 1, bounce_ns=[90, 91, 92], too_few=True), complete=False,
                 options={"quick": True})
    new["machine"]["kernel"]["release"] = "6.18"
    new["machine"]["build"]["flags"] = ["-O2"]
    _, out, _ = compare(run_of(row("a", 1, 1, 1, bounce_ns=[30, 31, 32])), new)
    for text in ("kernel differs: 6.1 and 6.18", "compiler flags differs", "NEW is incomplete",
                 "NEW is a quick run", "NEW has 1 rows of too few repetitions",
                 "a cache line took 31 ns between cores in OLD and 91 ns in NEW"):
        assert f"warning: {text}" in out, text
    assert "OLD is" not in out


def test_a_directory_stands_for_its_results(root, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(run_of(row("a", 1, 1, 1))))
    done = subprocess.run([os.path.join(root, "bench/compare.py"), tmp_path, tmp_path], check=False)
    assert done.returncode == 0


GARBAGE = [
    ("", "not JSON"),
    ("\x00\x01", "not JSON"),
    ("[" * 100000, "not JSON"),
    ("[1, 2]", "not a results.json"),
    ("{}", "not a results.json"),
    ({"schema": "turnpike-bench-0"}, "schema 'turnpike-bench-0', but this reads"),
    ({"schema": "turnpike-bench-1"}, "no rows"),
    (run_of(7), "row 1: not an object"),
    (run_of({"part": "x"}), "row 1: no name"),
    (run_of(row("a", 1, 1, 1), row("b", 1, 1, 1, better="nice")), "row 2 (b): better is neither"),
    (run_of(row("a", 1, float("nan"), 1)), "row 1 (a): min, median and max are wanted"),
    (run_of(row("a", 1, 1, 1, ratio={"min": 1})), "row 1 (a), ratio: min, median and max"),
    (run_of(row("a", 1, 1, 1, bounce_ns=7)), "row 1 (a): bounce_ns is not a list"),
]


@pytest.mark.parametrize("content,message", GARBAGE, ids=[m for _, m in GARBAGE])
def test_garbage(compare, content, message):
    status, out, err = compare(run_of(), content)
    assert status == 2 and out == ""
    assert err.startswith("compare.py: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize("options", [["--threshold", "x"], ["--threshold", "-1"], ["--nope"],
                                     ["--threshold", "nan"]])
def test_usage(compare, options):
    status, _, err = compare(run_of(), run_of(), *options)
    assert status == 2 and "usage:" in err


def test_no_such_file(root):
    done = subprocess.run([os.path.join(root, "bench/compare.py"), "/nonexistent", "/nonexistent"],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "compare.py: /nonexistent: No such file or directory\n"
