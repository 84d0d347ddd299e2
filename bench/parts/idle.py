# SPDX-License-Identifier: Apache-2.0
"""What turnpike takes when nothing is to be done: CPU time of its threads, from the kernel's account.

Nobody sends anything to the interface; with allocations held, their clients have just made them, so
that none is due to be refreshed.  The kernel's own work for the threads' timers (softirq) is not in
a thread's time.
"""
import os
import tempfile
import time

from bench.client import servers
from bench.wire.measure import out_of_the_way
from bench.wire.rig import sweep

HELP = "CPU time of an adaptive worker and of the control thread with nothing to do"

HELD = 10000
SETTLE_SEC = 1.0  # after the last request, before it counts as idle
WORKER = "rte-worker"  # how DPDK names its threads


def kind(server, tid, name):
    """Of a thread: `control` is the process's first."""
    if tid == server.process.pid:
        return "control"
    return "worker" if name.startswith(WORKER) else "other"


def measure(b, server, allocations, seconds):
    time.sleep(SETTLE_SEC)
    meter = servers.Meter(server.process.pid)
    switches = voluntary_switches(server.process.pid)
    time.sleep(seconds)
    threads, _ = meter.percent()
    wakes = voluntary_switches(server.process.pid)
    totals = dict.fromkeys(("worker", "control", "other"), 0.0)
    for tid, (name, percent) in threads.items():
        totals[kind(server, tid, name)] += percent
    wakeups = sum(n - switches.get(tid, 0) for tid, n in wakes.items()) / seconds
    for thread, percent in totals.items():
        b.sample("idle.cpu", params(thread, allocations), "% of a core", percent, "lower",
                 {"wakeups_per_sec_of_all": round(wakeups, 1)})
    b.progress(f"{allocations} allocations: worker {totals['worker']:.3f} %, "
               f"control {totals['control']:.3f} %")


def params(thread, allocations):
    return {"thread": thread, "mode": "copy", "idle": "adaptive", "allocations": allocations}


def voluntary_switches(pid):
    """How often each thread went to sleep."""
    counts = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status", encoding="utf-8") as file:
            for line in file:
                if line.startswith("voluntary_ctxt_switches:"):
                    counts[tid] = int(line.split()[1])
    return counts


def run(b):
    if not servers.has_two_cpus(b):
        return
    sweep()
    seconds = 5 if b.quick else 10
    for allocations, what in ((0, "idle adaptive worker"),
                              (HELD, f"the same with {HELD} allocations")):
        b.target(what, "idle.cpu", params("worker", allocations), 2, 0.5)
    with tempfile.TemporaryDirectory(prefix=f"tpb{os.getpid()}-") as directory:
        with servers.standing(servers.Turnpike, b, directory, "copy",
                              {"allocations": HELD, "channels": HELD}) as server:
            for _ in range(b.reps):
                with out_of_the_way():
                    measure(b, server, 0, seconds)
                    held = servers.Held(server, HELD)
                    measure(b, server, HELD, seconds)
                    held.release()
