# SPDX-License-Identifier: Apache-2.0
"""The command line: which parts to run, how, and where the results go."""
import argparse
import importlib
import os
import pkgutil
import signal
import sys
import traceback

import bench.parts

from . import machine, output, rows
from .bench import Bench, BenchError

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ORDER = ("pipeline", "kernel_xdp", "wire", "dpdk", "control", "million", "idle", "soak")
ON_REQUEST = ("soak",)  # unless named, or --minutes says that it is meant


def known_parts():
    """The parts that exist."""
    names = {module.name for module in pkgutil.iter_modules(bench.parts.__path__)}
    return [part for part in ORDER if part in names]


def load(name):
    return importlib.import_module(f"bench.parts.{name}")


def number(text, least, what, kind=int):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not least <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: want {what} of at least {least}")
    return value


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="bench/run.sh", allow_abbrev=False,
        description="Measures turnpike and, beside it, the alternatives; writes results.json, "
        "report.md and plots.")
    parser.add_argument("--only", metavar="PART[,PART]", help="these parts; see --list")
    parser.add_argument("--quick", action="store_true",
                        help="shorter: to see that all works, not to quote")
    parser.add_argument("--out", metavar="DIR", help="default: build-bench/results-DATE")
    parser.add_argument("--reps", metavar="N", default=rows.MIN_REPS,
                        type=lambda text: number(text, rows.MIN_REPS, "a number of repetitions"),
                        help=f"repetitions of everything; default and least: {rows.MIN_REPS}")
    parser.add_argument("--minutes", metavar="N",
                        type=lambda text: number(text, 0.1, "minutes", float),
                        help="how long to soak; without it and not named, there is no soak")
    parser.add_argument("--list", action="store_true", help="list the parts and stop")
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--build", metavar="DIR", default=os.path.join(SOURCE, "build-bench"),
                        help=argparse.SUPPRESS)
    return parser, parser.parse_args(argv)


def chosen(parser, args):
    known = known_parts()
    if args.only is None:
        return [p for p in known if p not in ON_REQUEST or args.minutes is not None]
    wanted = [p for p in args.only.split(",") if p]
    for part in wanted:
        if part not in known:
            parser.error(f"no such part: {part}; there are: {' '.join(known)}")
    if not wanted:
        parser.error(f"--only wants one of: {' '.join(known)}")
    return [p for p in known if p in wanted]


class Run:
    """One run of several parts; everything measured so far is always in results.json."""

    def __init__(self, shared, parts, options):
        self.bench = shared
        self.state = {part: "not run" for part in parts}
        self.options = options
        self.machine = machine.describe(shared.source, shared.build)
        self.steal = machine.Steal()
        self.writer = output.Writer(shared.out, self.results)
        shared.on_change = self.writer.changed

    def results(self):
        return output.results(self.bench, {**self.machine, "steal_percent": self.steal.percent()},
                              self.options, self.state)

    def part(self, name):
        """Run one part; true if it went through."""
        self.bench.start(name)
        self.state[name] = "incomplete"
        try:
            load(name).run(self.bench)
            self.state[name] = "complete"
        except KeyboardInterrupt:
            self.state[name] = "interrupted"
            raise
        except BenchError as err:
            self.state[name] = f"failed: {err}"
            self.bench.progress(self.state[name])
        except Exception as err:  # a part's own mistake ends that part only
            self.state[name] = f"failed: {type(err).__name__}: {err}"
            self.bench.progress(traceback.format_exc())
        finally:
            self.bench.start(None)
            self.writer.flush()
        return self.state[name] == "complete"

    def all(self):
        status = 0
        try:
            for name in self.state:
                if not self.part(name):
                    status = 1
        except KeyboardInterrupt:
            self.bench.progress("interrupted; what was measured is written, marked incomplete")
            status = 130
        for path in self.writer.finish():
            self.bench.progress(f"wrote {path}")
        return status


def interrupt(_signal, _frame):
    """As for Ctrl-C, so that every `finally` runs; once, so that nothing cuts them short."""
    for number_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(argv=None):
    parser, args = arguments(argv)
    if args.list:
        for part in known_parts():
            print(f"{part:12} {load(part).HELP}")
        return 0
    parts = chosen(parser, args)
    if args.check:
        return 0
    if not os.path.exists(os.path.join(args.build, "build.ninja")):
        parser.error(f"{args.build} is no build directory; bench/run.sh makes one")
    for number_ in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, interrupt)
    out = args.out or os.path.join(args.build, f"results-{machine.now():%Y%m%d-%H%M%S}")
    shared = Bench(SOURCE, args.build, out, args.quick, args.reps, args.minutes)
    options = {"quick": args.quick, "reps": args.reps, "minutes": args.minutes, "parts": parts}
    try:
        run = Run(shared, parts, options)
    except OSError as err:
        print(f"bench: {err}", file=sys.stderr)
        return 1
    return run.all()
