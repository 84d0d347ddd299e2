# SPDX-License-Identifier: Apache-2.0
"""A million allocations that live at the same time, each with a channel, on 64 relay addresses: how
fast they are made, what each costs, and whether anything takes longer because there are so many.

The same is done with a thirtieth of them in the same run: what grows with the number shows in the ratio.
"""
import json
import socket
import time

from bench.client import servers
from bench.harness.bench import BenchError
from bench.wire.measure import out_of_the_way
from bench.wire.rig import LOAD_CPU, SERVER, Rig, run as command, sweep, temporary_directory

HELP = "a million allocations with a channel each: rate, memory, what grows with their number"

RELAYS = 64
PORTS = {"min": 49152, "max": 65535}  # the default: 1,048,576 ports on 64 addresses
MANY, FEW = 1000000, 32768
MANY_QUICK = 200000
WINDOW = 512
DATA_RATE = 20000  # a second: what leaves the clients' CPU some slack
HOLD_SEC = 5
LISTS = 10000  # prefixes that are denied besides
FILL_SEC = 180  # at most
DELETE_SEC = 180
LIFETIME_SEC = 600  # of allocations that are not refreshed
EXPIRE_SEC = 120  # at most, for all of them to end after that
LOOK_SEC = 0.25


def relay_address(i):
    return f"198.18.{1 + i // 250}.{1 + i % 250}"


class Turnpike(servers.Turnpike):
    """With 64 relay addresses and a long list of peers that are denied."""

    def start(self):
        for i in range(RELAYS):
            self.rig.ip("dut", "address", "add", f"{relay_address(i)}/32", "dev", Rig.DUT)
        self.rig.ip("out", "route", "add", "198.18.1.0/24", "via", SERVER[4])
        super().start()

    def _conf(self):
        conf = super()._conf()
        conf["relay"] = {"addresses": [{"address": relay_address(i)} for i in range(RELAYS)],
                         "ports": PORTS}
        conf["peers"]["deny"] = ["recommended"] + [
            f"{20 + i // 65536}.{i // 256 % 256}.{i % 256}.0/25" for i in range(LISTS)]
        conf["metrics"] = {"listen": "127.0.0.1"}
        return conf

    def timed(self, *argv):
        """Milliseconds that a command of turnpikectl takes."""
        begin = time.monotonic()
        command(self.bench.program("app/turnpikectl/turnpikectl"), "--json", "--socket",
                self.path("control.sock"), *argv)
        return 1000 * (time.monotonic() - begin)


# One size

class Size:
    """What is measured with so many allocations."""

    def __init__(self, b, server, allocations, floor):
        self.b = b
        self.server = server
        self.allocations = allocations
        self.params = {"allocations": allocations}
        self.pid = server.process.pid
        self.before = servers.memory(self.pid)
        self.files = servers.descriptors(self.pid)
        self.floor = floor
        self.meter = servers.Meter(self.pid)

    def sample(self, name, unit, value, better="lower", **extra):
        self.b.sample(f"million.{name}", self.params, unit, value, better, extra)

    def line(self, process, name, timeout):
        line = process.line(timeout)
        if line["name"] != name:
            raise BenchError(f"turn-storm: {line['name']} instead of {name}")
        if name != "hold" and line["extra"]["errors"]:
            raise BenchError(f"{name}: refused: {line['extra']['errors']}")
        return line

    def control_percent(self):
        return servers.Meter.percent(self.meter)[0][self.pid][1]

    def rate(self, line, name):
        """Of a phase, and the longest that the server made anybody wait in it."""
        extra = line["extra"]
        self.sample(name, line["unit"], line["value"], "higher", seconds=extra["seconds"],
                    server_cpu_percent=round(self.control_percent()),
                    client_cpu_percent=extra["client_cpu_percent"],
                    retransmissions=extra["retransmissions"])
        self.sample(f"{name}_longest_wait", "ms", extra["latency_max_ms"])

    def weigh(self):
        after = servers.memory(self.pid)
        files = servers.descriptors(self.pid)
        self.sample("memory", "B/allocation", (after["own"] - self.floor) / self.allocations,
                    rss_mb=round(after["rss"] / 1e6),
                    growth_bytes=round((after["own"] - self.before["own"]) / self.allocations))
        self.sample("descriptors", "more than with none", files - self.files)
        counts = self.server.stats()["turn"]
        if counts["allocations"] != self.allocations or counts["channels"] != self.allocations:
            raise BenchError(f"not all of them live: {counts}")

    def rest(self):
        """Nobody asks for anything: what timers and housekeeping take."""
        self.control_percent()
        time.sleep(HOLD_SEC)
        self.sample("idle", "% of a CPU, control thread", self.control_percent())

    def look(self):
        """What an operator asks for, while nothing else happens."""
        self.sample("stats", "ms", self.server.timed("stats"))
        self.sample("page", "ms", self.page())
        self.sample("reload", "ms", self.server.timed("reload"))

    def page(self):
        """One answer to `allocations`: a page of 1,000, from the middle."""
        begin = time.monotonic()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(self.server.path("control.sock"))
            sock.sendall(f"allocations {self.allocations // 2}\n".encode())
            data = b""
            while not data.endswith(b"\n"):
                data += sock.recv(1 << 20)
        if len(json.loads(data)["allocations"]) != 1000:
            raise BenchError("not a page of allocations")
        return 1000 * (time.monotonic() - begin)

    def data(self, line):
        """A random sample of all of them is relayed, there and back, by workers."""
        extra = line["extra"]
        self.sample("data", "round trips/s", line["value"], "higher", sent=extra["sent"])
        self.sample("data_lost", "%", 100 * (1 - extra["returned"] / max(extra["sent"], 1)))

    def share(self, before, after):
        fast = sum(after["total"]["paths"].values()) - sum(before["total"]["paths"].values())
        slow = (after["kernel_path"]["verdicts"].get("relayed", 0)
                - before["kernel_path"]["verdicts"].get("relayed", 0))
        self.sample("by_workers", "% of what was relayed", 100 * fast / max(fast + slow, 1),
                    "higher", relayed=fast + slow)

    def run(self):
        seconds = 2 if self.b.quick else 5
        process = servers.client(
            self.server, "turn-storm", 4, "--clients", self.allocations, "--window", WINDOW,
            "--seconds", seconds, "--phases", "hold,refresh,hold,data,hold", "--rate", DATA_RATE)
        fill = self.line(process, "fill", FILL_SEC)
        self.line(process, "hold", 10)
        self.rate(fill, "fill")
        self.weigh()
        self.rest()
        self.look()
        self.control_percent()
        process.tell("go")
        self.rate(self.line(process, "refresh", seconds + 60), "refresh_at_pace")
        self.line(process, "hold", 60)
        before = self.server.stats()
        process.tell("go")
        self.data(self.line(process, "data", seconds + 60))
        self.line(process, "hold", 10)
        self.share(before, self.server.stats())
        self.control_percent()
        process.tell("go")
        self.rate(self.line(process, "delete", DELETE_SEC), "delete")
        servers.finish(self.server, process)

    def expire(self):
        """Nobody refreshes them: they end as they were made, and each with a record in the log."""
        begin = time.monotonic()
        process = servers.client(self.server, "turn-storm", 4, "--clients", self.allocations,
                                 "--window", WINDOW, "--phases", "hold")
        self.line(process, "fill", FILL_SEC)
        self.line(process, "hold", 10)
        if self.living() != self.allocations:
            raise BenchError("not all of them live")
        quiet = max(self.server.timed("stats") for _ in range(20))
        self.b.progress(f"{self.allocations} allocations: waiting until their time is over")
        time.sleep(max(0, begin + LIFETIME_SEC - 1 - time.monotonic()))
        cpu = servers.thread_seconds(self.pid)[self.pid][1]
        begin, longest = time.monotonic(), 0
        while self.living():
            if time.monotonic() - begin > EXPIRE_SEC:
                raise BenchError(f"{self.living()} allocations outlive their time")
            longest = max(longest, self.server.timed("stats"))
            time.sleep(LOOK_SEC)
        seconds = time.monotonic() - begin
        cpu = servers.thread_seconds(self.pid)[self.pid][1] - cpu
        self.sample("expiry", "us of control thread for each", 1e6 * cpu / self.allocations,
                    seconds=round(seconds, 1), cpu_percent=round(100 * cpu / seconds))
        self.sample("expiry_longest_wait", "ms", longest, before=round(quiet, 1))
        self.server.rig.end(process)

    def living(self):
        return self.server.stats()["turn"]["allocations"]

    def end(self):
        """SIGTERM while all of them live."""
        process = servers.client(self.server, "turn-storm", 4, "--clients", self.allocations,
                                 "--window", WINDOW, "--phases", "hold")
        self.line(process, "fill", FILL_SEC)
        self.line(process, "hold", 10)
        begin = time.monotonic()
        self.server.process.popen.terminate()
        status = self.server.process.popen.wait(60)
        self.sample("shutdown", "s", time.monotonic() - begin)
        if status != 0:
            raise self.server.process.error(f"ended with status {status}")


# All

def floor_of(b, directory):
    """Private bytes of the same server with nothing in it, nor prepared for anything."""
    with servers.standing(Turnpike, b, directory, "copy", limits(1)) as server:
        return servers.memory(server.process.pid)["own"]


def limits(n):
    return {"allocations": n, "channels": n}


def one_size(b, directory, allocations, floor, expires):
    b.bounce()
    with servers.standing(Turnpike, b, directory, "copy", limits(allocations)) as server:
        with out_of_the_way():
            size = Size(b, server, allocations, floor)
            size.run()
            server.check()
            if expires:
                size.expire()
            size.end()
    b.progress(f"{allocations} allocations: done")


def targets(b, many):
    params = {"allocations": many}
    what = f"{many:,} living allocations"
    for text, name, must, reach, better in (
        (f"{what}: created with a channel", "fill", 20000, 100000, "higher"),
        (f"{what}: memory of each", "memory", 1536, 800, "lower"),
        (f"{what}: descriptors", "descriptors", 0, 0, "lower"),
        (f"{what}: idle control thread", "idle", 2, 0.5, "lower"),
        (f"{what}: longest wait while they are made", "fill_longest_wait", 250, 50, "lower"),
        (f"{what}: a random sample, relayed by workers", "by_workers", 99, 100, "higher"),
    ):
        b.target(text, f"million.{name}", params, must, reach, better=better)
    if many == MANY:
        b.target(f"{what}: longest wait while they expire", "million.expiry_longest_wait", params,
                 250, 50, better="lower")
    for name in ("fill", "refresh_at_pace", "stats", "page", "reload", "data", "delete"):
        b.reference(f"million.{name}", params, f"million.{name}", {"allocations": FEW})


def run(b):
    if not servers.has_two_cpus(b):
        return
    sweep()
    many = MANY_QUICK if b.quick else MANY
    with temporary_directory() as directory:
        floor = floor_of(b, directory)
        for rep in range(b.reps):
            for allocations in (FEW, many):
                expires = rep == 0 and allocations == MANY
                one_size(b, directory, allocations, floor, expires)
        targets(b, many)
    b.note(f"a million: {RELAYS} relay addresses, {LISTS} prefixes denied besides the recommended ones; "
           "the control thread has a CPU for itself, but for the worker while data is relayed; the "
           f"clients and their peer have CPU {LOAD_CPU}.  refresh and data are at a pace of {DATA_RATE} a "
           "second, so that the longest wait is the server's and not the queue's.  expiry, once, takes "
           "their ten minutes; its longest wait is turnpikectl's, with the start of that program")
