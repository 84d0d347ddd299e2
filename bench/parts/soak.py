# SPDX-License-Identifier: Apache-2.0
"""Steady mixed load with churn, for as long as --minutes says, and accounts that must balance.

The time is in three sections.  In each, clients of both families come, talk with echoing peers of
both families, by channels and by indications, and go; now and then a storm of allocations comes on top.
Between sections it is quiet: then everything allocated must be gone, every frame be back in its
place, every packet have had its one verdict, and memory be what it was before.

Some clients leave without a word, and come back when their allocation has expired: sections must be
longer than ten minutes for that to happen.
"""
import os
import tempfile
import time

from bench.client import servers
from bench.harness.bench import BenchError
from bench.wire import duts
from bench.wire.rig import CLIENT, DUT_CPU, LOAD_CPU, PEER, SERVER, sweep

HELP = "steady mixed load with churn; leaks, frames and drop reasons afterwards (--minutes N)"

MINUTES = 3  # when nobody said
SECTIONS = 3
PAYLOAD = {(4, 4): 160, (4, 6): 1200, (6, 4): 64, (6, 6): 1300}  # of client and peer family
CLIENTS, RATE, LIFE_SEC = 200, 1500, 10  # of each pair of families
INDICATIONS_PERCENT, ABANDONED_PERCENT = 30, 2
STORM_CLIENTS, STORM_WINDOW = 2000, 16
# No more than the load needs: then the first section has touched all of the tables' memory.
LIMITS = {"allocations": 4000, "channels": 4000}
QUIET_SEC = 30  # at most, until nothing moves any more

# What may be at the end.  The first section brings memory to its height but for a few pages of
# tables; a block that each allocation leaks, 24 bytes at least, is many times the rest.
LOST_SHARE = 1e-4
GROWTH_BYTES = 4 << 20
GROWTH_PER_ALLOCATION = 0.5

# Of turn-soak's counters, those of datagrams; and those that must be 0.
DATAGRAMS = ("sent", "received", "late", "damaged", "misdelivered", "repeated", "strange", "icmp")
NEVER = ("damaged", "misdelivered", "repeated", "strange")


def pair_name(pair):
    return f"{pair[0]}to{pair[1]}"


class Soak:
    def __init__(self, b, server):
        self.b = b
        self.server = server
        self.section = 0
        self.sent = self.lost = self.allocated = 0
        self.wrong = []
        self.start = self.before = self.quiet()
        self.files = servers.descriptors(server.process.pid)
        self.memory = []  # when quiet, after each section

    # traffic

    def talkers(self, seconds, every):
        for at, (client, peer) in enumerate(PAYLOAD):
            yield (client, peer), self.server.rig.start("out", [
                self.b.program("bench/client/turn-soak"), "--server", SERVER[client],
                "--user", duts.USER, "--password", duts.PASSWORD, "--source", CLIENT[client],
                "--peer", PEER[peer], "--peer-port", 20000 + 100 * at, "--clients", CLIENTS,
                "--rate", RATE, "--payload", PAYLOAD[client, peer], "--life", LIFE_SEC,
                "--indications", INDICATIONS_PERCENT, "--abandon", ABANDONED_PERCENT,
                "--seconds", seconds, "--report", every])

    def storm(self):
        process = servers.client(
            self.server, "turn-storm", 4, "--clients", STORM_CLIENTS, "--window", STORM_WINDOW,
            "--seconds", 1, "--phases", "churn")
        for _ in ("fill", "churn", "delete"):
            line = process.line(60)
            self.allocated += line["value"] * line["extra"]["seconds"] * (line["name"] != "delete")
            if line["extra"]["errors"]:
                self.wrong.append(f"turn-storm was refused: {line['extra']['errors']}")
        servers.finish(self.server, process)

    def run_section(self, seconds, every):
        self.section += 1
        talkers = dict(self.talkers(seconds, every))
        final = {}
        while len(final) < len(talkers):
            lines = {pair: process.line(every + QUIET_SEC) for pair, process in talkers.items()
                     if pair not in final}
            final.update({pair: line for pair, line in lines.items() if line["final"]})
            if not final:
                self.look(lines)
                self.storm()
        for process in talkers.values():
            servers.finish(self.server, process)
        self.record_traffic(final)
        self.record_quiet()

    # looking

    def look(self, lines):
        """While traffic is on."""
        pid = self.server.process.pid
        size, files = servers.memory(pid), servers.descriptors(pid)
        held = self.server.stats()["turn"]["allocations"]
        where = {"section": self.section}
        self.b.sample("soak.memory", where, "MB", size["own"] / 1e6, "lower",
                      {"rss_mb": size["rss"] / 1e6})
        self.b.sample("soak.descriptors", where, "fd", files, "lower")
        self.b.sample("soak.allocations", where, "allocations", held, "higher")
        sent = sum(line["sent"] for line in lines.values())
        self.b.progress(f"section {self.section}: {sent} sent, {held} allocations, "
                        f"{size['own'] / 1e6:.2f} MB, {files} descriptors")

    def quiet(self):
        """Statistics when nothing moves any more: twice the same, a while apart."""
        last, end = None, time.monotonic() + QUIET_SEC
        while True:
            now = self.server.stats()
            moving = [now[key] for key in ("total", "kernel_path", "turn", "flows")], [
                w["umem"] for w in now["workers"]]
            if moving == last or time.monotonic() > end:
                return now
            last = moving
            time.sleep(0.5)

    # accounts

    def record_traffic(self, final):
        for pair, line in final.items():
            lost = line["sent"] - line["received"] - line["late"]
            for what, n in {"lost": lost, **{k: line[k] for k in DATAGRAMS}}.items():
                self.b.sample("soak.traffic", {"families": pair_name(pair), "what": what}, "datagrams",
                              n, "higher" if what in ("sent", "received") else "lower")
            for what in ("allocated", "deleted", "abandoned", "expired"):
                self.b.sample("soak.churn", {"families": pair_name(pair), "what": what},
                              "allocations", line[what], "higher")
            self.sent += line["sent"]
            self.lost += lost
            self.allocated += line["allocated"]
            for what in NEVER:
                if line[what]:
                    self.wrong.append(f"{pair_name(pair)}: {line[what]} datagrams {what}")
            if line["errors"]:
                self.wrong.append(f"{pair_name(pair)}: refused: {line['errors']}")

    def record_quiet(self):
        stats, pid = self.quiet(), self.server.process.pid
        own, files = servers.memory(pid)["own"], servers.descriptors(pid)
        self.memory.append(own)
        self.b.sample("soak.memory_when_quiet", {}, "MB", own / 1e6, "lower")
        self.b.sample("soak.descriptors_when_quiet", {}, "fd", files, "lower")
        if files != self.files:
            self.wrong.append(f"{files} descriptors, {self.files} at the start")
        for what, n in {**stats["turn"], "flows": stats["flows"]}.items():
            self.b.sample("soak.left", {"what": what}, "of them when quiet", n, "lower")
            if n:
                self.wrong.append(f"{n} {what} left when all clients were gone")
        self.record_frames(stats)
        self.record_verdicts(stats)
        self.before = stats

    def record_frames(self, stats):
        """Free chunks and those in rings are all there are."""
        for worker in stats["workers"]:
            total, free, rings = (worker["umem"][key] for key in ("chunks", "free", "in_rings"))
            missing = total - free - rings
            for where, n in (("free", free), ("in rings", rings), ("missing", missing),
                             ("total", total)):
                self.b.sample("soak.frames", {"cpu": worker["cpu"], "where": where}, "frames", n,
                              "lower")
            if missing:
                self.wrong.append(f"worker on CPU {worker['cpu']}: {missing} of {total} frames are "
                                  "in no place")

    def record_verdicts(self, stats):
        """Each of them, and the difference of their sum to what was received."""
        for who, key in (("workers", "total"), ("kernel path", "kernel_path")):
            now, was = stats[key], self.before[key]
            grown = {k: n - was["verdicts"].get(k, 0) for k, n in now["verdicts"].items()}
            received = now["rx_pkts"] - was["rx_pkts"]
            grown["(without verdict)"] = received - sum(grown.values())
            for verdict, n in {"(received)": received, **grown}.items():
                self.b.sample(f"soak.verdicts_of_{who.replace(' ', '_')}", {"verdict": verdict},
                              "packets", n, "lower")
            if grown["(without verdict)"]:
                self.wrong.append(f"{who}: {received} received, but the verdicts differ by "
                                  f"{grown['(without verdict)']}")
        self.record_unusual(stats)

    def record_unusual(self, stats):
        for worker, was in zip(stats["workers"], self.before["workers"]):
            for port, port_was in zip(worker["ports"], was["ports"]):
                for what, n in port["stats"].items():
                    self.b.sample("soak.port", {"interface": port["interface"], "what": what},
                                  "packets or calls", n - port_was["stats"][what], "lower")

    def judge(self, seconds):
        growth = self.memory[-1] - self.memory[0]
        hours = seconds * (SECTIONS - 1) / 3600
        later = self.allocated * (SECTIONS - 1) / SECTIONS
        self.b.note(f"memory when quiet: {self.memory[0] / 1e6:.2f} MB after the first section, "
                    f"{self.memory[-1] / 1e6:.2f} MB after the last: {growth / hours / 1e6:+.2f} MB an "
                    f"hour, {growth / later:+.2f} B for each allocation made")
        self.b.note(f"{self.lost} of {self.sent} datagrams lost, {self.allocated:.0f} allocations made")
        if growth > GROWTH_BYTES + GROWTH_PER_ALLOCATION * later:
            self.wrong.append(f"memory grew by {growth} bytes after the first section")
        if self.lost > LOST_SHARE * self.sent:
            self.wrong.append(f"{self.lost} of {self.sent} datagrams were lost")
        if self.wrong:
            raise BenchError("; ".join(dict.fromkeys(self.wrong)))


def run(b):
    if not servers.has_two_cpus(b):
        return
    sweep()
    minutes = b.minutes or MINUTES
    seconds = max(int(minutes * 60 / SECTIONS), 10)
    every = max(2, min(30, seconds // 5))
    b.progress(f"{SECTIONS} sections of {seconds} s, worker on CPU {DUT_CPU}")
    with tempfile.TemporaryDirectory(prefix=f"tpb{os.getpid()}-") as directory:
        with servers.standing(servers.Turnpike, b, directory, "copy", LIMITS, LOAD_CPU) as server:
            soak = Soak(b, server)
            for _ in range(SECTIONS):
                soak.run_section(seconds, every)
                server.process.check()
            soak.judge(seconds)
