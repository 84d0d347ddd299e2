# SPDX-License-Identifier: Apache-2.0
"""The worker's own cost per packet: frames in memory, no kernel, no NIC."""
import statistics

HELP = "classify, look up, rewrite: ns per packet on frames in memory, and with several threads"

PROGRAM = "bench/pipeline/pipeline"
TOUCH = ("floor.touch", {})
EIGHT = [f"{way}_{pair}" for way in ("up", "down") for pair in ("4to4", "4to6", "6to4", "6to6")]
TARGETS = (  # flows, must, reach: ns per packet
    (1024, 30, 20),
    (65536, 45, 30),
    (1048576, 90, 50),
)
THREADS = {"must": 1.9, "reach": 1.98}
UNDISTURBED = 96  # percent of its CPU that a reader has at least, with the writer beside it


def _argv(b, only, reps):
    return [b.program(PROGRAM), "--only", only, "--reps", reps] + (["--quick"] if b.quick else [])


def _record(b, sample, better, seen):
    b.sample(sample["name"], sample["params"], sample["unit"], sample["value"], better,
             sample.get("extra"))
    key = (sample["name"], tuple(sorted(sample["params"].items())))
    seen.setdefault(key, (sample["name"], sample["params"], []))[2].append(sample["value"])


def _one_thread(b):
    seen = {}
    for sample in b.samples(_argv(b, "paths,bursts,floors", b.reps)):
        _record(b, sample, "lower", seen)
    for name, params, _ in seen.values():
        if name.startswith("pipeline."):
            b.reference(name, params, *TOUCH)
    return seen


def _targets(b, seen):
    for flows, must, reach in TARGETS:
        params = {"flows": flows, "burst": 32}
        medians = {}
        for path in EIGHT:
            row = seen[f"pipeline.{path}", tuple(sorted(params.items()))]
            medians[path] = statistics.median(row[2])
        worst = max(medians, key=medians.get)
        b.target(f"pipeline, worst of the eight paths ({worst}), {flows} flows, ns/packet",
                 f"pipeline.{worst}", params, must, reach)


def _threads(b):
    seen = {}
    least = 100
    for _ in range(b.reps):
        b.bounce()
        for sample in b.samples(_argv(b, "threads", 1)):
            _record(b, sample, "higher", seen)
            least = min(least, sample["extra"]["cpu_percent"])
    if least < UNDISTURBED:
        b.note(f"threads: something else was running, readers had down to {least:.0f} % of their "
               "CPUs: their rates and ratios by the clock on the wall are worth nothing")
    for name, params, _ in seen.values():
        b.reference(name, params, name, {**params, "threads": 1})
        if params["threads"] == 2:
            b.target(f"pipeline, 2 threads on one table under churn, of 1, {params['flows']} flows",
                     name, params, field="ratio", better="higher", **THREADS)
    if not any(params["threads"] == 2 for _, params, _ in seen.values()):
        b.note("two threads: not measured, the process may use one CPU only")


def run(b):
    seen = _one_thread(b)
    _targets(b, seen)
    _threads(b)
    b.note("A value is the median over rings of 2048 frames; `mean` beside it has all that the host "
           "and other processes took. Filling the ring is not timed; it leaves frames in the L2 and "
           "L3 caches, as DMA with DDIO does in L3.")
