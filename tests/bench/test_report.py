# SPDX-License-Identifier: Apache-2.0
"""report.md and the plots, of a small made-up set of results."""
import os
import shutil
import xml.etree.ElementTree

import pytest

from bench.harness import output, plots, report, tables

MACHINE = {
    "date": "2026-01-01T00:00:00+00:00", "load_at_start": 0.5, "steal_percent": 0.25,
    "cpu": {"model": "A CPU", "family": "6/1/1", "cores": 2, "usable": 2, "smt": False,
            "numa_nodes": 1, "cache": {"L2": "1024K"}, "governor": None, "hypervisor": "KVM"},
    "memory": {"total_mb": 1000, "thp": "madvise", "huge_pages": 0, "huge_page_kb": 2048},
    "kernel": {"release": "6.1", "arch": "x86_64", "cmdline": ["mitigations=auto"],
               "mitigations": {"retbleed": "Vulnerable"}, "bpf_jit": "1", "clocksource": "tsc"},
    "build": {"version": "0.1.0", "commit": "abc", "dirty": True,
              "options": {"buildtype": "release"}, "compilers": {"cc": "12"}, "flags": ["-O3"]},
}
OPTIONS = {"quick": True, "reps": 3, "minutes": None, "parts": ["pipeline", "wire"]}


def sweep(bench):
    """Two paths over flows and bursts, not every combination of them."""
    for rep in range(3):
        for path, base in (("up_4to4", 20), ("down_4to6", 22)):
            for flows, burst in ((1, 32), (1024, 32), (65536, 32), (1024, 1), (1024, 64)):
                bench.sample(f"pipeline.{path}", {"flows": flows, "burst": burst, "threads": 1},
                             "ns/packet", base + flows / 10000 + 100 / burst + rep,
                             extra={"tsc_cycles": 50 + rep})


def rates(bench):
    for dut in ("turnpike", "coturn"):
        for payload in (64, 160, 1300):
            for path in ("4to4", "4to6"):
                bench.sample("wire.saturated", {"dut": dut, "payload": payload, "path": path},
                             "packets/s", 1e6, better="higher")


def results(bench, **states):
    return output.results(bench, MACHINE, OPTIONS,
                          states or {"pipeline": "complete", "wire": "complete"})


def test_sweeps_become_a_table_each(bench):
    sweep(bench)
    rows = results(bench)["rows"]
    first, second = tables.plan(rows)
    assert (first.column_axis, first.row_axes, len(first.rows)) == ("flows", [tables.NAME], 6)
    assert (second.column_axis, second.row_axes, len(second.rows)) == ("burst", [tables.NAME], 6)
    assert first.fixed == {"burst": 32, "threads": 1}


def test_a_full_cube_is_one_table(bench):
    rates(bench)
    (only,) = tables.plan(results(bench)["rows"])
    assert only.column_axis == "payload" and only.row_axes == ["dut", "path"]


def test_a_cube_with_holes_is_cut_into_full_slices(bench):
    loads = ["saturated", "10%", "30%", "50%", "70%", "90%"]
    for path in ("4to4", "4to6", "6to4", "6to6"):
        for dut in ("turnpike", "l2fwd", "coturn", "kernel"):
            for load in loads if (path, dut) == ("4to4", "l2fwd") else loads[:1]:
                bench.sample("wire.cpu", {"dut": dut, "path": path, "load": load}, "ns", 1)
    first, second = tables.plan(results(bench)["rows"])
    assert first.fixed == {"load": "saturated"} and len(first.rows) == 16
    assert second.fixed == {"dut": "l2fwd", "path": "4to4"} and second.column_axis == "load"


def test_every_row_is_in_a_table(bench):
    sweep(bench)
    bench.sample("pipeline.up_4to4", {"flows": 7, "burst": 7, "threads": 2}, "ns/packet", 1)
    bench.sample("pipeline.scaling", {"threads": 2}, "x", 1.9, better="higher")
    bench.sample("pipeline.list", {"cpus": [0, 1]}, "ns", 3)
    rows = results(bench)["rows"]
    shown = [row for table in tables.plan(rows) for row in table.rows]
    assert all(row in shown for row in rows)
    assert "cpus 0, 1" in report.markdown(results(bench), [])


@pytest.mark.parametrize("value,want", [
    (0, "0"), (None, "-"), (17.34, "17.3"), (0.5, "0.500"), (1.9849, "1.98"), (118.6, "119"),
    (123456.7, "123 500"), (1234.56, "1 235"), (-0.0123, "-0.0123"), (9.999, "10.0"), (99.96, "100"), (999.6, "1 000"),
])
def test_number(value, want):
    assert tables.number(value) == want


def test_the_report_says_what_there_is(bench):
    sweep(bench)
    base = {"flows": 1024, "burst": 32, "threads": 1}
    bench.sample("pipeline.memcpy", base, "ns/packet", 5)
    bench.reference("pipeline.up_4to4", base, "pipeline.memcpy", base)
    bench.target("worst path, 1k flows", "pipeline.up_4to4", base, 30, 20)
    bench.target("worst path, 1M flows", "pipeline.up_4to4", {"flows": 1 << 20}, 90, 50)
    bench.note("no huge pages here")
    text = report.markdown(results(bench, pipeline="interrupted", wire="not run"),
                           ["pipeline-flows.svg"])
    for want in (
            "**Incomplete.** pipeline: interrupted; wire: not run.",
            "do not quote its figures",
            "| worst path, 1k flows | <= 30.0 | <= 20.0 | 24.2 (23.2-25.2) | ns/packet | **met** |",
            "| worst path, 1M flows | <= 90.0 | <= 50.0 | - |  | **not measured: interrupted** |",
            "| virtualised | KVM |",
            "| turnpike | 0.1.0, abc, modified |",
            "| steal during the run | 0.25 % |",
            "## pipeline (interrupted)",
            "* no huge pages here",
            "![pipeline-flows.svg](pipeline-flows.svg)",
            "**ns/packet, lower is better**: burst 32, threads 1",
            "| what | flows 1 | flows 1024 | flows 65536 |",
            "24.2 (23.2-25.2) **4.65x**",
            "5.00 (5.00-5.00) †",
            "Ratios: this / pipeline.memcpy.",
            "<details><summary>tsc_cycles</summary>",
            "## wire (not run)"):
        assert want in text, want
    assert text.index("## Targets") < text.index("## Machine") < text.index("## pipeline")


def test_extras_that_the_columns_do_not_change_share_a_table(bench):
    for percentile, value in (("p50", 30), ("p99", 90)):
        bench.sample("wire.latency", {"dut": "coturn", "percentile": percentile}, "us", value,
                     extra={"lost": 0.0, "pps": 1000, "why": "text", "samples": value})
    text = report.markdown(results(bench), [])
    assert "<summary>lost, pps</summary>" in text and "| what | lost | pps |" in text
    assert "<summary>samples</summary>" in text and "why" not in text


def test_a_part_that_failed_shows_all_it_said(bench):
    text = report.markdown(results(bench, pipeline="failed: p ended\nno such interface"), [])
    assert "## pipeline (failed: p ended)\n\n```\nfailed: p ended\nno such interface\n```" in text


def test_no_rows_no_plots(bench):
    assert plots.draw(results(bench), bench.out) == []


@pytest.mark.skipif(shutil.which("gnuplot") is None, reason="gnuplot is not installed")
def test_plots_of_the_rows_that_there_are(bench):
    sweep(bench)
    rates(bench)
    for load in ("10%", "90%"):
        bench.sample("wire.latency", {"dut": "it's a \"dut\"", "payload": 64, "path": "4to4",
                                      "load": load, "percentile": "p99"}, "us", 30)
    os.makedirs(bench.out)
    want = {"pipeline-flows.svg": ("up_4to4", "down_4to6", "burst 32"),
            "wire-rates.svg": ("coturn", "1300 bytes", "path 4to4"),
            "wire-latency-p99.svg": ("it's a", "payload 64")}
    assert plots.draw(results(bench), bench.out) == list(want)
    for file, texts in want.items():
        with open(os.path.join(bench.out, file), encoding="utf-8") as opened:
            svg = "".join(xml.etree.ElementTree.fromstring(opened.read()).itertext())
        for text in texts:
            assert text in svg, (file, text)
