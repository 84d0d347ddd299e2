# SPDX-License-Identifier: Apache-2.0
"""The other way to build a relay: a program in the kernel, measured in turn with the pipeline."""
import os
import statistics

HELP = "an in-kernel XDP relay by BPF_PROG_TEST_RUN, in turn with the pipeline on the same packets"

EIGHT = [f"{way}_{pair}" for way in ("up", "down") for pair in ("4to4", "4to6", "6to4", "6to6")]
TARGETS = {1024: (3, 5), 65536: (6, 10)}  # flows: times cheaper that we must be, and want to be
MILLION = 1048576
MILLION_BYTES = 4 << 30  # what its maps and tables may take, with room


def _flows(b):
    flows = sorted(TARGETS)
    if b.quick:
        return flows
    with open("/proc/meminfo", encoding="ascii") as lines:
        available = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    if available * 1024 < MILLION_BYTES:
        b.note(f"{MILLION} flows: not measured, less than 4 GiB of memory are available")
        return flows
    return flows + [MILLION]


def _only(b, program, argv):
    quick = ["--quick"] if b.quick else []
    samples = list(b.samples([b.program(program), *argv, "--reps", 1, *quick]))
    return samples[0]


def _pair(b, path, flows, cpu):
    """One sample of each, one right after the other.  Returns how many times cheaper we are."""
    where = ["--path", path, "--flows", flows, "--cpu", cpu]
    theirs = _only(b, "bench/kernel_xdp/kernel_xdp", ["test-run", *where])
    ours = _only(b, "bench/pipeline/pipeline", ["--only", "paths", *where])
    params = {"flows": flows}
    b.sample(f"kernel_xdp.{path}", params, theirs["unit"], theirs["value"], extra=theirs["extra"])
    b.sample(f"kernel_xdp.pipeline.{path}", params, ours["unit"], ours["value"],
             extra=ours["extra"])
    b.reference(f"kernel_xdp.{path}", params, f"kernel_xdp.pipeline.{path}", params)
    return theirs["value"] / ours["value"]


def _sum_up(b, flows, ratios):
    medians = {path: statistics.median(of_path) for path, of_path in ratios.items()}
    worst = min(medians, key=medians.get)
    b.note(f"{flows} flows: the pipeline is {statistics.median(medians.values()):.2f} times cheaper "
           f"than the in-kernel relay, median of the eight paths; worst {medians[worst]:.2f} "
           f"({worst}), best {max(medians.values()):.2f}")
    if flows in TARGETS:
        must, reach = TARGETS[flows]
        b.target(f"pipeline vs the in-kernel relay, worst of the eight paths ({worst}), "
                 f"{flows} flows, times cheaper", f"kernel_xdp.{worst}", {"flows": flows}, must,
                 reach, field="ratio", better="higher")


def _kernel_setting(name):
    with open(f"/proc/sys/net/core/{name}", encoding="ascii") as setting:
        return int(setting.read())


def _can_run(b):
    if os.geteuid() != 0:
        b.note("not measured: to load a BPF program wants root")
        return False
    if _kernel_setting("bpf_jit_enable") == 0:
        b.note("net.core.bpf_jit_enable is 0: the in-kernel relay is interpreted, ratios flatter us")
    if _kernel_setting("bpf_jit_harden") != 0:
        b.note("net.core.bpf_jit_harden is on: the in-kernel relay is slower than it could be")
    return True


def run(b):
    if not _can_run(b):
        return
    cpu = max(os.sched_getaffinity(0))
    flows = _flows(b)
    ratios = {n: {path: [] for path in EIGHT} for n in flows}
    for _ in range(b.reps):
        for n in flows:
            for path in EIGHT:
                ratios[n][path].append(_pair(b, path, n, cpu))
    for n in flows:
        _sum_up(b, n, ratios[n])
    b.note("The in-kernel relay's figure is net of the prologue that puts the next frame in place "
           "(raw, prologue and an empty program are beside it), and all its packets are in one "
           "frame in the L1 cache, which no relay has; the pipeline's are in a ring of 2048.")
