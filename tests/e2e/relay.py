# SPDX-License-Identifier: Apache-2.0
"""The daemon under test, in a lab's relay namespace, and what its control socket says."""

import copy
import json
import os
import pathlib
import re
import subprocess
import threading
import time

import lab

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TURNPIKE_BUILD", REPO / "build-gcc"))
DAEMON = str(BUILD / "app/turnpike/turnpike")
CTL = str(BUILD / "app/turnpikectl/turnpikectl")

# Of tests that do not care: with TURNPIKE_MODE=dpdk they alone are run, on DPDK ports.
MODE = os.environ.get("TURNPIKE_MODE", "copy")

PORT_MIN, PORT_MAX = 49152, 65535
SECRETS = ("newest-secret", "previous-secret")
READY_SEC = 20  # generous: sanitizer builds on a busy machine
NET_TAP_HOLDS = 1023  # frames for each queue, a chain that is as long as the queue

# What a sanitizer or a failed assertion of our own prints.
_FATAL = re.compile(r"Sanitizer|runtime error:|Assertion .* failed|panic", re.IGNORECASE)


def interface(net, name, mode):
    """An interface's part of the configuration; `dpdk` is a mode here."""
    if mode != "dpdk":
        return {"name": name, "driver": "afxdp", "mode": mode}
    tap, queues = net.to_dpdk("relay", name), getattr(net, "queues", 1)
    device = f"net_tap_{name},iface={tap},mac={net.mac('relay', tap)}"
    if queues > 1:
        # A TAP sends a flow to the queue that spoke last, which for answers is the kernel's.
        device = f"net_af_packet_{name},iface={name}w,qpairs={queues}"
    return {"name": name, "driver": "dpdk", "device": device, "kernel": name}


def default_conf(net, mode):
    """The configuration most tests use; a dict, changed by the test, written as YAML."""
    interfaces = list(net.INTERFACES)
    conf = {
        "realm": "turnpike.test",
        "listen": [{"address": a} for a in net.LISTEN.values()],
        "relay": {
            "addresses": [{"address": a} for a in net.RELAY.values()],
            "ports": {"min": PORT_MIN, "max": PORT_MAX},
        },
        "auth": {
            "users": [
                {"name": "alice", "password": "wonder"},
                {"name": "bob", "password": "builder"},
            ],
            "secrets": list(SECRETS),
        },
        # The lab's addresses are private ones, which `recommended` denies.
        "peers": {"deny": ["recommended"], "allow": ["10.88.0.0/13", "fd90::/13"]},
        "legacy_channels": True,  # Debian's uclient picks channels of RFC 5766
        "legacy_attributes": True,  # and asks for a second family by a draft's number
        "interfaces": [interface(net, name, mode) for name in interfaces],
    }
    if mode != "off":
        conf["cores"] = [
            {
                "cpu": (os.cpu_count() - 1 - queue) % os.cpu_count(),
                "queues": [f"{name}:{queue}" for name in interfaces],
                "idle": "adaptive",
            }
            for queue in range(getattr(net, "queues", 1))
        ]
    return conf


def to_yaml(conf):
    """JSON is YAML: one line for each top-level key."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in conf.items())


def wait_for(what, condition, timeout=10.0):
    """Poll until condition() is true and return its value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {timeout} s for {what}"
        time.sleep(0.02)
    return value


class Relay:
    def __init__(self, net, directory, mode=MODE, change=None, args=()):
        self.net = net
        self.mode = mode
        self.conf = copy.deepcopy(default_conf(net, mode))
        self.socket = str(directory / f"control{id(self):x}.sock")
        self.conf["control"] = {"cpu": 0, "socket": self.socket}
        if change:
            change(self.conf)
        self.path = directory / f"turnpike{id(self):x}.yaml"
        self.path.write_text(to_yaml(self.conf))
        self.args = list(args)
        self.process = None
        self.lines = []
        self.is_read = threading.Event()  # cleared: nobody reads what it logs
        self.is_read.set()

    # Life

    def spawn(self):
        """Start without waiting."""
        assert self.process is None
        self.lines = []
        self.process = self.net.popen(
            "relay",
            *getattr(self.net, "wrap", ()),
            *(DAEMON, "-c", str(self.path), *self.args),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._read, args=(self.process.stderr,), daemon=True)
        self.reader.start()
        return self

    def _read(self, stream):
        for line in stream:
            self.is_read.wait()
            self.lines.append(line.rstrip("\n"))

    def wait_said(self, text):
        """A line of the log comes some milliseconds after what it tells of."""
        wait_for(f"`{text}` in the log", lambda: text in self.log)

    def hang_up(self):
        """Close our end of its stderr: once the read that waits there has had a line."""
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), self.process.stderr.fileno())
        self.ctl("reload")
        self.reader.join(5)
        assert not self.reader.is_alive()

    @property
    def log(self):
        return "\n".join(self.lines)

    def start(self):
        """Start and wait for the line that says ready."""
        begin = time.monotonic()
        self.spawn()

        def is_ready():
            if any("ready" in line for line in self.lines):
                return True
            if self.process.poll() is not None:
                code = self.exit_code()
                raise AssertionError(f"exit {code} at start:\n{self.log}")
            return False

        wait_for("`ready`", is_ready, READY_SEC)
        self.start_sec = time.monotonic() - begin
        return self

    def exit_code(self, timeout=READY_SEC):
        """Wait for it to exit by itself."""
        code = self.process.wait(timeout)
        self.reader.join(5)
        self.process = None
        assert not _FATAL.search(self.log), self.log
        return code

    def kill(self):
        """SIGKILL, and reap."""
        self.process.kill()
        self.exit_code()

    def stop(self):
        """SIGTERM must end it with 0 and leave nothing: called for every test."""
        self.is_read.set()
        if self.process is None:
            return
        assert self.process.poll() is None, f"died: {self.process.returncode}\n{self.log}"
        self.process.terminate()
        try:
            code = self.exit_code(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop on SIGTERM\n{self.log}") from None
        assert code == 0, f"SIGTERM: exit {code}\n{self.log}"
        assert "not given back" not in self.log, self.log
        for name in self.net.INTERFACES:
            assert not self.net.has_xdp("relay", name), f"XDP program left on {name}"
        assert not os.path.exists(self.socket), "control socket left"

    # What it says

    def ctl(self, *args):
        return lab.run(CTL, "--socket", self.socket, *args, timeout=20)

    def stats(self):
        return json.loads(self.ctl("--json", "stats").stdout)

    def allocations(self):
        return json.loads(self.ctl("--json", "allocations").stdout)["allocations"]

    def paths(self):
        return self.stats()["total"]["paths"]

    def slow(self):
        """The kernel path's verdicts."""
        return self.stats()["kernel_path"]["verdicts"]

    def settled(self):
        """Statistics after traffic stopped: two looks that agree."""
        last = {}

        def same():
            now = self.stats()
            quiet = [now["total"], now["kernel_path"]] == [last.get("total"), last.get("kernel_path")]
            last.update(now)
            return now if quiet else None

        return wait_for("traffic to stop", same)


def growth(before, after):
    """after - before, for two dicts of counters; zero entries left out."""
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}


def check_sums(stats):
    """Exactly one verdict for each packet, in every worker and in the kernel path."""
    for worker in stats["workers"]:
        assert sum(worker["verdicts"].values()) == worker["rx_pkts"], worker
    slow = stats["kernel_path"]
    assert sum(slow["verdicts"].values()) == slow["rx_pkts"], slow


def check_frames(stats):
    """Of a relay that is settled: every frame is free or in a ring."""
    for worker in stats["workers"]:
        umem, drivers = worker["umem"], {port["driver"] for port in worker["ports"]}
        assert umem["free"] + umem["in_rings"] == umem["chunks"], worker
        assert (umem["chunks"] > 0) == ("afxdp" in drivers), worker
        if "dpdk" in drivers:
            held = NET_TAP_HOLDS * sum(port["mode"] == "net_tap" for port in worker["ports"])
            assert worker["mbufs"]["free"] == worker["mbufs"]["frames"] - held > 0, worker
