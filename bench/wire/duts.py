# SPDX-License-Identifier: Apache-2.0
"""The devices under test, each in a network of its own, all standing at once.

Each has `name`, `rig`, and `flows[client family, peer family]`: a file of channels, 64 or as many as
asked for, that exist on it.
"""
import json
import os
import time

from bench.harness.bench import BenchError

from .rig import CLIENT, DUT_CPU, LOAD_CPU, NICE, PEER, PREFIX_LENGTH, SERVER, Rig, run

FAMILIES = ((4, 4), (4, 6), (6, 4), (6, 6))  # client, peer
USER, PASSWORD, REALM = "bench", "mark", "turnpike.bench"
READY_SEC = 30
# The clients have few addresses, and log in faster than any office behind one.
UNLIMITED = {"unauthenticated_per_source": 0, "unauthenticated_total": 0}
PEER_PORT = 20000  # and up, each set of flows a thousand further
SOURCE_PORT = 10000


def process_seconds(pid):
    """CPU time of any process: clock_getcpuclockid(3), which Python has for threads only."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0  # it ended; who asks will find out


class Device:
    """Common to all: the rig, and a directory for files."""

    name = None  # of the row's `dut`
    needs_gro = False

    def __init__(self, bench, directory, channels, instance=0):
        self.bench = bench
        self.channels = channels
        where = f"{self.name}{instance}" if instance else self.name
        self.directory = os.path.join(directory, where)
        os.makedirs(self.directory, exist_ok=True)
        self.flows = {}
        self.process = None
        self.rig = self.make_rig(where)
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def make_rig(self, where):
        return Rig(where, self.needs_gro)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self):
        raise NotImplementedError

    def cpu_seconds(self):
        """CPU time that it has used, softirq in its context included."""
        return process_seconds(self.process.pid)

    def check(self):
        """Is it alive, and did it do what its figures claim?"""
        self.process.check()

    def close(self):
        self.rig.close()


def made_up_flows(device):
    """Lists of channels for devices that know no TURN."""
    for at, (client, peer) in enumerate(FAMILIES):
        device.flows[client, peer] = device.path(f"flows-{client}to{peer}.jsonl")
        with open(device.flows[client, peer], "w", encoding="ascii") as file:
            for i in range(device.channels):
                file.write(json.dumps({
                    "client": CLIENT[client], "client_port": SOURCE_PORT + 1000 * at + i,
                    "server": SERVER[client], "server_port": 3478, "channel": 0x4000,
                    "relay": SERVER[peer], "relay_port": 50000 + 1000 * at + i,
                    "peer": PEER[peer], "peer_port": PEER_PORT + 1000 * at + i,
                }) + "\n")


class L2fwd(Device):
    """Our AF_XDP port and loop, with a MAC swap in the place of a relay."""

    def __init__(self, bench, directory, channels, mode, instance=0):
        self.name = f"l2fwd-{mode}"
        self.mode = mode
        self.needs_gro = mode == "skb"
        super().__init__(bench, directory, channels, instance)

    def start(self):
        made_up_flows(self)
        self.process = self.rig.start(
            "dut", [self.bench.program("bench/wire/l2fwd"), "--if", Rig.DUT, "--mode", self.mode])
        self.process.line(READY_SEC)


class TurnServer(Device):
    """A device with real clients: turn-flows makes allocations and channels, and keeps them."""

    def make_flows(self):
        for at, (client, peer) in enumerate(FAMILIES):
            process = self.rig.start("out", [
                self.bench.program("bench/client/turn-flows"),
                "--server", SERVER[client], "--user", USER, "--password", PASSWORD,
                "--realm", REALM, "--family", peer, "--allocations", self.channels,
                "--channels", 1, "--source", CLIENT[client],
                "--source-port", SOURCE_PORT + 1000 * at,
                "--peer", PEER[peer], "--peer-port", PEER_PORT + 1000 * at,
            ])
            self.flows[client, peer] = self.path(f"flows-{client}to{peer}.jsonl")
            self._write_flows(process, self.flows[client, peer])

    def _write_flows(self, process, path):
        n = 0
        with open(path, "w", encoding="ascii") as file:
            while "ready" not in (line := process.line(READY_SEC)):
                file.write(json.dumps(line) + "\n")
                n += 1
        if n != self.channels:
            raise BenchError(f"{self.name}: {n} channels instead of {self.channels}")


class Turnpike(TurnServer):
    def __init__(self, bench, directory, channels, mode, instance=0):
        self.name = f"turnpike-{mode}"
        self.mode = mode
        self.needs_gro = mode != "copy"
        super().__init__(bench, directory, channels, instance)

    def start(self):
        path = self.path("turnpike.yaml")
        with open(path, "w", encoding="ascii") as file:
            for key, value in self._conf().items():  # JSON is YAML
                file.write(f"{key}: {json.dumps(value)}\n")
        self.process = self.rig.start(
            "dut", [self.bench.program("app/turnpike/turnpike"), "-c", path],
            cpus=f"{LOAD_CPU},{DUT_CPU}")  # it pins its threads itself
        self._wait_for("`ready`", self._is_ready)
        self.make_flows()
        if self.mode != "off":
            self._wait_for("all channels to be fast", self._is_fast)
        self.before = self.stats()

    def _conf(self):
        conf = {
            "realm": REALM,
            "listen": [{"address": ip} for ip in SERVER.values()],
            "relay": {"addresses": [{"address": ip} for ip in SERVER.values()]},
            "auth": {"users": [{"name": USER, "password": PASSWORD}]},
            # Addresses for benchmarks are among the recommended ones to deny.
            "peers": {"allow": [f"198.18.0.0/{PREFIX_LENGTH[4]}", f"2001:2::/{PREFIX_LENGTH[6]}"]},
            "limits": UNLIMITED,
            "interfaces": [{"name": Rig.DUT, "driver": "afxdp", "mode": self.mode}],
            "control": {"cpu": LOAD_CPU, "socket": self.path("control.sock")},
        }
        if self.mode == "off":
            conf["control"]["cpu"] = DUT_CPU  # which is then the relay
        else:
            conf["cores"] = [{"cpu": DUT_CPU, "queues": [f"{Rig.DUT}:0"], "idle": "adaptive"}]
        return conf

    def _wait_for(self, what, is_true):
        end = time.monotonic() + READY_SEC
        while not is_true():
            self.process.check()
            if time.monotonic() > end:
                raise self.process.error(f"waited {READY_SEC} s for {what}")
            time.sleep(0.05)

    def _is_ready(self):
        self.process.said.seek(0)
        return b"ready" in self.process.said.read()

    def _ctl(self, what):
        return json.loads(run(self.bench.program("app/turnpikectl/turnpikectl"), "--json",
                              "--socket", self.path("control.sock"), what))

    def _is_fast(self):
        channels = [c for a in self._ctl("allocations")["allocations"] for c in a["channels"]]
        return len(channels) == len(FAMILIES) * self.channels and all(c["fast"] for c in channels)

    def stats(self):
        return self._ctl("stats")

    def check(self):
        """The figures are real: one verdict for each packet, and the right path carried them."""
        super().check()
        stats = self.stats()
        for worker in stats["workers"]:
            if sum(worker["verdicts"].values()) != worker["rx_pkts"]:
                raise BenchError(f"{self.name}: verdicts do not add up: {worker}")
        fast = sum(stats["total"]["paths"].values()) - sum(self.before["total"]["paths"].values())
        slow = (stats["kernel_path"]["verdicts"].get("relayed", 0)
                - self.before["kernel_path"]["verdicts"].get("relayed", 0))
        few, many = (fast, slow) if self.mode == "off" else (slow, fast)
        if few > many / 1000:
            raise BenchError(f"{self.name}: workers carried {fast} packets, the kernel path {slow}")


class Coturn(TurnServer):
    """Debian's, pinned to one core."""

    name = "coturn"
    needs_gro = True

    def start(self):
        directory = run(os.path.join(self.bench.source, "app/fetch_coturn.sh"),
                        os.path.join(self.bench.source, "build-coturn"), timeout=300).strip()
        argv = [os.path.join(directory, "turnserver"), "-n", "--lt-cred-mech",
                "--user", f"{USER}:{PASSWORD}", "--realm", REALM, "--relay-threads", "1",
                "--no-tls", "--no-dtls", "--no-tcp", "--no-tcp-relay", "--no-cli", "--no-rfc5780",
                "--pidfile", self.path("turnserver.pid"), "--userdb", self.path("turndb"),
                "--log-file", "/dev/null", "--simple-log", "--no-stdout-log"]
        for ip in SERVER.values():
            argv += ["--listening-ip", ip, "--relay-ip", ip]
        self.process = self.rig.start("dut", argv)
        self._wait_until_it_listens()
        self.make_flows()

    def _wait_until_it_listens(self):
        end = time.monotonic() + READY_SEC
        while len(self._listeners()) < len(SERVER):
            self.process.check()
            if time.monotonic() > end:
                raise self.process.error(f"does not listen within {READY_SEC} s")
            time.sleep(0.1)
        time.sleep(0.5)  # its threads open their sockets one after the other

    def _listeners(self):
        out = run("ip", "netns", "exec", self.rig.ns("dut"), "ss", "-Hlun", "sport = :3478")
        return {line.split()[3] for line in out.splitlines()}


class KernelXdp(Device):
    """The relay as an in-kernel XDP program, on a core of its own: the interface's NAPI is a thread
    pinned there, else it would run on the generator's."""

    name = "kernel-xdp"

    def start(self):
        made_up_flows(self)
        everything = self.path("flows.jsonl")
        with open(everything, "w", encoding="ascii") as file:
            for path in self.flows.values():
                with open(path, encoding="ascii") as part:
                    file.write(part.read())
        self.process = self.rig.start("dut", [
            self.bench.program("bench/kernel_xdp/kernel_xdp"), "attach", "--if", Rig.DUT,
            "--flows", everything, "--mac", self.rig.mac("out")])
        self.process.line(READY_SEC)
        self._pin_napi()

    def _pin_napi(self):
        run("ip", "netns", "exec", self.rig.ns("dut"), "sh", "-c",
            f"echo 1 >/sys/class/net/{Rig.DUT}/threaded")
        self.napi = run("pgrep", "-f", f"napi/{Rig.DUT}-", check=False).split()
        if len(self.napi) != 1:
            raise BenchError("the interface's NAPI did not become a thread")
        run("taskset", "-cp", str(DUT_CPU), self.napi[0])
        run("renice", "-n", str(NICE), "-p", self.napi[0])

    def cpu_seconds(self):
        return process_seconds(int(self.napi[0]))
