# SPDX-License-Identifier: Apache-2.0
"""The relay without the kernel in its way: two processes at a wire of shared memory.

dpdk-load has one end of the wire and sends as fast as frames are taken; the device under test has the
other, on a core of its own.  turnpike relays real channels, whose clients and peers are the kernel's
behind dpdk-load; the reference is DPDK's own testpmd, which swaps MAC addresses and does nothing
else.  They take turns in each repetition, on the same frames.

Both wires copy on dpdk-load's side, which is therefore the slower one, and the rate says what a device
costs it: by the lines that both write.  What a frame costs the device is the time that it is busy:
turnpike and testpmd count alike, from before they look for frames to after they sent them, in rounds
that received some.  Of a memif client with zero-copy that is hardly more than its own work.

The wires need huge pages: they are reserved for the run, and what was there before is put back.
"""
import collections
import contextlib
import os
import re
import select
import shutil
import time

from bench.client import servers
from bench.harness.bench import BenchError
from bench.wire.duts import PASSWORD, PEER_PORT, READY_SEC, REALM, SOURCE_PORT, USER, Turnpike
from bench.wire.measure import out_of_the_way
from bench.wire.rig import (CLIENT, DUT_CPU, LOAD_CPU, PEER, SERVER, Rig, sweep,
                            temporary_directory)

HELP = "turnpike against testpmd's macswap on wires of shared memory: virtio-user, memif"

CHANNELS = 1000
PAYLOAD = 160  # frames of 206 bytes: Ethernet 14, IPv4 20, UDP 8, ChannelData 4
FRAME = 206
HUGE_PAGES = 512  # of 2 MB: two processes, half of it spare
NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
DUT_MAC = "02:00:00:00:00:02"
LOAD_MAC = "56:48:4f:53:54:00"  # net_vhost's
TESTPMD_SEC = 15

# The name of the row, and the two devices, with a path to meet at.
Wire = collections.namedtuple("Wire", "name load dut")
MEMIF = "net_memif0,id=0,socket={},socket-abstract=no,rsize=10"  # 1,024 descriptors
WIRES = (
    Wire("virtio-user", "net_vhost0,iface={},queues=1",
         f"net_virtio_user0,path={{}},mac={DUT_MAC}"),
    Wire("memif", f"{MEMIF},role=server,mac={LOAD_MAC}",
         f"{MEMIF},role=client,zero-copy=yes,mac={DUT_MAC}"),
)


def params(dut, wire):
    return {"dut": dut, "wire": wire, "frame": FRAME, "channels": CHANNELS}


@contextlib.contextmanager
def huge_pages(wanted):
    """So many, and afterwards as many as before."""
    with open(NR_HUGEPAGES, encoding="ascii") as file:
        before = int(file.read())
    try:
        if before < wanted:
            set_huge_pages(wanted)
        yield
    finally:
        set_huge_pages(before)


def set_huge_pages(n):
    with open(NR_HUGEPAGES, "w", encoding="ascii") as file:
        file.write(str(n))
    with open(NR_HUGEPAGES, encoding="ascii") as file:
        if int(file.read()) < n:
            raise BenchError(f"the kernel did not give {n} huge pages")


class TapRig(Rig):
    """As Rig, but each end is a TAP: their wire is that of the two processes."""

    def _make_link(self, needs_gro):
        for role, name, mac in (("out", self.OUT, LOAD_MAC), ("dut", self.DUT, DUT_MAC)):
            self.ip(role, "tuntap", "add", "dev", name, "mode", "tap")
            self.ip(role, "link", "set", name, "address", mac, "up")


class Relay(Turnpike):
    """turnpike with its one port on the wire."""

    def __init__(self, bench, directory, rig, device):
        self.shared, self.device = rig, device
        super().__init__(bench, directory, CHANNELS, "dpdk")
        self.name = "turnpike"

    def make_rig(self, where):
        return self.shared

    def close(self):
        """The rig stays."""
        if self.process is not None:
            self.rig.end(self.process)

    def _conf(self):
        conf = super()._conf()
        conf["interfaces"] = [{"name": Rig.DUT, "driver": "dpdk", "kernel": Rig.DUT,
                               "device": self.device}]
        conf["cores"][0]["idle"] = "spin"
        return conf

    def make_flows(self):
        self.clients = self.rig.start("out", [
            self.bench.program("bench/client/turn-flows"), "--server", SERVER[4],
            "--user", USER, "--password", PASSWORD, "--realm", REALM, "--family", 4,
            "--allocations", CHANNELS, "--channels", 1, "--source", CLIENT[4],
            "--source-port", SOURCE_PORT, "--peer", PEER[4], "--peer-port", PEER_PORT])
        self.flows[4, 4] = self.path("flows.jsonl")
        self._write_flows(self.clients, self.flows[4, 4])

    def end_flows(self):
        self.rig.end(self.clients)

    def _is_fast(self):
        channels = [c for a in self._ctl("allocations")["allocations"] for c in a["channels"]]
        return len(channels) > 0 and all(c["fast"] for c in channels)

    def busy(self):
        """(ns, frames) since some time"""
        worker, = self.stats()["workers"]
        return worker["busy_ns"], worker["rx_pkts"]


class Testpmd:
    """DPDK's own forwarder, which swaps MAC addresses."""

    name = "testpmd"

    def __init__(self, rig, device):
        self.rig = rig
        self.said = ""
        self.process = rig.start("dut", [
            "stdbuf", "-oL", "dpdk-testpmd", "--in-memory", "--single-file-segments", "--no-pci", "--no-telemetry",
            f"--lcores=0@{LOAD_CPU},1@{DUT_CPU}", f"--vdev={device}", "--", "--interactive",
            "--forward-mode=macswap", "--nb-cores=1", "--rxd=1024", "--txd=1024",
            "--record-core-cycles"], cpus=f"{LOAD_CPU},{DUT_CPU}")
        self.process.tell("start")

    def busy(self):
        """(ns, frames) since some time"""
        self.said = ""
        self.process.tell("show fwd stats all")
        found = self._wait_for(
            r"\(total cycles=(\d+) / total macswap packets=(\d+)\) at (\d+) MHz")
        cycles, frames, mhz = map(int, found.groups())
        return 1000 * cycles / mhz, frames

    def _wait_for(self, pattern):
        end = time.monotonic() + TESTPMD_SEC
        out = self.process.popen.stdout
        while (found := re.search(pattern, self.said)) is None:
            left = end - time.monotonic()
            if left <= 0 or not select.select([out], [], [], left)[0]:
                raise self.process.error(f"did not say {pattern} within {TESTPMD_SEC} s")
            got = os.read(out.fileno(), 65536).decode(errors="replace")
            if not got:
                raise self.process.error("closed its output")
            self.said += got
        return found

    def close(self):
        self.rig.end(self.process)


def measure(b, load, device, wire, flows, seconds, rep):
    """One repetition.  What is received is what the device forwarded."""
    answer = load.ask(f"flows {flows} {DUT_MAC} {PAYLOAD}")
    if answer["frame_bytes"] != FRAME:
        raise BenchError(f"frames of {answer['frame_bytes']} bytes, not {FRAME}")
    end = time.monotonic() + TESTPMD_SEC
    while load.ask("run 100")["received"] == 0:  # until the device is there, and warm
        if time.monotonic() > end:
            raise BenchError(f"{device.name}: nothing came back within {TESTPMD_SEC} s")
    before = device.busy()
    got = load.ask(f"run {round(1000 * seconds)}", timeout=seconds + 10)
    load.ask("watch 20")  # what is still on its way
    busy_ns, frames = (after - earlier for after, earlier in zip(device.busy(), before))
    rate = got["received"] / got["ns"] * 1000
    lost = 1 - got["received"] / max(got["sent"], 1)
    busy = busy_ns / max(frames, 1)
    of = params(device.name, wire.name)
    b.sample("dpdk.rate", of, "Mpps", rate, "higher",
             {"sent_mpps": round(got["sent"] / got["ns"] * 1000, 3), "lost": round(lost, 5)},
             rep=rep)
    b.sample("dpdk.busy", of, "ns/packet", busy, "lower", rep=rep)
    b.progress(f"{wire.name}, {device.name}: {rate:.2f} Mpps, {100 * lost:.2f} % lost at the wire, "
               f"busy for {busy:.1f} ns a packet")


def run_relay(b, directory, rig, wire, socket, load, seconds, rep):
    relay = Relay(b, directory, rig, wire.dut.format(socket))
    try:
        measure(b, load, relay, wire, relay.flows[4, 4], seconds, rep)
        relay.check()
        shutil.copy(relay.flows[4, 4], os.path.join(directory, "flows.jsonl"))
    finally:
        relay.end_flows()
        relay.close()


def run_testpmd(b, directory, rig, wire, socket, load, seconds, rep):
    testpmd = Testpmd(rig, wire.dut.format(socket))
    try:
        measure(b, load, testpmd, wire, os.path.join(directory, "flows.jsonl"), seconds, rep)
    finally:
        testpmd.close()


def run_wire(b, directory, wire, seconds):
    socket = os.path.join(directory, f"{wire.name}.sock")
    rig = TapRig("dpdk")
    try:
        load = rig.start("out", [b.program("bench/dpdk/dpdk-load"), "--device",
                                 wire.load.format(socket), "--tap", Rig.OUT, "--cpu", LOAD_CPU])
        load.line(READY_SEC)
        for rep in range(b.reps):
            b.bounce()
            with out_of_the_way():
                run_relay(b, directory, rig, wire, socket, load, seconds, rep)
                run_testpmd(b, directory, rig, wire, socket, load, seconds, rep)
    finally:
        rig.close()
    for name in ("dpdk.rate", "dpdk.busy"):
        b.reference(name, params("turnpike", wire.name), name, params("testpmd", wire.name))


def run(b):
    if not servers.has_two_cpus(b):
        return
    if shutil.which("dpdk-testpmd") is None:
        raise BenchError("no dpdk-testpmd: install Debian's dpdk-dev")
    sweep()
    b.target("virtio-user, 206 bytes, against testpmd macswap", "dpdk.rate",
             params("turnpike", "virtio-user"), 0.90, 0.98, field="ratio", better="higher")
    b.target("memif, zero-copy, 206 bytes, busy for so much more than testpmd macswap",
             "dpdk.busy", params("turnpike", "memif"), 35, 25, field="difference")
    with huge_pages(HUGE_PAGES), temporary_directory() as directory:
        for wire in WIRES:
            run_wire(b, directory, wire, 1 if b.quick else 4)
