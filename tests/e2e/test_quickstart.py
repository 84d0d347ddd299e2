# SPDX-License-Identifier: Apache-2.0
"""app/quickstart.sh, as a newcomer runs it, without the packages and the build."""

import json
import os
import re
import signal
import subprocess

import lab
import pytest
import relay as relays
import turn

pytestmark = pytest.mark.own_mode

QUICKSTART = str(relays.REPO / "app/quickstart.sh")
ENV = {**os.environ, "TURNPIKE_BUILD": str(relays.BUILD)}


def leftovers(pid):
    """What a quickstart that was process pid has left: namespaces, processes, directories."""
    found = [n for n in lab.run("ip", "netns", "list").stdout.split() if n.startswith(f"tpq{pid}-")]
    found += lab.run("pgrep", "-af", f"turnpike-quickstart.{pid}[.]|tpq{pid}-", check=False).stdout.splitlines()
    return found


def test_private_network_forwards_in_every_family_pair(coturn):
    process = subprocess.Popen(
        [QUICKSTART, "--seconds", "10"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    last = output[output.rindex("turnpike ") :]
    for client, peer in ((4, 4), (6, 6), (4, 6), (6, 4)):
        row = re.search(rf"IPv{client} +IPv{peer} +[\d ]*\d  +[\d ]*\d  +([\d ]*\d)$", last, re.M)
        assert row and int(row.group(1).replace(" ", "")) > 0, last
    assert leftovers(process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(coturn, number):
    process = subprocess.Popen(
        [QUICKSTART], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
        # A shell can not trap what was ignored when it started, as SIGINT is in background jobs.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    for line in process.stdout:
        if "IPv6" in line:
            break
    # As the terminal does it: to everybody in the foreground.
    os.killpg(process.pid, number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
    assert leftovers(process.pid) == []


def test_sigkill_is_cleaned_up_by_the_next_run(coturn):
    process = subprocess.Popen(
        [QUICKSTART], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        if "IPv6" in line:
            break
    process.kill()
    process.wait()
    namespace = f"tpq{process.pid}-relay"
    # The relay does not outlive the script.
    relays.wait_for(
        "the relay to end", lambda: not lab.run("ip", "netns", "pids", namespace).stdout
    )
    subprocess.run([QUICKSTART, "--seconds", "1"], env=ENV, capture_output=True, timeout=30)
    relays.wait_for("everything to go", lambda: leftovers(process.pid) == [])
    process.stdout.close()


def test_real_interface(one, tmp_path):
    """On a veth of the lab: credentials that work, and no trace afterwards."""
    process = one.popen(
        "relay",
        *(QUICKSTART, "--interface", one.NIC, "--seconds", "6"),
        env=ENV,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    text = ""
    for line in process.stdout:
        text += line if text or line.startswith("{") else ""
        if line.startswith("}"):
            break
    (server,) = json.loads(text)["iceServers"]
    assert f"turn:{one.LISTEN[4]}:3478?transport=udp" in server["urls"]
    assert f"turn:[{one.LISTEN[6]}]:3478?transport=udp" in server["urls"]
    with one.udp("client", one.CLIENT[4]) as sock:
        client = turn.Client(
            sock, (one.LISTEN[4], 3478), username=server["username"], password=server["credential"]
        )
        assert client.allocate()[0] == one.RELAY[4]
        # The lab's addresses are private: not as peers on a real interface.
        assert client.permit(one.PEER[4]).error == 403
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    assert not one.has_xdp("relay", one.NIC)
    assert leftovers(process.pid) == []


@pytest.mark.parametrize(
    "args, words",
    [
        (["--interface", "nosuch0"], ["nosuch0"]),
        (["--seconds", "soon"], ["soon"]),
        (["--bogus"], ["--interface"]),
    ],
)
def test_wrong_arguments(args, words):
    done = subprocess.run([QUICKSTART, *args], env=ENV, capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, None)
    for word in words:
        assert word in done.stderr


def test_help():
    done = subprocess.run([QUICKSTART, "--help"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "--seconds" in done.stdout
