# SPDX-License-Identifier: Apache-2.0
"""aioice, an ICE and TURN client in Python: between two of its ends, and towards a plain peer."""

import asyncio

import foreign
import lab
import pytest
import relay as relays
import turn
from aioice.turn import create_turn_endpoint
from call import MODES, PAIRS

PEER = str(relays.REPO / "tests/e2e/aioice_peer.py")
BYTES = 400_000  # each way
MOST_IN_A_PACKET = 1100
FEW = 30


@pytest.fixture
def call():
    with foreign.Calls() as calls:

        def make(net, families, login=foreign.STATIC):
            return calls.make(net, [("/usr/bin/python3", PEER)] * 2, families, BYTES, login)

        yield make


CASES = [(pair, "copy") for pair in PAIRS] + [((4, 6), mode) for mode in MODES if mode != "copy"]


@pytest.mark.parametrize("pair, mode", CASES, ids=[f"{c}to{p}-{mode}" for (c, p), mode in CASES])
def test_agents_connect_by_relays_only(one, start, call, pair, mode):
    relay = start(one, mode)
    ends = call(one, pair)
    foreign.check_hairpin(relay, pair, mode, BYTES // MOST_IN_A_PACKET, FEW)
    for end in ends:
        end.hang_up()
    relays.wait_for("both allocations to be deleted", lambda: relay.allocations() == [])


def test_time_limited_credentials(one, start, call):
    relay = start(one)
    call(one, (4, 6), turn.time_limited(relays.SECRETS[0]))
    foreign.check_hairpin(relay, (4, 6), relay.mode, BYTES // MOST_IN_A_PACKET, FEW)


class Inbox(asyncio.DatagramProtocol):
    def __init__(self):
        self.received = asyncio.Queue()
        self.closed = asyncio.Event()

    def datagram_received(self, data, address):
        self.received.put_nowait((data, address))

    def connection_lost(self, _):
        self.closed.set()


async def echo(server, peer, sizes):
    """Through an allocation to the peer and back, a datagram at a time; then the allocation is deleted."""
    transport, inbox = await create_turn_endpoint(Inbox, server, *foreign.STATIC)
    for size in sizes:
        data = bytes((3 * i + size) & 0xFF for i in range(size))
        transport.sendto(data, peer)
        assert await asyncio.wait_for(inbox.received.get(), 5) == (data, peer)
    relayed = transport.get_extra_info("sockname")
    transport.close()
    await asyncio.wait_for(inbox.closed.wait(), 5)
    return relayed


SIZES = [*range(130), 500, 999, 1200, 1400]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", [4, 6], ids=["4to4", "6to4"])
def test_allocation_to_a_plain_peer(one, start, echo_peer, client, mode):
    """RFC 8656 section 7.2: who asks for no family gets IPv4, also by an IPv6 listener."""
    relay = start(one, mode)
    echo_peer(one)
    with lab.inside(one.ns("client")):
        relayed = asyncio.run(echo((one.LISTEN[client], 3478), (one.PEER[4], 3480), SIZES))
    assert relayed[0] == one.RELAY[4]
    assert relay.allocations() == []
    stats = relay.settled()
    relays.check_sums(stats)
    if mode == "off":
        assert stats["kernel_path"]["verdicts"]["relayed"] == 2 * len(SIZES)
    else:
        few = 2
        for path in (f"up_{client}to4", f"down_4to{client}"):
            assert len(SIZES) - few <= stats["total"]["paths"][path] <= len(SIZES)
        assert stats["kernel_path"]["verdicts"]["relayed"] <= 2 * few
