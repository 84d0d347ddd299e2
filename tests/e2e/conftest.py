# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a fresh network for every test, and relays that must stop cleanly in it."""

import os
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True
# For bench.wire.netns, which the benchmarks' rigs have as well.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import lab as labs
import relay as relays
import turn
import vlan
from call import Call, split


def pytest_configure(config):
    config.addinivalue_line("markers", "own_mode: what the test is about is one mode's, or all of them")


def is_for_any_mode(item):
    return "mode" not in getattr(getattr(item, "callspec", None), "params", {}) and (
        item.get_closest_marker("own_mode") is None
    )


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="namespaces need root"))
    if "TURNPIKE_MODE" in os.environ:
        # A test with modes is run in all of them already.
        items[:] = filter(is_for_any_mode, items)


@pytest.fixture(scope="session", autouse=True)
def swept():
    if not os.path.exists(relays.DAEMON):
        pytest.exit(f"{relays.DAEMON}: build it, or set TURNPIKE_BUILD", returncode=2)
    if os.geteuid() == 0:
        labs.sweep()


def prepared(net):
    """When all tests run on DPDK ports, from the start: a test may change the TAPs."""
    if relays.MODE == "dpdk":
        for name in net.INTERFACES:
            net.to_dpdk("relay", name)
    return net


def lent(net):
    """A fixture's network, until the test ends."""
    yield net
    net.close()


@pytest.fixture
def one():
    """One segment: client, relay, peer."""
    yield from lent(prepared(labs.OneNic()))


@pytest.fixture
def two():
    """A relay between two interfaces."""
    yield from lent(prepared(labs.TwoNics()))


@pytest.fixture
def three():
    """As `two`, with two ways to the peer."""
    yield from lent(prepared(labs.ThreeNics()))


@pytest.fixture
def tagged(tmp_path):
    """tagged(client_vid, peer_vid, mode=relays.MODE): a relay between VLANs; 0 is untagged."""
    made = []

    def make(client_vid, peer_vid, mode=relays.MODE):
        made.append(
            labs.VlanNics(
                *(lambda net: vlan.Vlans(net, tmp_path), client_vid, peer_vid),
                is_dpdk=mode == "dpdk",
            )
        )
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def multi():
    """As `one`, the relay's interface with two queues."""
    yield from lent(labs.OneNic(queues=2))


@pytest.fixture
def make_relay(tmp_path):
    """make_relay(net, mode=relays.MODE, change=None, args=()): a relay, not yet started."""
    made = []

    def make(net, *args, **kw):
        made.append(relays.Relay(net, tmp_path, *args, **kw))
        return made[-1]

    yield make
    errors = []
    for relay in made:
        try:
            relay.stop()
        except AssertionError as error:
            errors.append(error)
        print(f"--- turnpike said ---\n{relay.log}")
    if errors:
        raise errors[0]


@pytest.fixture
def start(make_relay):
    """start(net, ...): a relay that is ready."""
    return lambda *args, **kw: make_relay(*args, **kw).start()


@pytest.fixture
def open_client():
    """open_client(net, family, server=None, port=3478, ...): a TURN client."""
    made = []

    def make(net, family, server=None, port=3478, role="client", **kw):
        source = {"client": net.CLIENT, "peer": net.PEER}[role][family]
        sock = net.udp(role, source)
        made.append(sock)
        return turn.Client(sock, (server or net.LISTEN[family], port), **kw)

    yield make
    for sock in made:
        sock.close()


@pytest.fixture
def call(open_client):
    """call(relay, (client family, peer family)): set up, and fast where there are workers."""

    def make(relay, pair):
        net = relay.net
        made = Call(relay, open_client(net, pair[0]), net.udp("peer", net.PEER[pair[1]]), pair[1])
        return made if relay.mode == "off" else made.wait_fast()

    return make


@pytest.fixture(scope="session")
def coturn():
    """The directory of coturn's client tools."""
    done = subprocess.run(
        [relays.REPO / "app/fetch_coturn.sh", relays.REPO / "build-coturn"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def echo_peer(coturn):
    """echo_peer(net, ports=(3480,)): coturn's turnutils_peer on the peer's addresses."""
    made = []

    def make(net, ports=(3480,)):
        wanted = {(ip, port) for ip in net.PEER.values() for port in ports}
        for ip, port in wanted:
            made.append(
                net.popen(
                    "peer",
                    *(f"{coturn}/turnutils_peer", "-p", str(port), "-L", ip),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

        def listening():
            local = (line.split()[3] for line in net.exec("peer", "ss", "-Hlun").stdout.splitlines())
            return wanted <= {split(address) for address in local}

        relays.wait_for("turnutils_peer", listening)

    yield make
    for process in made:
        process.terminate()
        process.wait(5)
