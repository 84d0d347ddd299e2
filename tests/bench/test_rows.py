# SPDX-License-Identifier: Apache-2.0
"""Samples become rows: repetitions, spread, ratios; targets are judged by them."""
import json
import os

import pytest

from bench.harness import BenchError, output, targets

OPTIONS = {"quick": False, "reps": 3, "minutes": None, "parts": ["pipeline"]}


def results(bench, state="complete"):
    return output.results(bench, {}, OPTIONS, {"pipeline": state})


def record(bench, name, values, params=None, unit="ns/packet", **more):
    for value in values:
        bench.sample(name, params or {"flows": 1024}, unit, value, **more)


def script(bench, name, text):
    """A program in the build directory."""
    path = os.path.join(bench.build, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_repetitions_of_one_row_whatever_the_order_of_its_parameters(bench):
    bench.sample("a", {"flows": 1, "burst": 32}, "ns/packet", 3.0, extra={"tsc_cycles": 9})
    bench.sample("a", {"burst": 32, "flows": 1}, "ns/packet", 1.0)
    bench.sample("a", {"flows": 1, "burst": 32}, "ns/packet", 2.0)
    bench.sample("a", {"flows": 2, "burst": 32}, "ns/packet", 7.0)
    first, second = results(bench)["rows"]
    assert (first["min"], first["median"], first["max"]) == (1.0, 2.0, 3.0)
    assert first["values"] == [3.0, 1.0, 2.0]
    assert first["extra"] == [{"tsc_cycles": 9}, {}, {}]
    assert "too_few" not in first
    assert second["values"] == [7.0] and second["too_few"]


def test_ratio_is_of_each_repetition_and_not_of_the_medians(bench):
    record(bench, "own", [10, 30, 20])
    record(bench, "ref", [10, 60, 10])
    bench.reference("own", {"flows": 1024}, "ref", {"flows": 1024})
    ratio = results(bench)["rows"][0]["ratio"]
    assert ratio == {"values": [1.0, 0.5, 2.0], "min": 0.5, "median": 1.0, "max": 2.0}


def test_inverted_ratio_and_one_repetition_less(bench):
    record(bench, "own", [10, 20])
    record(bench, "ref", [50, 60, 70])
    bench.reference("own", {"flows": 1024}, "ref", {"flows": 1024}, invert=True)
    row = results(bench)["rows"][0]
    assert row["ratio"]["values"] == [5.0, 3.0] and row["ratio_inverted"]


def test_ratio_of_rows_that_lack_different_repetitions(bench):
    for rep, own, ref in ((0, 10, 20), (1, None, 70), (2, 30, None), (3, 40, 20)):
        for name, value in (("own", own), ("ref", ref)):
            if value is not None:
                bench.sample(name, {}, "us", value, rep=rep)
    bench.reference("own", {}, "ref", {})
    row = results(bench)["rows"][0]
    assert row["repetitions"] == [0, 2, 3] and row["ratio"]["values"] == [0.5, 2.0]
    with pytest.raises(BenchError, match="repetition 3 twice"):
        bench.sample("own", {}, "us", 1, rep=3)


def test_difference_is_of_each_repetition_in_the_rows_unit(bench):
    record(bench, "own", [10, 30, 20])
    record(bench, "ref", [10, 60, 5])
    bench.reference("own", {"flows": 1024}, "ref", {"flows": 1024})
    difference = results(bench)["rows"][0]["difference"]
    assert difference == {"values": [0, -30, 15], "min": -30, "median": 0, "max": 15}


def test_no_difference_from_another_unit(bench):
    record(bench, "own", [10, 20, 30])
    record(bench, "ref", [1, 2, 3], unit="Mpps")
    bench.reference("own", {"flows": 1024}, "ref", {"flows": 1024})
    assert "difference" not in results(bench)["rows"][0]


def test_reference_that_was_not_measured_leaves_no_ratio(bench):
    record(bench, "own", [10, 20, 30])
    bench.reference("own", {"flows": 1024}, "ref", {})
    row = results(bench)["rows"][0]
    assert "ratio" not in row and row["reference"] == {"name": "ref", "params": {}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "3"])
def test_what_is_no_figure_is_refused(bench, value):
    with pytest.raises(BenchError, match="not a measured value"):
        bench.sample("a", {}, "ns/packet", value)


def test_unit_of_a_row_stays(bench):
    record(bench, "a", [1])
    with pytest.raises(BenchError, match="after ns/packet"):
        record(bench, "a", [1], unit="Mpps", better="higher")


def test_bounce_goes_with_the_samples_that_follow_it(bench):
    script(bench, "bench/bounce", "echo '{\"value\": 31.5}'\n")
    record(bench, "a", [1])
    bench.bounce()
    record(bench, "a", [2, 3])
    assert results(bench)["rows"][0]["bounce_ns"] == [None, 31.5, 31.5]
    bench.start("wire")
    record(bench, "b", [1])
    assert results(bench)["rows"][1]["bounce_ns"] == [None]


def test_samples_of_a_program_come_with_its_prose_on_stderr(bench, capfd):
    path = script(bench, "p", "echo half way >&2; echo '{\"value\": 1}'; echo; echo '{\"value\": 2}'")
    assert [s["value"] for s in bench.samples([path])] == [1, 2]
    assert "pipeline: half way" in capfd.readouterr().err


def test_program_that_fails_says_why(bench):
    path = script(bench, "p", "echo '{}'; echo no such interface >&2; exit 3")
    with pytest.raises(BenchError, match="p ended with status 3: no such interface"):
        list(bench.samples([path]))


def test_program_that_prints_something_else(bench):
    path = script(bench, "p", "echo hello; sleep 60")
    with pytest.raises(BenchError, match="not a JSON object: hello"):
        list(bench.samples([path]))


def test_program_that_is_not_built(bench):
    with pytest.raises(BenchError, match="bench/nothing is not built"):
        bench.program("bench/nothing")


VERDICTS = [
    # measured, must, reach, better, verdict
    (19.0, 30, 20, "lower", "reached"),
    (20.0, 30, 20, "lower", "reached"),
    (25.0, 30, 20, "lower", "met"),
    (30.0, 30, 20, "lower", "met"),
    (33.6, 30, 20, "lower", "missed by 12 %"),
    (30.1, 30, 20, "lower", "missed by 0.3 %"),
    (30.000001, 30, 20, "lower", "missed by 0.1 %"),
    (5.5, 3, 5, "higher", "reached"),
    (4.0, 3, 5, "higher", "met"),
    (1.5, 3, 5, "higher", "missed by 50 %"),
    (4.0, 3, None, "higher", "met"),
]


@pytest.mark.parametrize("value,must,reach,better,want", VERDICTS)
def test_verdict(value, must, reach, better, want):
    assert targets.verdict(value, {"must": must, "reach": reach, "better": better}) == want


def test_targets_take_the_field_they_name(bench):
    record(bench, "own", [10, 20, 60])
    record(bench, "ref", [20, 40, 60])
    bench.reference("own", {"flows": 1024}, "ref", {"flows": 1024})
    for field in ("median", "ratio", "difference", "max"):
        bench.target(field, "own", {"flows": 1024}, 30, 20, field=field)
    judged = results(bench)["targets"]
    assert [t["measured"] for t in judged] == [20, 0.5, -10, 60]
    assert [t["unit"] for t in judged] == ["ns/packet", "x", "ns/packet", "ns/packet"]
    assert [t["verdict"] for t in judged] == ["reached"] * 3 + ["missed by 100 %"]


def test_target_of_too_few_repetitions_says_so(bench):
    record(bench, "own", [10, 20])
    bench.target("t", "own", {"flows": 1024}, 30, 20)
    assert results(bench)["targets"][0]["verdict"] == "reached (only 2 of 3 repetitions)"


def test_target_without_a_row_says_why(bench):
    bench.target("t", "own", {}, 30, 20)
    assert results(bench, "failed: no veth\nmore")["targets"][0]["verdict"] == \
        "not measured: failed: no veth"
    assert results(bench)["targets"][0]["verdict"] == "not measured: the part recorded no such row"
    bench.note("coturn can not be had here")
    assert results(bench)["targets"][0]["verdict"] == "not measured: coturn can not be had here"
    bench.target("u", "own", {}, 30, 20, why="one core only")
    assert results(bench)["targets"][1]["verdict"] == "not measured: one core only"


def test_target_of_a_ratio_without_a_reference(bench):
    record(bench, "own", [10, 20, 30])
    for field in ("ratio", "difference"):
        bench.target("t", "own", {"flows": 1024}, 30, 20, field=field)
    assert [t["verdict"] for t in results(bench)["targets"]] == [
        f"not measured: the row has no {field}: its reference was not measured"
        for field in ("ratio", "difference")]


def test_results_are_whole_at_every_moment(bench):
    writer = output.Writer(bench.out, lambda: results(bench, "incomplete"))
    path = os.path.join(bench.out, "results.json")
    record(bench, "a", [1, 2])
    writer.flush()
    with open(path, encoding="utf-8") as file:
        stored = json.load(file)
    assert stored["rows"][0]["values"] == [1, 2] and not stored["complete"]
    assert os.listdir(bench.out) == ["results.json"]
