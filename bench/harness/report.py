# SPDX-License-Identifier: Apache-2.0
"""report.md: the machine, the targets, then every part; nothing that is not in results.json."""
import statistics

from . import rows as rows_
from . import tables

MAX_SAID = 4  # references of a table
SIGN = {"lower": "<=", "higher": ">="}


def limit(target, name):
    value = target[name]
    return "" if value is None else f"{SIGN[target['better']]} {tables.number(value)}"


def targets_section(results):
    if not results["targets"]:
        return []
    lines = [["what", "must", "reach for", "measured", "", "verdict"]]
    for target in results["targets"]:
        measured = "-"
        if target["measured"] is not None:
            measured = (f"{tables.number(target['measured'])} "
                        f"({tables.number(target['min'])}-{tables.number(target['max'])})")
        verdict = target["verdict"]
        lines.append([target["what"], limit(target, "must"), limit(target, "reach"), measured,
                      target["unit"], verdict if verdict == "reached" else f"**{verdict}**"])
    return ["## Targets", "", *tables.markdown(lines), ""]


def machine_section(results):
    machine, build = results["machine"], results["machine"]["build"]
    cpu, memory, kernel = machine["cpu"], machine["memory"], machine["kernel"]
    commit = build["commit"] or "not a git checkout"
    flaws = "; ".join(f"{k}: {v}" for k, v in kernel["mitigations"].items())
    rows = [
        ["", ""],
        ["date", machine["date"]],
        ["CPU", f"{cpu['model']} (family/model/stepping {cpu['family']})"],
        ["cores", f"{cpu['cores']}, {'SMT' if cpu['smt'] else 'no SMT'}, "
                  f"{cpu['numa_nodes']} NUMA node(s)"],
        ["caches", ", ".join(f"{k} {v}" for k, v in cpu["cache"].items())],
        ["virtualised", cpu["hypervisor"] or "no"],
        ["frequency governor", cpu["governor"] or "none"],
        ["memory", f"{memory['total_mb']} MB, transparent huge pages {memory['thp']}, "
                   f"{memory['huge_pages']} huge pages reserved"],
        ["kernel", f"{kernel['release']} {kernel['arch']} {' '.join(kernel['cmdline'])}"],
        ["mitigations", flaws or "nothing to mitigate"],
        ["turnpike", f"{build['version']}, {commit}" + (", modified" if build["dirty"] else "")],
        ["build", " ".join(f"{k}={v}" for k, v in build["options"].items() if v != [])],
        ["compilers", "; ".join(f"{k}: {v}" for k, v in build["compilers"].items() if v)],
        ["flags", f"`{' '.join(build['flags'])}`" if build["flags"] else "unknown"],
        ["load average at the start", machine["load_at_start"]],
        ["steal during the run", f"{machine['steal_percent']} %"],
        ["bounce during the run", bounces(results["rows"]) or "not measured"],
    ]
    return ["## Machine", "", *tables.markdown(rows), ""]


def bounces(rows):
    """Of the cache line between cores, over these rows."""
    values = [b for row in rows for b in row["bounce_ns"] if b is not None]
    if not values:
        return None
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{low:.0f}-{high:.0f} ns, median {middle:.0f} ns"


def caption(tab, part):
    names = list(dict.fromkeys(row["name"] for row in tab.rows))
    what = names[0].removeprefix(f"{part}.") if len(names) == 1 else ""
    fixed = ", ".join(f"{k} {tables.show_value(v)}" for k, v in tab.fixed.items())
    better = {row["better"] for row in tab.rows}
    unit = tab.rows[0]["unit"] + (f", {better.pop()} is better" if len(better) == 1 else "")
    return f"**{what or unit}**" + (f" [{unit}]" if what else "") + (f": {fixed}" if fixed else "")


def references(tab):
    """What the ratios of a table are to."""
    said = {}
    for row in tab.rows:
        to = row.get("reference")
        if "ratio" in row and (to["name"], to["params"]) != (row["name"], row["params"]):
            differs = [f"{k} {tables.show_value(v)}" for k, v in to["params"].items()
                       if row["params"].get(k, tables.NAME) != v]
            text = " ".join([to["name"], *([f"({', '.join(differs)})"] if differs else [])])
            said[f"{text} / this" if row["ratio_inverted"] else f"this / {text}"] = 1
    if len(said) > MAX_SAID:
        said = [list(said)[0], f"and so on, {len(said)} references"]
    return [f"Ratios: {'; '.join(said)}.", ""] if said else []


def table_section(tab, part):
    lines = [caption(tab, part), "", *tables.pivot(tab, tables.cell, part), ""]
    lines += references(tab)
    bounce = bounces(tab.rows)
    if bounce:
        lines += [f"Cache-line bounce beside these rows: {bounce}.", ""]
    return lines + extras_section(tab, part)


def extras_section(tab, part):
    """What programs measured besides; folded.  One table for all that the columns do not change."""
    names = tables.extras(tab.rows)
    flat = [name for name in names if tables.is_flat(tab, name)]
    lines = []
    if flat:
        lines += ["<details><summary>" + ", ".join(flat) + "</summary>", "",
                  *tables.extras_table(tab, flat, part), "", "</details>", ""]
    for name in names:
        if name not in flat:
            lines += [f"<details><summary>{name}</summary>", "",
                      *tables.pivot(tab, tables.extra_cell(name), part), "", "</details>", ""]
    return lines


def part_section(results, part, plots):
    state = results["parts"][part]
    lines = [f"## {part}" + ("" if state == "complete" else f" ({state.splitlines()[0]})"), ""]
    if "\n" in state:
        lines += ["```", state, "```", ""]
    for note in results["notes"]:
        if note["part"] == part:
            lines += [f"* {note['text']}"]
    lines += [""] if lines[-1] else []
    for plot in plots:
        if plot.startswith(f"{part}-"):
            lines += [f"![{plot}]({plot})", ""]
    rows = [row for row in results["rows"] if row["part"] == part]
    for tab in tables.plan(rows):
        lines += table_section(tab, part)
    return lines


def markdown(results, plots):
    options = results["options"]
    lines = ["# turnpike benchmark", ""]
    if not results["complete"]:
        states = [f"{p}: {s.splitlines()[0]}" for p, s in results["parts"].items()
                  if s != "complete"]
        lines += [f"**Incomplete.** {'; '.join(states)}.", ""]
    if options["quick"]:
        lines += ["**A quick run**: it shows that all works; do not quote its figures.", ""]
    lines += ["Figures are median (min-max) of the repetitions, rounded; **0.97x** "
              "is the median of the ratios to the reference, each of one repetition. All values "
              "are in results.json.", ""]
    if any(row.get("too_few") for row in results["rows"]):
        lines += [f"† fewer than {rows_.MIN_REPS} repetitions: the spread says little.", ""]
    lines += targets_section(results) + machine_section(results)
    for part in results["parts"]:
        lines += part_section(results, part, plots)
    return "\n".join(lines).rstrip("\n") + "\n"
