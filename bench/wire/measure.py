# SPDX-License-Identifier: Apache-2.0
"""What is measured of a device: saturated rate, no-drop rate, latency, CPU time."""
import contextlib
import dataclasses
import os
import time

from bench.harness.bench import BenchError

from .rig import DUT_CPU, LOAD_CPU, NICE, Rig, prefer_session

LEAD_IN = 0.08  # seconds of load before a window begins
LEAD_OUT = 0.03  # ... and after it
DRAIN = 0.03  # seconds for what is under way: rings of 2048, socket buffers
SAMPLED = 64  # one packet of so many has its latency taken, where latency is not the question
LOSS = 0.001  # below it, a rate counts as without drops
GROSS_LOSS = 0.02  # more than an interruption explains: no second try
FOREIGN = 0.08  # share of the CPU under test that something else may take; steps are of 0.03
TRIES = 2  # for a window that nothing else disturbs
READY_SEC = 30
_TICK = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def out_of_the_way():
    """This process leaves the CPU under test alone, and is not kept waiting by the load."""
    cpus, nice = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    os.sched_setaffinity(0, {LOAD_CPU})
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    session = prefer_session("self")
    try:
        yield
    finally:
        if session is not None:
            prefer_session("self", session)
        os.sched_setaffinity(0, cpus)
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def cpu_seconds():
    """Busy time of the CPU under test since some time: total, user, system, softirq and irq.

    From /proc/stat, in steps of 10 ms: total is what was not idle, which the kernel measures; the
    split is sampled by its tick."""
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"cpu{DUT_CPU} "):
                user, nice, system, idle, iowait, irq, softirq = map(int, line.split()[1:8])
                return (time.monotonic() - (idle + iowait) / _TICK, (user + nice) / _TICK,
                        system / _TICK, (irq + softirq) / _TICK)
    raise BenchError(f"there is no CPU {DUT_CPU}")


@dataclasses.dataclass
class Window:
    """What came back in some time, and what it took."""

    seen: dict  # as the sink prints it
    seconds: float
    cpu: tuple  # seconds: total, user, system, softirq
    foreign: float  # share of the time that the CPU did something else
    offered: float = 0.0  # packets/s
    lost: float = 0.0  # share of what was offered

    @property
    def pps(self):
        return self.seen["packets"] / self.seconds

    @property
    def gbps(self):
        """Of payload."""
        return self.seen["bytes"] * 8 / self.seconds / 1e9

    def ns_per_packet(self):
        total, user, system, softirq = (s * 1e9 / max(self.seen["packets"], 1) for s in self.cpu)
        return {"total": total, "user": user, "system": system, "softirq": softirq}


class Sink:
    """The sink of one device, which stays attached, and the clocks beside it."""

    def __init__(self, device):
        self.device = device
        self.begun = self.clocks = None
        self.process = device.rig.start("out", [
            device.bench.program("bench/wire/sink"), "--if", Rig.OUT, "--flows", device.channels])
        self.process.line(READY_SEC)

    def _now(self):
        return (time.monotonic(), self.device.cpu_seconds(), *cpu_seconds())

    def begin(self, latency_every=SAMPLED):
        self.process.ask(f"reset {latency_every}")
        self.begun = self._now()

    def stop_clocks(self):
        self.clocks = [after - before for before, after in zip(self.begun, self._now())]

    def end(self, seconds=None):
        """@return what came since begin(); seconds: if not until now"""
        seen = self.process.ask("read")
        if seen["bad_checksum"] or seen["foreign"] or seen["duplicates"]:
            raise BenchError(f"{self.device.name}: packets came back wrong: {seen}")
        elapsed, own, *cpu = self.clocks
        return Window(seen, seconds or seen["seconds"], tuple(cpu),
                      max(0.0, (cpu[0] - own) / elapsed))


class Load:
    """A generator on one device, for one path and payload."""

    def __init__(self, device, sink, path, payload):
        self.device = device
        self.sink = sink
        self.windows = self.disturbed = 0
        direction, families = path.split("_")
        first, second = map(int, families.split("to"))
        key = (first, second) if direction == "up" else (second, first)
        self.process = device.rig.start("out", [
            device.bench.program("bench/wire/generator"), "--if", Rig.OUT,
            "--mac", device.rig.mac("dut"), "--flows", device.flows[key],
            "--direction", direction, "--payload", payload, "--commands"])
        self.process.line(READY_SEC)

    def close(self):
        self.device.rig.end(self.process)

    def saturate(self, seconds):
        """A window in the middle of a run as fast as the generator can."""
        return self._quietest(lambda: self._saturate(seconds))

    def offer(self, pps, seconds, latency_every=SAMPLED):
        """A whole run at a rate, from the first packet to the last."""
        return self._quietest(lambda: self._offer(pps, seconds, latency_every))

    def _quietest(self, take):
        """Again, while something else uses the CPU under test; the least disturbed counts."""
        windows = []
        while not windows or (windows[-1].foreign > FOREIGN and len(windows) < TRIES):
            windows.append(take())
        best = min(windows, key=lambda window: window.foreign)
        self.windows += 1
        self.disturbed += best.foreign > FOREIGN
        if best.seen["packets"] == 0:
            self.device.process.check()
            raise BenchError(f"{self.device.name}: nothing came back")
        return best

    def _saturate(self, seconds):
        self.process.tell(f"0 {LEAD_IN + seconds + LEAD_OUT:.3f}")
        time.sleep(LEAD_IN)
        self.sink.begin()
        time.sleep(seconds)
        self.sink.stop_clocks()
        window = self.sink.end()
        window.offered = self.process.line(READY_SEC)["pps"]
        time.sleep(DRAIN)
        return window

    def _offer(self, pps, seconds, latency_every):
        self.sink.begin(latency_every)
        sent = self.process.ask(f"{pps:.0f} {seconds:.3f}", READY_SEC)
        self.sink.stop_clocks()
        time.sleep(DRAIN)
        if sent["sent"] == 0:
            raise BenchError(f"{self.device.name}: the generator sent nothing")
        window = self.sink.end(sent["seconds"])
        window.offered = sent["pps"]
        window.lost = 1 - window.seen["packets"] / sent["sent"]
        return window


class Search:
    """As RFC 2544 section 26.1: the highest rate without drops, by bisection.

    Several searches can take their steps in turn, so that the machine's moods hit all of them."""

    def __init__(self, load, saturated_pps, seconds):
        self.load = load
        self.seconds = seconds
        self.low, self.high = 0.5 * saturated_pps, 1.3 * saturated_pps
        self.best = 0.0  # highest rate that was carried

    def step(self):
        pps = (self.low + self.high) / 2
        if self._is_carried(pps):
            self.low = pps
        else:
            self.high = pps

    def finish(self):
        """@return packets/s; when no step was carried, it is looked for below them."""
        while self.best == 0 and self.low > 1000:
            if self._is_carried(self.low):
                for _ in range(3):
                    self.step()
            else:
                self.low, self.high = 0.7 * self.low, self.low
        return self.best

    def _is_carried(self, pps):
        """One interruption on a shared machine must not decide: what fails is tried twice."""
        for _ in range(2):
            window = self.load.offer(pps, self.seconds)
            if window.offered < 0.95 * pps:
                return False  # the generator's limit
            if window.lost < LOSS:
                self.best = max(self.best, window.pps)
                return True
            if window.lost > GROSS_LOSS:
                return False
        return False
