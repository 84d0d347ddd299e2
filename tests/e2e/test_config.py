# SPDX-License-Identifier: Apache-2.0
"""Configuration: what is wrong is said clearly before anything starts."""

import json
import os
import re
import socket

import lab
import pytest
import relay as relays
from call import Call


def set_in(*path):
    """set_in("relay", "ports", "min", 70000): a change of the configuration."""
    *keys, value = path

    def change(conf):
        for key in keys[:-1]:
            conf = conf[key]
        conf[keys[-1]] = value

    return change


def drop(key):
    return lambda conf: conf.pop(key)


def add_interface(conf):
    conf["interfaces"].append({"name": "nosuch0", "driver": "afxdp", "mode": "copy"})
    conf["cores"][0]["queues"].append("nosuch0:0")


def add_queue(conf):
    conf["cores"].append({"cpu": 0, "queues": ["relay0:7"], "idle": "adaptive"})


# what: (change, what the message must name)
WRONG = {
    "unknown key": (set_in("relmay", "x"), ["relmay"]),
    "unknown nested key": (set_in("relay", "portz", {}), ["portz"]),
    "port out of range": (set_in("relay", "ports", "max", 70000), ["max", "70000", "65535"]),
    "port range upside down": (
        set_in("relay", "ports", {"min": 60000, "max": 50000}),
        ["min", "max"],
    ),
    "not a number": (set_in("relay", "ports", "min", "many"), ["min", "many"]),
    "no realm": (drop("realm"), ["realm"]),
    "no listener": (set_in("listen", []), ["listen"]),
    "bad address": (set_in("listen", 0, "address", "10.91.0.256"), ["10.91.0.256"]),
    "wildcard listener": (set_in("listen", 0, "address", "0.0.0.0"), ["0.0.0.0"]),
    "bad mode": (set_in("interfaces", 0, "mode", "fast"), ["mode", "fast", "copy"]),
    "bad idle": (set_in("cores", 0, "idle", "lazy"), ["idle", "lazy", "adaptive"]),
    "bad prefix": (set_in("peers", "allow", ["10.0.0.0/33"]), ["10.0.0.0/33"]),
    "queue of unknown interface": (set_in("cores", 0, "queues", ["eth9:0"]), ["eth9"]),
}

@pytest.mark.parametrize("what", WRONG)
def test_wrong_configuration_is_explained(one, make_relay, what):
    """File, option, bad value and what is allowed; both at -t and at start."""
    change, words = WRONG[what]
    relay = make_relay(one, change=change)
    for args in (("-t", "-c"), ("-c",)):
        done = one.exec("relay", relays.DAEMON, *args, str(relay.path), check=False, timeout=20)
        assert done.returncode != 0
        for word in [relay.path.name, *words]:
            assert word in done.stderr, done.stderr
        assert "ready" not in done.stderr


def test_error_names_the_line(one, make_relay):
    relay = make_relay(one, change=set_in("relay", "ports", "max", 70000))
    lines = relay.path.read_text().splitlines()
    line = 1 + next(i for i, text in enumerate(lines) if text.startswith("relay:"))
    done = one.exec("relay", relays.DAEMON, "-t", "-c", str(relay.path), check=False)
    assert f"{relay.path}:{line}: relay.ports.max: 70000" in done.stderr


@pytest.mark.parametrize("text", ["", "realm: [", "- a\n- b\n", "realm: a\nrealm: b\n", "\0\1\2"])
def test_broken_yaml(one, make_relay, text):
    relay = make_relay(one)
    relay.path.write_text(text)
    done = one.exec("relay", relays.DAEMON, "-t", "-c", str(relay.path), check=False)
    assert done.returncode not in (0, None) and done.returncode > 0
    assert relay.path.name in done.stderr


def test_missing_file(one):
    done = one.exec("relay", relays.DAEMON, "-c", "/nonexistent/turnpike.yaml", check=False)
    assert done.returncode > 0
    assert "/nonexistent/turnpike.yaml" in done.stderr


@pytest.mark.own_mode
@pytest.mark.parametrize(
    "change, words",
    [
        (set_in("listen", 0, "address", "198.51.100.7"), ["198.51.100.7"]),
        (add_interface, ["nosuch0"]),
        (set_in("cores", 0, "cpu", 4000), ["4000"]),
        (add_queue, ["relay0 has 1 ", "ethtool -L relay0"]),
    ],
    ids=["foreign listener", "no such interface", "no such CPU", "no such queue"],
)
def test_what_the_machine_does_not_have(one, make_relay, change, words):
    """Known only at start: one clear sentence, non-zero exit, nothing left behind."""
    relay = make_relay(one, change=change).spawn()
    assert relay.exit_code() > 0, relay.log
    for word in words:
        assert word in relay.log
    assert not one.has_xdp("relay", one.NIC)


def test_foreign_relay_address_is_reported(one, make_relay):
    """Other relay addresses can serve meanwhile, and the address may come: not fatal."""
    relay = make_relay(one, change=set_in("relay", "addresses", 0, "address", "198.51.100.7")).start()
    assert "relay address 198.51.100.7 is not on this host" in relay.log


def test_port_taken_by_somebody_else(one, make_relay):
    taken = one.udp("relay", one.LISTEN[4], 3478)
    relay = make_relay(one).spawn()
    assert relay.exit_code() > 0
    assert f"{one.LISTEN[4]}:3478" in relay.log
    taken.close()
    relay.start()


def test_missing_capabilities_are_named(one, make_relay):
    """As nobody: one sentence, no crash."""
    relay = make_relay(one)
    for path in (relay.path, *relay.path.parents[:3]):
        path.chmod(0o755)
    done = one.exec(
        "relay",
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"),
        *(relays.DAEMON, "-c", str(relay.path)),
        check=False,
    )
    assert done.returncode > 0
    assert re.search(r"CAP_|root|capabilit|privilege", done.stderr), done.stderr


def test_dash_t_prints_the_effective_configuration(one, make_relay, tmp_path):
    """Defaults filled in, secrets hidden, and good as a configuration again."""
    relay = make_relay(one, change=drop("legacy_channels"))
    done = one.exec("relay", relays.DAEMON, "-t", "-c", str(relay.path))
    for word in ("turnpike.test", one.LISTEN[4], one.RELAY[6], "3478", "legacy_channels", "relay0:0"):
        assert word in done.stdout
    for secret in ("wonder", *relays.SECRETS):
        assert secret not in done.stdout + done.stderr
    assert "(hidden)" in done.stdout
    again = tmp_path / "again.yaml"
    again.write_text(done.stdout)
    second = one.exec("relay", relays.DAEMON, "-t", "-c", str(again))
    assert second.stdout == done.stdout


@pytest.mark.own_mode
def test_dash_t_touches_nothing(one, make_relay, start):
    """A running relay is not disturbed, and no privileges are needed."""
    running = start(one)
    one.exec("relay", relays.DAEMON, "-t", "-c", str(running.path))
    assert running.process.poll() is None
    assert one.has_xdp("relay", one.NIC)


def test_shipped_sample_is_accepted():
    lab.run(relays.DAEMON, "-t", "-c", str(relays.REPO / "config/turnpike.yaml"))


@pytest.mark.parametrize("args", [["--nonsense"], ["-c"], [], ["-c", "a", "b"]])
def test_wrong_arguments(args):
    done = lab.run(relays.DAEMON, *args, check=False, timeout=20)
    assert done.returncode > 0 and done.stderr


def test_json_logs_are_one_object_a_line(one, make_relay, open_client):
    relay = make_relay(one, args=("--log-format", "json")).start()
    Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).both(b"x")
    relay.stop()
    assert len(relay.lines) >= 2
    for line in relay.lines:
        entry = json.loads(line)
        assert isinstance(entry, dict) and entry, line


def test_closed_standard_files_are_nobody_elses(one, make_relay):
    """Else the log would go to whatever socket had their numbers."""
    relay = make_relay(one)
    command = 'exec "$0" -c "$1" <&- >&- 2>&-'
    process = one.popen("relay", "sh", "-c", command, relays.DAEMON, str(relay.path))
    try:
        relays.wait_for("its control socket", lambda: os.path.exists(relay.socket))
        relay.stats()
        files = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)]
        assert files == ["/dev/null"] * 3
    finally:
        process.terminate()
        assert process.wait(15) == 0


def test_a_control_socket_that_is_taken_is_no_silence(one, make_relay):
    """More than the relay serves at a time are told, and those who hold it change nothing."""
    relay = make_relay(one).start()
    held = []
    for _ in range(32):
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].connect(relay.socket)
    for _ in range(20):  # whether it is closed before it asks or after
        done = lab.run(relays.CTL, "--socket", relay.socket, "stats", check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("turnpikectl: no answer: ")
    held.pop().close()
    relays.wait_for("its place", lambda: lab.run(
        relays.CTL, "--socket", relay.socket, "stats", check=False).returncode == 0)
    for sock in held:
        sock.close()


def test_hostile_username_stays_on_its_line(one, make_relay, open_client):
    """What clients write reaches the log as data, never as format or line breaks."""
    relay = make_relay(one, args=("--log-format", "json")).start()
    for name in ("%n%s%n%s", 'a"b\\', "a\nb", "\x1b[2J", "x" * 500):
        assert open_client(one, 4, username=name).allocate_request().error == 401
    relay.stop()
    for line in relay.lines:
        json.loads(line)


@pytest.mark.parametrize("mode", ["auto", "zerocopy"])
def test_modes_that_veth_cannot_all_do(one, make_relay, mode):
    """auto takes what works and says so; zerocopy, asked for by name, is refused clearly."""
    relay = make_relay(one, mode)
    if mode == "auto":
        relay.start()
        (interface,) = relay.stats()["interfaces"]
        assert (interface["asked"], interface["mode"]) == ("auto", "copy")
        assert any("copy" in line and one.NIC in line for line in relay.lines)
    else:
        relay.spawn()
        assert relay.exit_code() > 0
        assert "zerocopy" in relay.log or "zero-copy" in relay.log
        assert one.NIC in relay.log


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two CPUs")
def test_two_queues_two_workers(multi, start, open_client):
    """Worker i on queue i: both carry traffic, nothing is lost."""
    relay = start(multi)
    calls = []
    for i in range(16):
        family = (4, 6)[i % 2]
        peer = multi.udp("peer", multi.PEER[family])
        calls.append(Call(relay, open_client(multi, family), peer, family))
    for call in calls:
        call.wait_fast()
    for call in calls:
        for i in range(10):
            call.both(bytes([i]) * 100)
    stats = relay.settled()
    assert [w["ports"][0]["queue"] for w in stats["workers"]] == [0, 1]
    for worker in stats["workers"]:
        assert worker["verdicts"]["forward"] > 0
    relays.check_sums(stats)


@pytest.mark.own_mode
def test_queue_without_a_worker_is_refused(multi, make_relay, open_client):
    """The message holds the ethtool command that helps, and fewer queues do help."""
    relay = make_relay(multi, change=lambda conf: conf["cores"].pop())
    relay.spawn()
    assert relay.exit_code() > 0
    command = re.search(r"`(ethtool -L relay0 [^`]+)`", relay.log)
    assert command, relay.log
    # A veth wants its other end to agree first.
    multi.exec("sw", "ethtool", "-L", "relay", "rx", "1", "tx", "1")
    multi.exec("relay", *command.group(1).split())
    relay.start()
    Call(relay, open_client(multi, 4), multi.udp("peer", multi.PEER[4]), 4).wait_fast().both(b"x")


def test_queue_named_twice_is_refused(multi, make_relay):
    relay = make_relay(multi, change=set_in("cores", 1, "queues", ["relay0:0"]))
    done = multi.exec("relay", relays.DAEMON, "-t", "-c", str(relay.path), check=False)
    assert done.returncode > 0 and "relay0:0" in done.stderr
