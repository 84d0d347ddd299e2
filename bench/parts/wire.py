# SPDX-License-Identifier: Apache-2.0
"""wire: relays on a veth pair, under an XDP generator, before an XDP sink.

Paths are named as the relay counts them: up_4to6 is an IPv4 client to an IPv6 peer, down_6to4 the
way back.  Devices under test are named by what they are and the mode of their XDP.
"""
import collections
import contextlib
import itertools
import os
import statistics

from bench.harness.bench import BenchError
from bench.wire import duts, measure, rig

HELP = "packets/s, latency and CPU time of whole relays on a veth pair, 64 channels"

CANDIDATE, CEILING = "turnpike-copy", "l2fwd-copy"
ALL_PATHS = [f"{way}_{a}to{b}" for way in ("up", "down") for a in (4, 6) for b in (4, 6)]
# Each pair of families once, each direction twice.
FEW_PATHS = ["up_4to4", "up_4to6", "down_6to4", "down_6to6"]
TRANSLATING = ("up_4to6", "up_6to4", "down_4to6", "down_6to4")
LOADS = {"10%": 0.1, "50%": 0.5, "90%": 0.9}
PERCENTILES = ("p50", "p99", "p99.9")


class Plan:
    """What is measured, and for how long (seconds)."""

    def __init__(self, quick):
        self.channels = 64
        self.window = 0.25  # saturated, twice in a repetition
        self.step = 0.25  # of a search
        self.steps = 4 if quick else 6
        self.latency = 0.3
        self.instances = 3 if quick else 8  # of candidate and ceiling
        if quick:
            self.others = {"coturn": None}
            self.saturated = {160: ["up_4to4", "up_4to6", "up_6to4"],
                              1300: ["up_4to4", "up_4to6", "up_6to4"]}
            self.no_drop = {160: ["up_4to4", "up_4to6"]}
            self.others_no_drop = {}
        else:
            # By which paths; None: all.
            self.others = {"turnpike-skb": FEW_PATHS, "turnpike-off": FEW_PATHS,
                           "l2fwd-skb": FEW_PATHS, "coturn": None, "kernel-xdp": None}
            self.saturated = {payload: ALL_PATHS for payload in (64, 160, 1300)}
            self.no_drop = {64: FEW_PATHS, 160: ALL_PATHS, 1300: FEW_PATHS}
            self.others_no_drop = {160: ["up_4to4"]}

    def cells(self):
        return [(payload, path) for payload, paths in self.saturated.items() for path in paths]


def make_device(name, b, directory, channels, instance=0):
    kind, _, mode = name.partition("-")
    if name == "coturn":
        return duts.Coturn(b, directory, channels, instance)
    if name == "kernel-xdp":
        return duts.KernelXdp(b, directory, channels, instance)
    make = {"l2fwd": duts.L2fwd, "turnpike": duts.Turnpike}[kind]
    return make(b, directory, channels, mode, instance)


class Wire:
    """One repetition: fresh devices, their sinks, and the generators of one cell."""

    def __init__(self, b, plan, rep, lost):
        self.b = b
        self.plan = plan
        self.rep = rep
        self.lost = lost  # devices that failed, in this repetition or an earlier one
        self.sinks = {}  # by device: of each of its instances
        self.cell = None  # payload and path that are measured just now
        self.loads = {}  # by device: of each of the instances that the cell uses
        self.rates = collections.defaultdict(list)  # ratios of the candidate
        self.reordered = collections.defaultdict(lambda: [0, 0])
        self.windows = self.disturbed = 0

    def start(self, directory, stack):
        for name in (CEILING, CANDIDATE, *self.plan.others):
            if name in self.lost:
                continue
            with self.may_fail(name):
                self.sinks[name] = []
                n = self.plan.instances if name in (CEILING, CANDIDATE) else 1
                for instance in range(n):
                    device = make_device(name, self.b, directory, self.plan.channels, instance)
                    stack.callback(device.close)
                    self.sinks[name].append(measure.Sink(device))

    @contextlib.contextmanager
    def may_fail(self, name):
        """Candidate and ceiling must work; of the others, the report says why they did not."""
        try:
            yield
        except BenchError as err:
            if name in (CANDIDATE, CEILING):
                raise
            self.lost.add(name)
            self.sinks.pop(name, None)
            self.loads.pop(name, None)
            self.b.note(f"{name} was not measured any further: {err}")

    # rows

    def sample(self, what, name, unit, value, better, extra=None, **params):
        payload, path = self.cell
        params = {"dut": name, "payload": payload, "path": path, **params}
        self.b.sample(f"wire.{what}", params, unit, value, better, extra, self.rep)
        if what in ("saturated", "no_drop", "cpu", "latency"):
            self.refer(what, params)

    def refer(self, what, params):
        row = f"wire.{what}"
        if params["dut"].startswith("turnpike-") and params["dut"] != "turnpike-off":
            ceiling = params["dut"].replace("turnpike", "l2fwd")
            self.b.reference(row, params, row, {**params, "dut": ceiling})
        elif params["dut"] in ("coturn", "kernel-xdp", "turnpike-off"):
            self.b.reference(row, params, row, {**params, "dut": CANDIDATE}, invert=True)

    def count_order(self, name, window):
        self.reordered[name][0] += window.seen["reordered"]
        self.reordered[name][1] += window.seen["packets"]

    # one cell: a payload and a path

    def cell_sinks(self, index):
        """Which instances a cell uses: two of the candidate and the ceiling, in rotation."""
        path = self.cell[1]
        for name, sinks in list(self.sinks.items()):
            if path in (self.plan.others.get(name) or [path]):
                yield name, [sinks[(index + k) % len(sinks)] for k in range(min(2, len(sinks)))]

    @contextlib.contextmanager
    def open_cell(self, index, payload, path):
        self.cell = payload, path
        self.loads = {}
        with contextlib.ExitStack() as stack:
            for name, sinks in self.cell_sinks(index):
                with self.may_fail(name):
                    self.loads[name] = []
                    for sink in sinks:
                        load = measure.Load(sink.device, sink, path, payload)
                        stack.callback(load.close)
                        self.loads[name].append(load)
            yield
            for load in itertools.chain(*self.loads.values()):
                self.windows += load.windows
                self.disturbed += load.disturbed

    def saturated(self):
        """Candidate and ceiling in turn, twice; the others once.  @return packets/s by device"""
        both = [CEILING, CANDIDATE]
        turns = [(name, k) for k in range(2) for name in both]
        turns += [(name, 0) for name in self.loads if name not in both]
        windows = collections.defaultdict(list)
        for name, instance in turns:
            with self.may_fail(name):
                window = self.loads[name][instance].saturate(self.plan.window)
                windows[name].append(window)
        pps = {}
        for name, seen in windows.items():
            pps[name] = statistics.mean(w.pps for w in seen)
            self.sample("saturated", name, "packets/s", pps[name], "higher",
                        {"offered": statistics.mean(w.offered for w in seen)})
            self.sample("goodput", name, "Gbit/s", statistics.mean(w.gbps for w in seen), "higher")
            self.cpu(name, "saturated", seen)
            for window in seen:
                self.count_order(name, window)
        return pps

    def cpu(self, name, load, windows):
        each = [w.ns_per_packet() for w in windows]
        split = {k: statistics.mean(e[k] for e in each) for k in each[0]}
        self.sample("cpu", name, "ns/packet", split.pop("total"), "lower", split, load=load)

    def no_drop(self, names, saturated_pps):
        """The searches of all devices go on together, step by step."""
        searches = {name: measure.Search(self.loads[name][0], saturated_pps[name], self.plan.step)
                    for name in names}
        rates = {}
        for _ in range(self.plan.steps):
            for name, search in searches.items():
                if name in self.loads:
                    with self.may_fail(name):
                        search.step()
        for name in names:
            if name in self.loads:
                with self.may_fail(name):
                    pps = rates[name] = searches[name].finish()
                    self.sample("no_drop", name, "packets/s", pps, "higher")
                    for load, share in LOADS.items():
                        if pps > 0:
                            self.latency(name, load, pps * share)
        return rates

    def latency(self, name, load, pps):
        window = self.loads[name][0].offer(pps, self.plan.latency, latency_every=1)
        self.count_order(name, window)
        times = window.seen["latency_ns"]
        extra = {"pps": window.offered, "lost": window.lost, "samples": times["samples"]}
        for percentile in PERCENTILES:
            self.sample("latency", name, "us", times[percentile] / 1000, "lower", extra,
                        load=load, percentile=percentile)
        self.cpu(name, load, [window])

    def searched(self):
        """Devices whose no-drop rate this cell is to tell."""
        payload, path = self.cell
        names = [CEILING, CANDIDATE] if path in self.plan.no_drop.get(payload, ()) else []
        if path in self.plan.others_no_drop.get(payload, ()):
            names += [n for n in self.loads if n not in names]
        return names

    def measure_cell(self):
        self.b.bounce()
        with measure.out_of_the_way():
            pps = self.saturated()
            self.compare("saturated", pps)
            names = [name for name in self.searched() if name in pps]
            if names:
                self.compare("no_drop", self.no_drop(names, pps))
        self.b.progress("{} bytes, {}: ".format(*self.cell) + ", ".join(
            f"{name} {rate / 1e6:.2f}" for name, rate in pps.items()) + " Mpps")

    def compare(self, what, pps):
        """Keep the candidate's ratios, for summary()."""
        for name in (CEILING, "coturn"):
            if pps.get(name):
                self.rates[what, name, self.cell[0]].append(pps[CANDIDATE] / pps[name])

    def summary(self):
        """Over all paths, hence over all instances: of one of them alone, where its memory lies
        makes more difference than what is to be seen."""
        for (what, name, payload), ratios in self.rates.items():
            self.b.sample(f"wire.ratio_{what}", {"to": name, "payload": payload}, "x",
                          statistics.geometric_mean(ratios), "higher",
                          {"best": max(ratios), "paths": len(ratios)}, rep=self.rep)
            self.b.sample(f"wire.worst_{what}", {"to": name, "payload": payload}, "x",
                          min(ratios), "higher", rep=self.rep)

    def finish(self):
        """Did all of them do what the figures claim?"""
        self.summary()
        for name, sinks in list(self.sinks.items()):
            with self.may_fail(name):
                for sink in sinks:
                    sink.device.check()
                late, packets = self.reordered[name]
                self.b.sample("wire.reordered", {"dut": name}, "packets/million",
                              late * 1e6 / max(packets, 1), "lower", rep=self.rep)


def targets(b, plan):
    for what, matrix in (("saturated", plan.saturated), ("no_drop", plan.no_drop)):
        for payload, paths in matrix.items():
            b.target(f"wire, copy mode, {what.replace('_', '-')}, {payload} bytes, {len(paths)} "
                     "paths, vs l2fwd", f"wire.ratio_{what}", {"to": CEILING, "payload": payload},
                     0.90, 0.97, better="higher")
    for payload, paths in plan.saturated.items():
        b.target(f"wire, copy mode, saturated, {payload} bytes, {len(paths)} paths, vs coturn on "
                 "one core", "wire.ratio_saturated", {"to": "coturn", "payload": payload},
                 3.0, None, better="higher")
    for path in plan.saturated[1300]:
        if path in TRANSLATING:
            b.target(f"wire, 1300-byte payload, {path}, one worker, Gbit/s of payload",
                     "wire.goodput", {"dut": CANDIDATE, "payload": 1300, "path": path},
                     3.0, 6.0, better="higher")


def notes(b, plan):
    b.note(f"Each device stands between two ends of one veth, with {plan.channels} channels; the "
           f"generator and the device's receive softirq run on CPU {rig.LOAD_CPU}, the device and "
           f"the sink's softirq on CPU {rig.DUT_CPU}. A veth runs the receiver's softirq on the "
           "sender's CPU: a device's transmission pays for the sink, which no real network card "
           "does, and its reception is paid by the generator.")
    b.note("On a veth no AF_XDP relay in copy mode beats XDP_TX in packets/s: kernel-xdp hands on "
           "the frame that came, while every frame from an AF_XDP socket is a new skb, copied "
           "twice, once more for the sink's XDP. l2fwd is the ceiling for the former.")
    b.note(f"{plan.instances} instances of l2fwd-copy and turnpike-copy stand at a time, anew in "
           "each repetition, and every row is of two of them in rotation: two that are the same "
           "differ by up to 15 %, for as long as they live, by where in the kernel's memory the "
           "cache lines lie that both CPUs write (xsk_buff_pool). ratio_saturated and "
           "ratio_no_drop are therefore means (geometric) over the paths; worst_saturated and "
           "worst_no_drop are the lowest of the paths, of two instances each.")
    b.note("saturated: as fast as the generator can; window "
           f"{plan.window} s, l2fwd-copy and turnpike-copy in turn, twice in each repetition. "
           f"no_drop: bisection, {plan.steps} steps of {plan.step} s, loss < 0.1 %, a step that "
           "loses is tried twice; the steps of the devices in turn. latency: one way, from the "
           "generator's program to the sink's, at shares of that device's own no-drop rate. cpu: "
           f"time that CPU {rig.DUT_CPU} was not idle (/proc/stat) for each packet delivered, "
           "whoever used it; an adaptive worker spins before it sleeps, so at low load it is an "
           "upper bound. Rows of coturn, kernel-xdp and turnpike-off have the ratio of "
           "turnpike-copy to them.")


def check_machine():
    if os.geteuid() != 0:
        raise BenchError("network namespaces and BPF need root")
    if not {rig.LOAD_CPU, rig.DUT_CPU} <= os.sched_getaffinity(0):
        raise BenchError(f"needs the CPUs {rig.LOAD_CPU} and {rig.DUT_CPU}")


def repetition(b, plan, rep, lost):
    """Every device is started anew."""
    wire = Wire(b, plan, rep, lost)
    with rig.temporary_directory() as directory:
        with contextlib.ExitStack() as stack:
            wire.start(directory, stack)
            for index, (payload, path) in enumerate(plan.cells()):
                with wire.open_cell(index, payload, path):
                    wire.measure_cell()
            wire.finish()
    return wire


def run(b):
    check_machine()
    rig.sweep()
    plan = Plan(b.quick)
    lost = set()
    windows = disturbed = 0
    for rep in range(b.reps):
        b.progress(f"repetition {rep + 1} of {b.reps}")
        wire = repetition(b, plan, rep, lost)
        windows += wire.windows
        disturbed += wire.disturbed
    if disturbed:
        b.note(f"In {disturbed} of {windows} windows something else used more than "
               f"{measure.FOREIGN:.0%} of CPU {rig.DUT_CPU}, and did so again when they were "
               "repeated: their figures are too low.")
    targets(b, plan)
    notes(b, plan)
