# SPDX-License-Identifier: Apache-2.0
"""What was to be reached, what was measured, and by how much it was missed."""
from . import rows as rows_


def measured(target, by_key):
    """The figure of a target in a row of results, with its spread; or None."""
    row = by_key.get(rows_.key(target["name"], target["params"]))
    if row is None:
        return None
    of = row.get(target["field"]) if target["field"] in ("ratio", "difference") else row
    return of and {
        "measured": of["max" if target["field"] == "max" else "median"],
        "min": of["min"],
        "max": of["max"],
    }


def missed_by(value, limit, better):
    """How far the value is beyond the limit, as a part of the limit; <= 0: it is not."""
    if better == "lower":
        return (value - limit) / limit if limit else (1.0 if value > limit else 0.0)
    return (limit - value) / limit if limit else (1.0 if value < limit else 0.0)


def verdict(value, target):
    """"reached", "met", or "missed by 12 %"."""
    better = target["better"]
    if target["reach"] is not None and missed_by(value, target["reach"], better) <= 0:
        return "reached"
    miss = missed_by(value, target["must"], better)
    if miss <= 0:
        return "met"
    return f"missed by {max(miss * 100, 0.1):.{0 if miss >= 0.01 else 1}f} %"


def why_not(target, by_key, part_state, notes):
    """Why there is no figure: what the part knows, else how it ended, else its last note."""
    row = by_key.get(rows_.key(target["name"], target["params"]))
    if target["why"]:
        return target["why"]
    if part_state != "complete":
        return f"the part is {part_state}" if part_state == "incomplete" else part_state
    if row is not None:
        return f"the row has no {target['field']}: its reference was not measured"
    texts = [note["text"] for note in notes if note["part"] == target["part"]]
    return texts[-1] if texts else "the part recorded no such row"


def judge(targets, result_rows, states, notes):
    """Every target with what was measured and the verdict, as in results.json."""
    by_key = {rows_.key(row["name"], row["params"]): row for row in result_rows}
    out = []
    for target in targets:
        figure = measured(target, by_key)
        row = by_key.get(rows_.key(target["name"], target["params"]))
        if figure is None:
            why = why_not(target, by_key, states.get(target["part"], "not run"), notes)
            text = f"not measured: {why.splitlines()[0]}"
        else:
            text = verdict(figure["measured"], target)
            if row.get("too_few"):
                text += f" (only {len(row['values'])} of {rows_.MIN_REPS} repetitions)"
        unit = "x" if target["field"] == "ratio" else row["unit"] if row else ""
        entry = {k: target[k] for k in ("part", "what", "name", "params", "field", "better",
                                        "must", "reach")}
        empty = {"measured": None, "min": None, "max": None}
        out.append({**entry, "unit": unit, **(figure or empty), "verdict": text})
    return out
