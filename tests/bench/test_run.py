# SPDX-License-Identifier: Apache-2.0
"""A whole run with parts made up here: order, failures, and the end by a signal."""
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

DRIVER = """
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {root!r})
import bench.parts
bench.parts.__path__ = [{parts!r}]
from bench.harness import main
sys.exit(main.main(sys.argv[1:]))
"""
GOOD = """
HELP = "measures one"
def run(b):
    for rep in range(b.reps):
        b.sample("one", {}, "ns", 1.5)
"""
BROKEN = """
HELP = "has a mistake"
def run(b):
    b.target("two", "two", {}, 1, 1)
    b.sample("two", {}, "ns", 1 / 0)
"""
ENDLESS = """
HELP = "goes on"
import os
def run(b):
    b.target("some", "some", {}, 1, 1)
    b.sample("some", {}, "ns", 1.5)
    try:
        for sample in b.samples(["sh", "-c", "echo {}; exec sleep 1000"]):
            open(os.path.join(b.out, "begun"), "w").close()
    finally:
        open(os.path.join(b.out, "cleaned"), "w").close()
"""


@pytest.fixture
def start(root, tmp_path):
    """start(PARTS, OPTION...): the harness as a process; parts are {name: text}."""
    def call(parts, *options):
        (tmp_path / "parts").mkdir()
        (tmp_path / "build").mkdir()
        (tmp_path / "build" / "build.ninja").touch()
        for name, text in parts.items():
            (tmp_path / "parts" / f"{name}.py").write_text(text)
        driver = tmp_path / "driver.py"
        driver.write_text(textwrap.dedent(DRIVER).format(root=root, parts=str(tmp_path / "parts")))
        return subprocess.Popen(
            [sys.executable, driver, "--build", tmp_path / "build", "--out", tmp_path / "out",
             *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return call


def stored(tmp_path):
    return json.loads((tmp_path / "out" / "results.json").read_text())


def test_parts_in_their_order_and_a_mistake_ends_only_its_part(start, tmp_path):
    process = start({"wire": GOOD, "pipeline": BROKEN})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    results = stored(tmp_path)
    assert list(results["parts"].items()) == [
        ("pipeline", "failed: ZeroDivisionError: division by zero"), ("wire", "complete")]
    assert not results["complete"]
    assert results["rows"][0]["values"] == [1.5, 1.5, 1.5]
    assert results["targets"][0]["verdict"].startswith("not measured: failed: ZeroDivision")
    assert "Traceback" in err and (tmp_path / "out" / "report.md").exists()


def test_a_good_run_is_complete(start, tmp_path):
    process = start({"wire": GOOD, "soak": GOOD}, "--reps", "4")
    process.communicate(timeout=60)
    assert process.returncode == 0
    results = stored(tmp_path)
    assert results["complete"] and results["parts"] == {"wire": "complete"}
    assert results["rows"][0]["values"] == [1.5] * 4
    assert results["machine"]["cpu"]["cores"] == os.cpu_count()


@pytest.mark.parametrize("options,parts", [
    (["--minutes", "1"], ["wire", "soak"]),
    (["--only", "soak"], ["soak"]),
    (["--only", "soak,wire"], ["wire", "soak"]),
])
def test_soak_is_on_request(start, tmp_path, options, parts):
    process = start({"wire": GOOD, "soak": GOOD}, *options)
    process.communicate(timeout=60)
    assert list(stored(tmp_path)["parts"]) == parts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cleans_up_and_keeps_what_was_measured(start, tmp_path, number):
    process = start({"pipeline": ENDLESS, "wire": GOOD})
    deadline = time.monotonic() + 30
    while not (tmp_path / "out" / "begun").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    assert (tmp_path / "out" / "cleaned").exists()
    results = stored(tmp_path)
    assert results["parts"] == {"pipeline": "interrupted", "wire": "not run"}
    assert results["rows"][0]["values"] == [1.5] and results["rows"][0]["too_few"]
    assert "**Incomplete.**" in (tmp_path / "out" / "report.md").read_text()


@pytest.mark.parametrize("options,message", [
    (["--only", "nope"], "no such part: nope; there are: pipeline wire"),
    (["--only", ","], "--only wants one of"),
    (["--reps", "2"], "want a number of repetitions of at least 3"),
    (["--minutes", "x"], "want minutes of at least 0.1"),
    (["--quic"], "unrecognized arguments"),
])
def test_usage(start, options, message):
    process = start({"wire": GOOD, "pipeline": GOOD}, *options)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and message in err


def test_list(start):
    out, _ = start({"wire": GOOD, "pipeline": BROKEN}, "--list").communicate(timeout=60)
    assert out == "pipeline     has a mistake\nwire         measures one\n"
