# SPDX-License-Identifier: Apache-2.0
"""The Bench that a part is given: runs programs, records samples, references and targets."""
import collections
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time

from . import rows as rows_

STDERR_LINES = 40  # of a program that failed, to show
END_SECONDS = 10  # for a program to clean up after itself


class BenchError(Exception):
    """One line about what went wrong, for whoever runs the benchmark."""


class Bench:
    def __init__(self, source, build, out, quick=False, reps=rows_.MIN_REPS, minutes=None):
        self.source = os.path.abspath(source)
        self.build = os.path.abspath(build)
        self.out = os.path.abspath(out)
        self.quick = quick
        self.reps = max(reps, rows_.MIN_REPS)
        self.minutes = minutes
        self.part = None
        self.rows = {}
        self.targets = []
        self.notes = []
        self.on_change = lambda: None
        self._begin = time.monotonic()
        self._bounce_ns = None

    def start(self, part):
        """A part begins; None: it is over."""
        self.part = part
        self._bounce_ns = None

    # running things

    def progress(self, text):
        """A line on stderr, with the time since the start."""
        seconds = int(time.monotonic() - self._begin)
        where = f"{self.part}: " if self.part else ""
        print(f"[{seconds // 60:3d}:{seconds % 60:02d}] {where}{text}", file=sys.stderr, flush=True)

    def program(self, path):
        """The absolute path of a program in the build directory."""
        path = os.path.join(self.build, path)
        if not os.access(path, os.X_OK):
            raise BenchError(f"{path} is not built")
        return path

    def samples(self, argv, **popen):
        """Run a program and yield its sample dicts; its stderr is shown as it comes.

        It has a process group of its own: Ctrl-C is for us, who end programs in order.
        """
        argv = [str(arg) for arg in argv]
        tail = collections.deque(maxlen=STDERR_LINES)
        group = {} if popen.get("start_new_session") else {"process_group": 0}
        popen = {"stdin": subprocess.DEVNULL, **group, **popen}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace", **popen) as process:
            reader = threading.Thread(target=self._relay_stderr, args=(process.stderr, tail))
            reader.start()
            try:
                for line in process.stdout:
                    if line.strip():
                        yield self._parse(argv, line)
                status = process.wait()
            except BaseException:  # includes Ctrl-C, and a part that stops listening
                self._end(process)
                raise
            finally:
                reader.join()
        if status != 0:
            raise BenchError(self._failed(argv, status, tail))

    def _relay_stderr(self, stream, tail):
        for line in stream:
            tail.append(line.rstrip("\n"))
            self.progress(tail[-1])

    @staticmethod
    def _end(process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # nobody is left in its group
            os.killpg(process.pid, signal.SIGKILL)

    @staticmethod
    def _parse(argv, line):
        try:
            sample = json.loads(line)
        except ValueError:
            sample = None
        if not isinstance(sample, dict):
            raise BenchError(f"{os.path.basename(argv[0])}: not a JSON object: {line.strip()[:200]}")
        return sample

    @staticmethod
    def _failed(argv, status, tail):
        how = f"signal {-status}" if status < 0 else f"status {status}"
        said = ": " + "\n".join(tail) if tail else ""
        return f"{os.path.basename(argv[0])} ended with {how}{said}"

    # recording

    def sample(self, name, params, unit, value, better="lower", extra=None, rep=None):
        """One repetition of a row; the same name and parameters again is the next one.

        rep: which one, from 0, for rows that are not measured in each; it is what ratios pair.
        """
        if better not in ("lower", "higher"):
            raise BenchError(f"{name}: better is 'lower' or 'higher', not {better!r}")
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BenchError(f"{name} {params}: not a measured value: {value!r}")
        row = self.rows.get(rows_.key(name, params))
        if row is None:
            row = rows_.Row(self.part, name, params, unit, better)
            self.rows[row.key()] = row
        if (row.unit, row.better) != (unit, better):
            raise BenchError(f"{name} {params}: {unit} ({better}) after {row.unit} ({row.better})")
        if rep is not None and rep in row.reps:
            raise BenchError(f"{name} {params}: repetition {rep} twice")
        row.add(value, extra, self._bounce_ns, rep)
        self.on_change()

    def bounce(self):
        """Measure the cache-line bounce (~0.1 s); goes with the samples until the next call."""
        self._bounce_ns = None
        for sample in self.samples([self.program("bench/bounce"), "--seconds", "0.1"]):
            self._bounce_ns = sample["value"]
        return self._bounce_ns

    def reference(self, name, params, ref_name, ref_params, invert=False):
        """The row's ratio is to that row: value / reference, or upside down, per repetition."""
        row = self.rows.get(rows_.key(name, params))
        if row is None:
            raise BenchError(f"reference() of a row that has no sample: {name} {params}")
        row.ref = rows_.key(ref_name, ref_params)
        row.invert = invert

    def target(self, what, name, params, must, reach, field="median", better="lower", why=None):
        """A line of the table of targets.

        field: median or max of the row; or, with a reference, the median of ratios to it, or of
        differences from it.  why: what to say if the row is not there.
        """
        if field not in ("median", "max", "ratio", "difference"):
            raise BenchError(f"target {what!r}: no such field: {field!r}")
        self.targets.append({
            "part": self.part, "what": what, "name": name, "params": dict(params), "must": must,
            "reach": reach, "field": field, "better": better, "why": why,
        })
        self.on_change()

    def note(self, text):
        """Goes to the report, under the part."""
        self.notes.append({"part": self.part, "text": text})
        self.progress(text)
        self.on_change()
