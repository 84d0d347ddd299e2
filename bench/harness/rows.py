# SPDX-License-Identifier: Apache-2.0
"""Rows of results: repetitions of one measurement, and ratios to another row."""
import json
import statistics

MIN_REPS = 3


def key(name, params):
    """What makes a row the same row: its name and its parameters, in whatever order."""
    return name, json.dumps(params, sort_keys=True)


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


class Row:
    def __init__(self, part, name, params, unit, better):
        self.part = part
        self.name = name
        self.params = dict(params)
        self.unit = unit
        self.better = better
        self.values = []
        self.reps = []  # of which repetition each value is
        self.extra = []
        self.bounce_ns = []
        self.ref = None  # another Row's key, and whether the ratio is upside down
        self.invert = False

    def key(self):
        return key(self.name, self.params)

    def add(self, value, extra, bounce_ns, rep=None):
        self.reps.append(len(self.values) if rep is None else rep)
        self.values.append(value)
        self.extra.append(extra or {})
        self.bounce_ns.append(bounce_ns)

    def _pairs(self, rows):
        """Each repetition with the same one of the reference, where both were measured."""
        ref = rows.get(self.ref)
        if ref is None:
            return []
        others = dict(zip(ref.reps, ref.values))
        return [(own, others[rep]) for rep, own in zip(self.reps, self.values) if rep in others]

    def ratios(self, rows):
        pairs = self._pairs(rows)
        if self.invert:
            return [other / own for own, other in pairs if own]
        return [own / other for own, other in pairs if other]

    def differences(self, rows):
        """How much more than the reference, in the row's unit; none if that has another."""
        ref = rows.get(self.ref)
        if ref is None or ref.unit != self.unit:
            return []
        return [own - other for own, other in self._pairs(rows)]

    def result(self, rows):
        """As in results.json."""
        out = {
            "part": self.part,
            "name": self.name,
            "params": self.params,
            "unit": self.unit,
            "better": self.better,
            "values": self.values,
            "repetitions": self.reps,
            **spread(self.values),
            "extra": self.extra,
            "bounce_ns": self.bounce_ns,
        }
        if len(self.values) < MIN_REPS:
            out["too_few"] = True
        if self.ref is not None:
            out["reference"] = {"name": self.ref[0], "params": json.loads(self.ref[1])}
            out["ratio_inverted"] = self.invert
        ratios = self.ratios(rows)
        if ratios:
            out["ratio"] = {"values": ratios, **spread(ratios)}
        differences = self.differences(rows)
        if differences:
            out["difference"] = {"values": differences, **spread(differences)}
        return out
