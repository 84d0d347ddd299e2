# SPDX-License-Identifier: Apache-2.0
"""results.json as it grows, then the report and the plots."""
import json
import os
import time

from . import plots, report, targets

SCHEMA = "turnpike-bench-1"
EVERY_SECONDS = 20.0  # writing takes milliseconds of a core that is being measured


def results(bench, machine, options, states):
    """The whole of results.json."""
    rows = [row.result(bench.rows) for row in bench.rows.values()]
    complete = all(state == "complete" for state in states.values())
    return {
        "schema": SCHEMA,
        "complete": complete,
        "options": options,
        "parts": dict(states),
        "machine": machine,
        "rows": rows,
        "targets": targets.judge(bench.targets, rows, states, bench.notes),
        "notes": list(bench.notes),
    }


def write(path, text):
    """Whole or not at all: a run that is killed leaves the previous version."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


class Writer:
    def __init__(self, out, make):
        os.makedirs(out, exist_ok=True)
        self.out = out
        self.make = make
        self._due = 0.0
        self.flush()

    def changed(self):
        """Write, but not at every sample."""
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self):
        out = self.make()
        write(os.path.join(self.out, "results.json"), json.dumps(out, indent=1) + "\n")
        self._due = time.monotonic() + EVERY_SECONDS
        return out

    def finish(self):
        """The paths of everything written."""
        out = self.flush()
        files = plots.draw(out, self.out)
        write(os.path.join(self.out, "report.md"), report.markdown(out, files))
        return [os.path.join(self.out, f) for f in ("results.json", "report.md", *files)]
