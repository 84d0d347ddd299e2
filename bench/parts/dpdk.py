# SPDX-License-Identifier: Apache-2.0
"""The relay without the kernel in its way: two processes at a wire of shared memory.

dpdk-load has the vhost side of the wire and sends as fast as frames are taken; the device under test
has the other end, net_virtio_user, on a core of its own.  turnpike relays real channels, whose
clients and peers are the kernel's behind dpdk-load; the reference is DPDK's own testpmd, which swaps
MAC addresses and does nothing else.  They take turns in each repetition, on the same frames.

The wire needs huge pages: they are reserved for the run, and what was there before is put back.
"""
import contextlib
import os
import shutil
import time

from bench.client import servers
from bench.harness.bench import BenchError
from bench.wire.duts import PASSWORD, PEER_PORT, READY_SEC, REALM, SOURCE_PORT, USER, Turnpike
from bench.wire.measure import out_of_the_way
from bench.wire.rig import (CLIENT, DUT_CPU, LOAD_CPU, PEER, SERVER, Rig, sweep,
                            temporary_directory)

HELP = "turnpike against testpmd's macswap on a virtio-user wire of shared memory"

CHANNELS = 1000
PAYLOAD = 160  # frames of 206 bytes: Ethernet 14, IPv4 20, UDP 8, ChannelData 4
FRAME = 206
HUGE_PAGES = 512  # of 2 MB: two processes, half of it spare
NR_HUGEPAGES = "/proc/sys/vm/nr_hugepages"
DUT_MAC = "02:00:00:00:00:02"
LOAD_MAC = "56:48:4f:53:54:00"  # net_vhost's
TESTPMD_SEC = 15


def params(dut):
    return {"dut": dut, "wire": "virtio-user", "frame": FRAME, "channels": CHANNELS}


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

    def __init__(self, bench, directory, rig, socket):
        self.shared, self.socket = rig, socket
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
                               "device": f"net_virtio_user0,path={self.socket},mac={DUT_MAC}"}]
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


class Testpmd:
    """DPDK's own forwarder, which swaps MAC addresses."""

    def __init__(self, rig, socket):
        self.rig = rig
        self.process = rig.start("dut", [
            "dpdk-testpmd", "--in-memory", "--single-file-segments", "--no-pci", "--no-telemetry",
            f"--lcores=0@{LOAD_CPU},1@{DUT_CPU}",
            f"--vdev=net_virtio_user0,path={socket},mac={DUT_MAC}", "--", "--auto-start",
            "--forward-mode=macswap", "--nb-cores=1", "--rxd=1024", "--txd=1024"],
            cpus=f"{LOAD_CPU},{DUT_CPU}")

    def close(self):
        self.rig.end(self.process)


def measure(b, load, dut, flows, seconds, rep):
    """One repetition.  What is received is what the device forwarded."""
    answer = load.ask(f"flows {flows} {DUT_MAC} {PAYLOAD}")
    if answer["frame_bytes"] != FRAME:
        raise BenchError(f"frames of {answer['frame_bytes']} bytes, not {FRAME}")
    end = time.monotonic() + TESTPMD_SEC
    while load.ask("run 100")["received"] == 0:  # until the device is there, and warm
        if time.monotonic() > end:
            raise BenchError(f"{dut}: nothing came back within {TESTPMD_SEC} s")
    got = load.ask(f"run {round(1000 * seconds)}", timeout=seconds + 10)
    rate = got["received"] / got["ns"] * 1000
    lost = 1 - got["received"] / max(got["sent"], 1)
    b.sample("dpdk.rate", params(dut), "Mpps", rate, "higher",
             {"sent_mpps": round(got["sent"] / got["ns"] * 1000, 3), "lost": round(lost, 5)},
             rep=rep)
    b.progress(f"{dut}: {rate:.2f} Mpps, {100 * lost:.2f} % lost at the wire")
    load.ask("watch 20")  # what is still on its way


def run_relay(b, directory, rig, socket, load, seconds, rep):
    relay = Relay(b, directory, rig, socket)
    try:
        measure(b, load, "turnpike", relay.flows[4, 4], seconds, rep)
        relay.check()
        shutil.copy(relay.flows[4, 4], os.path.join(directory, "flows.jsonl"))
    finally:
        relay.end_flows()
        relay.close()


def run_testpmd(b, directory, rig, socket, load, seconds, rep):
    testpmd = Testpmd(rig, socket)
    try:
        measure(b, load, "testpmd", os.path.join(directory, "flows.jsonl"), seconds, rep)
    finally:
        testpmd.close()


def run(b):
    if not servers.has_two_cpus(b):
        return
    if shutil.which("dpdk-testpmd") is None:
        raise BenchError("no dpdk-testpmd: install Debian's dpdk-dev")
    sweep()
    seconds = 1 if b.quick else 4
    b.target("virtio-user, 206 bytes, against testpmd macswap", "dpdk.rate", params("turnpike"),
             0.90, 0.98, field="ratio", better="higher")
    with huge_pages(HUGE_PAGES), temporary_directory() as directory:
        socket = os.path.join(directory, "wire.sock")
        rig = TapRig("dpdk")
        try:
            load = rig.start("out", [b.program("bench/dpdk/dpdk-load"), "--socket", socket,
                                     "--tap", Rig.OUT, "--cpu", LOAD_CPU])
            load.line(READY_SEC)
            for rep in range(b.reps):
                b.bounce()
                with out_of_the_way():
                    run_relay(b, directory, rig, socket, load, seconds, rep)
                    run_testpmd(b, directory, rig, socket, load, seconds, rep)
        finally:
            rig.close()
    b.reference("dpdk.rate", params("turnpike"), "dpdk.rate", params("testpmd"))
