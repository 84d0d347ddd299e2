# SPDX-License-Identifier: Apache-2.0
"""SVG plots of rows that exist, drawn by gnuplot; a plot without data is not made."""
import collections
import os
import shutil
import subprocess
import sys

from . import tables

STYLE = """set terminal svg size 800,500 font 'sans-serif,13' background '#ffffff'
set key outside right top
set grid ytics lc '#dddddd'
set border 3
set tics nomirror
set encoding utf8
set format y '%g'
"""
# Distinguishable by colour-blind readers too (Okabe and Ito), then by line type.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")


def quote(text):
    return "'" + str(text).replace("'", "''") + "'"


def data(name, lines):
    """An inline data block of gnuplot."""
    body = "\n".join(" ".join(str(cell) for cell in line) for line in lines)
    return f"${name} << EOD\n{body}\nEOD\n"


OVER_FLOWS = ("set logscale x\nset yrange [0:*]\n"
              "set offsets graph 0.05, graph 0.05, graph 0.05, 0\n")
OVER_LOAD = "set logscale y\nset xrange [0:100]\n"


def line_chart(title, x_label, y_label, series, scales=OVER_FLOWS):
    """series: {label: [(x, median, min, max)]}, with the spread as error bars."""
    blocks, curves = [], []
    for number, (label, points) in enumerate(series.items()):
        blocks.append(data(f"d{number}", sorted(points)))
        look = (f"lc rgb '{COLOURS[number % len(COLOURS)]}' "
                f"dt {number // len(COLOURS) + 1} lw 2 pt {number % 15 + 1} ps 0.6")
        curves.append(f"$d{number} using 1:2:3:4 with yerrorlines {look} title {quote(label)}")
    return (STYLE + f"set title {quote(title)} noenhanced\nset key noenhanced\n"
            f"set xlabel {quote(x_label)} noenhanced\nset ylabel {quote(y_label)} noenhanced\n"
            + scales + "".join(blocks) + "plot " + ", ".join(curves) + "\n")


def bar_chart(title, y_label, clusters, series):
    """series: {label: [(median, min, max) or None, one for each cluster]}."""
    blocks, curves = [], []
    width = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        shift = (number - (len(series) - 1) / 2) * width
        blocks.append(data(f"d{number}", [(at + shift, *value) for at, value in enumerate(values)
                                          if value is not None]))
        colour = COLOURS[number % len(COLOURS)]
        curves.append(f"$d{number} using 1:2:({width * 0.9}) with boxes fs solid 0.8 "
                      f"lc rgb '{colour}' title {quote(label)}")
        curves.append(f"$d{number} using 1:2:3:4 with yerrorbars lc rgb '#000000' pt 0 notitle")
    tics = ", ".join(f"{quote(cluster)} {at}" for at, cluster in enumerate(clusters))
    return (STYLE + f"set title {quote(title)} noenhanced\nset key noenhanced\n"
            f"set xtics ({tics}) noenhanced\n"
            f"set ylabel {quote(y_label)} noenhanced\nset yrange [0:*]\n"
            f"set xrange [-0.6:{len(clusters) - 0.4}]\n"
            + "".join(blocks) + "plot " + ", ".join(curves) + "\n")


def spread(row, scale=1.0):
    return tuple(row[field] * scale for field in ("median", "min", "max"))


def at_usual(rows, *but):
    """The rows of the slice with the most of them, where only these parameters vary."""
    slices = collections.OrderedDict()
    for row in rows:
        at = tuple(sorted((k, str(v)) for k, v in row["params"].items() if k not in but))
        slices.setdefault(at, []).append(row)
    return max(slices.values(), key=len, default=[])


def titled(text, row, *but):
    """A title that names the parameters all rows share."""
    fixed = ", ".join(f"{k} {tables.show_value(v)}" for k, v in row["params"].items()
                      if k not in but)
    return f"{text} ({fixed})" if fixed else text


def flows_plot(rows, part):
    """ns a packet over the number of flows, for each path; the other parameters as usual."""
    rows = [r for r in rows if r["part"] == part and "flows" in r["params"] and
            r["unit"].startswith("ns")]
    rows = at_usual(rows, "flows")
    series = {}
    for row in rows:
        label = row["name"].removeprefix(f"{part}.")
        series.setdefault(label, []).append((row["params"]["flows"], *spread(row)))
    series = {label: points for label, points in series.items() if len(points) > 1}
    if not series:
        return None
    return line_chart(titled(f"{part}: cost of a packet", rows[0], "flows"), "flows",
                      rows[0]["unit"], series)


def rates_plot(rows):
    """What each device relays when saturated, by payload; of one path."""
    rows = [r for r in rows if r["name"] == "wire.saturated"]
    rows = at_usual(rows, "dut", "payload")
    if not rows:
        return None
    payloads = tables.distinct(rows, "payload")
    series = {}
    for row in rows:
        bars = series.setdefault(row["params"]["dut"], [None] * len(payloads))
        bars[payloads.index(row["params"]["payload"])] = spread(row, 1e-6)
    return bar_chart(titled("wire: saturated rate", rows[0], "dut", "payload"), "Mpps",
                     [f"{payload} bytes" for payload in payloads], series)


def latency_plot(rows, percentile):
    """Latency over the share of the device's own rate; of one path and payload."""
    rows = [r for r in rows if r["name"] == "wire.latency" and
            r["params"]["percentile"] == percentile]
    rows = at_usual(rows, "dut", "load")
    series = {}
    for row in rows:
        load = float(row["params"]["load"].rstrip("%"))
        series.setdefault(row["params"]["dut"], []).append((load, *spread(row)))
    if not series:
        return None
    return line_chart(titled("wire: one-way latency", rows[0], "dut", "load"),
                      "load, % of the device's own no-drop rate", rows[0]["unit"], series,
                      OVER_LOAD)


def scripts(rows):
    """{file: script or None}."""
    out = {f"{part}-flows.svg": flows_plot(rows, part) for part in ("pipeline", "kernel_xdp")}
    out["wire-rates.svg"] = rates_plot(rows)
    for percentile in ("p50", "p99", "p99.9"):
        out[f"wire-latency-{percentile}.svg"] = latency_plot(rows, percentile)
    return out


def draw(results, out):
    """The names of the files that were drawn."""
    gnuplot = shutil.which("gnuplot")
    files = []
    for name, script in scripts(results["rows"]).items():
        if script is None or gnuplot is None:
            continue
        path = os.path.join(out, name)
        done = subprocess.run([gnuplot, "-"], input=f"set output {quote(path)}\n{script}",
                              text=True, capture_output=True, check=False)
        if done.returncode == 0:
            files.append(name)
        else:
            print(f"{name}: gnuplot: {done.stderr.strip()}", file=sys.stderr)
    return files
