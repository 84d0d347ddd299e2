# SPDX-License-Identifier: Apache-2.0
"""TURN servers whose control plane is looked at: turnpike and coturn, each in a rig of its own, and
what /proc tells of them.

    with standing(Turnpike, b, directory, "copy", limits) as server: ...
"""
import contextlib
import os
import time

from bench.wire import duts
from bench.wire.rig import DUT_CPU, LOAD_CPU, PEER, SERVER

# Clients beyond the rig's own: every address of these prefixes is local to `out` by its route.
CLIENTS = {4: "198.19.0.0/16", 6: "2001:2:0:1::/64"}
GATEWAY = {4: "198.18.0.2", 6: "2001:2::2"}
PORTS = {"min": 10240, "max": 65535}  # as wide as 50,000 allocations need
HAS_SLACK_PERCENT = 95  # of a core: below it, more would have been possible
_TICK = os.sysconf("SC_CLK_TCK")


def add_clients(rig):
    """Addresses for tens of thousands of clients, without as many interfaces' addresses."""
    for family, prefix in CLIENTS.items():
        rig.ip("out", f"-{family}", "route", "add", "local", prefix, "dev", "lo")
        rig.ip("dut", f"-{family}", "route", "add", prefix, "via", GATEWAY[family])


def has_two_cpus(b):
    """Are there the two CPUs that the rig pins to?  If not, the report says so."""
    if {LOAD_CPU, DUT_CPU} <= os.sched_getaffinity(0):
        return True
    b.note(f"not measured: needs CPUs {LOAD_CPU} and {DUT_CPU}, the clients' and the server's")
    return False


@contextlib.contextmanager
def standing(kind, *args, **options):
    server = kind(*args, **options)
    try:
        add_clients(server.rig)
        yield server
    finally:
        server.close()


class Turnpike(duts.Turnpike):
    """Its control thread alone on the CPU under test, but for a worker that has nothing to do; or,
    if so wanted, elsewhere."""

    def __init__(self, bench, directory, mode, limits, control_cpu=DUT_CPU):
        self.limits = limits
        self.control_cpu = control_cpu
        super().__init__(bench, directory, 0, mode)

    def make_flows(self):
        """None: its clients come later."""

    def _conf(self):
        conf = super()._conf()
        conf["relay"]["ports"] = PORTS
        conf["limits"] = {**duts.UNLIMITED, **self.limits}
        conf["control"]["cpu"] = self.control_cpu
        return conf


class Coturn(duts.Coturn):
    def make_flows(self):
        """None: its clients come later."""


def client(server, program, family=4, *options):
    """Start one of bench/client's programs against a server."""
    return server.rig.start("out", [
        server.bench.program(f"bench/client/{program}"), "--server", SERVER[family],
        "--user", duts.USER, "--password", duts.PASSWORD, "--realm", duts.REALM,
        "--source", CLIENTS[family], "--peer", PEER[family], *options])


def finish(server, process):
    """It said all that it had to say: let it end."""
    process.popen.wait(30)
    server.rig.processes.remove(process)
    process.stop()


class Held:
    """Allocations with one channel each, kept by turn-flows."""

    def __init__(self, server, allocations, timeout=120):
        self.server = server
        self.process = client(server, "turn-flows", 4, "--family", 4, "--window", 512,
                              "--allocations", allocations)
        while "ready" not in self.process.line(timeout):
            pass

    def release(self):
        self.process.stop()
        self.server.rig.processes.remove(self.process)


# What the kernel knows of a process

def memory(pid):
    """Bytes: what only this process has written to, which leaves out shared libraries; and RSS."""
    fields = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            words = line.split()
            if words[-1] == "kB":
                fields[words[0].rstrip(":")] = int(words[1]) * 1024
    return {"own": fields["Private_Dirty"], "rss": fields["Rss"]}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def thread_seconds(pid):
    """CPU time of each thread, by its id: (name, seconds).  In nanoseconds where the kernel counts
    them, else in ticks of 10 ms."""
    threads = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        base = f"/proc/{pid}/task/{tid}"
        with open(f"{base}/comm", encoding="utf-8") as file:
            name = file.read().strip()
        try:
            with open(f"{base}/schedstat", encoding="ascii") as file:
                seconds = int(file.read().split()[0]) / 1e9
        except FileNotFoundError:
            with open(f"{base}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            seconds = (int(fields[11]) + int(fields[12])) / _TICK
        threads[int(tid)] = (name, seconds)
    return threads


def busy_seconds(cpu):
    """Of a CPU, since boot: everything but idle."""
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"cpu{cpu} "):
                times = [int(t) for t in line.split()[1:9]]
                return (sum(times) - times[3] - times[4]) / _TICK
    raise ValueError(f"no CPU {cpu} in /proc/stat")


class Meter:
    """How busy a server's threads and the clients' CPU were between two looks."""

    def __init__(self, pid):
        self.pid = pid
        self.last = self._look()

    def _look(self):
        return time.monotonic(), thread_seconds(self.pid), busy_seconds(LOAD_CPU)

    def percent(self):
        """Since the last call: {thread id: (name, percent)}, percent of the clients' CPU."""
        (t0, threads0, load0), now = self.last, self._look()
        self.last = now
        seconds = now[0] - t0
        threads = {tid: (name, 100 * (cpu - threads0.get(tid, (name, 0.0))[1]) / seconds)
                   for tid, (name, cpu) in now[1].items()}
        return threads, 100 * (now[2] - load0) / seconds
