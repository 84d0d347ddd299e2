# SPDX-License-Identifier: Apache-2.0
"""A private network for one device under test, and the processes in it.

    out (generator, sink, clients, peers)  out0 ===veth=== dut0  (device under test) dut

Nothing of the host's own network is touched: both ends of the veth are born in a namespace, named
tpb<pid>-<device>-out and -dut.  What a killed run left behind is removed by sweep().
"""
import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import time

from bench.harness.bench import BenchError

from . import netns

LOAD_CPU = 0  # generator, clients, everything that is not measured
DUT_CPU = 1
STOP_SEC = 5
CLIENTS_STOP_SEC = 1.5
NICE = -20  # so that what else runs on this machine takes little

# RFC 2544 appendix C.2.2 and RFC 5180 section 8: addresses for benchmarks.
CLIENT = {4: "198.18.0.2", 6: "2001:2::2"}
PEER = {4: "198.18.0.3", 6: "2001:2::3"}
SERVER = {4: "198.18.0.1", 6: "2001:2::1"}
PREFIX_LENGTH = {4: 24, 6: 64}

_NAME = re.compile(r"^tpb(\d+)-")

def run(*cmd, **options):
    """Run a command; what it said is in the error when it fails."""
    try:
        return netns.run(*cmd, **options).stdout
    except netns.CommandError as err:
        said = err.output.strip().splitlines()
        why = said[-1] if said else f"status {err.status}"
        raise BenchError(f"{' '.join(cmd)}: {why}") from None


def sweep():
    """Remove what a killed run left; what belongs to living runs stays."""
    netns.sweep(_NAME)
    for name in os.listdir(tempfile.gettempdir()):
        if netns.is_left_over(name, _NAME):
            shutil.rmtree(os.path.join(tempfile.gettempdir(), name), ignore_errors=True)


def temporary_directory():
    """Removed at the end, or by sweep()."""
    return tempfile.TemporaryDirectory(prefix=f"tpb{os.getpid()}-")


def prefer_session(pid, nice=NICE):
    """Priority of a session over others, where the kernel schedules sessions (autogroup), which is
    nothing to do with the priorities of processes.  @return what it was, or None"""
    path = f"/proc/{pid}/autogroup"
    try:
        with open(path, "r+", encoding="ascii") as file:
            old = int(file.read().split()[-1])
            file.seek(0)
            file.write(str(nice))
            return old
    except (OSError, ValueError, IndexError):
        return None


class Process:
    """A program in a namespace that talks by lines of JSON; its stderr is kept for errors."""

    def __init__(self, namespace, cpus, argv):
        self.name = f"{os.path.basename(argv[0])} in {namespace}"
        self.said = tempfile.TemporaryFile()
        self.rest = b""
        # `ip netns exec`, taskset and nice all exec: the process is the program itself.
        self.popen = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "nice", "-n", str(NICE), "taskset", "-c", cpus,
             *map(str, argv)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
            start_new_session=True)
        self.pid = self.popen.pid
        prefer_session(self.pid)

    def error(self, what):
        self.said.seek(0)
        tail = self.said.read().decode(errors="replace").strip().splitlines()[-3:]
        return BenchError(f"{self.name}: {what}" + (f": {' / '.join(tail)}" if tail else ""))

    def check(self):
        """Still running?"""
        if self.popen.poll() is not None:
            raise self.error(f"ended by itself, with status {self.popen.returncode}")

    def line(self, timeout):
        """The next line of its output, as an object."""
        end = time.monotonic() + timeout
        while b"\n" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
                raise self.error(f"no answer within {timeout:g} s")
            got = os.read(self.popen.stdout.fileno(), 65536)
            if not got:
                self.popen.wait(10)
                self.check()
                raise self.error("closed its output")
            self.rest += got
        line, self.rest = self.rest.split(b"\n", 1)
        try:
            return json.loads(line)
        except ValueError:
            raise self.error(f"not JSON: {line[:100]!r}") from None

    def tell(self, command):
        try:
            self.popen.stdin.write(command.encode() + b"\n")
            self.popen.stdin.flush()
        except BrokenPipeError:
            self.popen.wait(10)
            raise self.error(f"ended by itself, with status {self.popen.returncode}") from None

    def ask(self, command, timeout=10.0):
        self.tell(command)
        return self.line(timeout)

    def stop(self, until=None):
        """SIGTERM, and SIGKILL for what has not minded it by then (monotonic seconds)."""
        self.popen.terminate()
        try:
            self.popen.wait(STOP_SEC if until is None else max(until - time.monotonic(), 0.05))
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout, self.said):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Rig:
    """The network of one device under test; close() removes it and all that runs in it."""

    OUT, DUT = "out0", "dut0"

    def __init__(self, device, needs_gro=False):
        """needs_gro: the device has no native XDP program; without GRO it has no NAPI either, and
        XDP frames could not be sent to it."""
        self.prefix = f"tpb{os.getpid()}-{device}-"
        self.processes = []
        try:
            self._make_namespaces()
            self._make_link(needs_gro)
            self._make_addresses()
        except BaseException:
            self.close()
            raise

    def ns(self, role):
        return self.prefix + role

    def ip(self, role, *args):
        return run("ip", "-n", self.ns(role), *args)

    def ethtool(self, role, name, *features):
        run("ip", "netns", "exec", self.ns(role), "ethtool", "-K", name, *features)

    def mac(self, role):
        name = {"out": self.OUT, "dut": self.DUT}[role]
        return json.loads(run("ip", "-n", self.ns(role), "-j", "link", "show", name))[0]["address"]

    def start(self, role, argv, cpus=None):
        """Start a program; unless told otherwise, in `dut` on the CPU under test."""
        cpus = cpus or str({"out": LOAD_CPU, "dut": DUT_CPU}[role])
        process = Process(self.ns(role), cpus, argv)
        self.processes.append(process)
        return process

    def end(self, process):
        process.stop()
        self.processes.remove(process)

    def close(self):
        """What is interrupted here goes on all the same."""
        with contextlib.ExitStack() as stack:
            for role in ("out", "dut"):
                stack.callback(netns.delete, self.ns(role))
            for process in self.processes[:1]:  # the server: after its clients
                stack.callback(process.stop)
            for process in self.processes[1:]:
                stack.callback(process.stop, time.monotonic() + CLIENTS_STOP_SEC)
                process.popen.terminate()
        self.processes = []

    def _make_namespaces(self):
        for role in ("out", "dut"):
            run("ip", "netns", "add", self.ns(role))
            self.ip(role, "link", "set", "lo", "up")
            netns.sysctl(self.ns(role), netns.QUIET)

    def _make_link(self, needs_gro):
        run("ip", "link", "add", self.OUT, "netns", self.ns("out"), "type", "veth",
            "peer", "name", self.DUT, "netns", self.ns("dut"))
        for role, name in (("out", self.OUT), ("dut", self.DUT)):
            # A checksum that no hardware will ever complete is wrong on an AF_XDP socket.
            off = [word for feature in ("tx", "tso", "gso", "sg") for word in (feature, "off")]
            self.ethtool(role, name, *off, "gro", "off")
            self.ip(role, "link", "set", name, "up")
        if needs_gro:  # when both are up: only then the other end learns that it may send
            self.ethtool("dut", self.DUT, "gro", "on")

    def _make_addresses(self):
        hosts = {"out": (CLIENT, PEER), "dut": (SERVER,)}
        for role, name in (("out", self.OUT), ("dut", self.DUT)):
            for family, length in PREFIX_LENGTH.items():
                nodad = ["nodad"] if family == 6 else []
                for host in hosts[role]:
                    self.ip(role, "address", "add", f"{host[family]}/{length}", "dev", name, *nodad)
        # No ARP and ND while it is measured.
        for role, name, other in (("out", self.OUT, "dut"), ("dut", self.DUT, "out")):
            for host in hosts[other]:
                for family in PREFIX_LENGTH:
                    self.ip(role, "neigh", "replace", host[family], "dev", name,
                            "lladdr", self.mac(other), "nud", "permanent")
