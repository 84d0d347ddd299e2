# SPDX-License-Identifier: Apache-2.0
"""WebRTC stacks call each other through the relay and know no other way.

@roamhq/wrtc is libwebrtc, what browsers are made of: Allocate without REQUESTED-ADDRESS-FAMILY,
CreatePermission, indications for the first checks, then ChannelBind.  node-datachannel is
libdatachannel with libjuice, which sends CreatePermission, ChannelBind and FINGERPRINT.
"""

import platform
import subprocess

import foreign
import pytest
import relay as relays
import turn
from call import MODES, PAIR_IDS, PAIRS

PEER = str(relays.REPO / "tests/e2e/webrtc_peer.js")
LIBWEBRTC, LIBJUICE = "@roamhq/wrtc", "node-datachannel"

BYTES = 4_000_000  # each way
MOST_IN_A_PACKET = 1200  # of SCTP's data, whatever the stack
# Connectivity checks while there are no permissions, and the first packet of each flow.
FEW = 30


@pytest.fixture(scope="session")
def node_path():
    """The directory of node's packages."""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"{LIBWEBRTC} and {LIBJUICE} have no binary for {platform.machine()}")
    done = subprocess.run(
        [relays.REPO / "tests/e2e/fetch_webrtc.sh", relays.REPO / "build-webrtc"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def call(node_path):
    """call(net, packages, families, login=...): data both ways; returns both ends."""
    with foreign.Calls() as calls:

        def make(net, packages, families, login=foreign.STATIC):
            commands = [("node", PEER, package) for package in packages]
            return calls.make(net, commands, families, BYTES, login, {"NODE_PATH": node_path})

        yield make


def check_paths(relay, families, mode):
    stats = foreign.check_hairpin(relay, families, mode, BYTES // MOST_IN_A_PACKET, FEW)
    relays.check_sums(stats)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pair", PAIRS, ids=PAIR_IDS)
def test_two_stacks_call_each_other(one, start, call, pair, mode):
    relay = start(one, mode)
    call(one, (LIBWEBRTC, LIBJUICE), pair)
    check_paths(relay, pair, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("package", [LIBWEBRTC, LIBJUICE])
def test_a_stack_calls_itself(one, start, call, package, mode):
    relay = start(one, mode)
    ends = call(one, (package, package), (4, 4))
    check_paths(relay, (4, 4), mode)
    assert len(relay.allocations()) == 2
    if package == LIBWEBRTC:  # libjuice leaves that to the lifetime
        for end in ends:
            end.hang_up()
        relays.wait_for("both allocations to be deleted", lambda: relay.allocations() == [])


@pytest.mark.parametrize("secret", relays.SECRETS)
def test_time_limited_credentials(one, start, call, secret):
    relay = start(one)
    call(one, (LIBWEBRTC, LIBJUICE), (6, 6), turn.time_limited(secret))
    check_paths(relay, (6, 6), relay.mode)
