# SPDX-License-Identifier: Apache-2.0
"""Everything received is hostile: nothing malformed is answered, nothing stops the relay."""

import os
import random
import struct

import pytest
import relay as relays
import turn
from call import Call

BINDING = turn.build(turn.BINDING, turn.REQUEST)


def with_length(message, length):
    return message[:2] + struct.pack("!H", length) + message[4:]


MALFORMED = {
    "empty": b"",
    "one byte": b"\0",
    "half a header": BINDING[:12],
    "header cut by one": BINDING[:19],
    "no magic cookie": BINDING[:4] + b"\0\0\0\0" + BINDING[8:],
    "length beyond the datagram": with_length(BINDING, 400),
    "length short of the datagram": BINDING + bytes(8),
    "length no multiple of four": with_length(BINDING + b"abc", 3),
    "attribute leaves the message": turn.build(turn.BINDING, turn.REQUEST, [(0x8022, b"abcd")])[:-8]
    + b"\x80\x22\x00\x40abcd",
    "attribute header cut": with_length(BINDING + b"\x80\x22\x00\x00\x80\x22", 6),
    "wrong fingerprint": turn.build(turn.BINDING, turn.REQUEST, fingerprint=True)[:-1] + b"\0",
    "response": turn.build(turn.BINDING, turn.SUCCESS, [(turn.XOR_MAPPED_ADDRESS, bytes(8))]),
    "error response": turn.build(turn.ALLOCATE, turn.ERROR, [(turn.ERROR_CODE, b"\0\0\4\1")]),
    "unknown indication": turn.build(0x0FF, turn.INDICATION),
    "DTLS": b"\x16\xfe\xff" + bytes(60),
    "RTP": b"\x80\x60" + bytes(40),
    "QUIC": b"\xc0\0\0\0\1" + bytes(1195),
    "channel of nobody": turn.channel_data(0x4001, b"x" * 30),
    "reserved channel": b"\x90\0\0\4abcd",
    "channel header cut": b"\x40\0\0",
    "channel length beyond": b"\x40\0\1\0abcd",
    "Send without data": turn.build(turn.SEND, turn.INDICATION),
    "Send with an unknown required attribute": turn.build(
        turn.SEND, turn.INDICATION, [(0x7F01, b"")]
    ),
}


@pytest.mark.parametrize("mode", ["copy", "off", "dpdk"])
@pytest.mark.parametrize("family", [4, 6])
def test_malformed_datagrams_are_counted_not_answered(one, start, open_client, family, mode):
    """RFC 8489 section 6.3 and RFC 7983: each is dropped with one verdict."""
    relay = start(one, mode)
    client = open_client(one, family)
    probe = open_client(one, family)
    probe.binding()
    for what, datagram in MALFORMED.items():
        before = relay.settled()
        client.send_raw(datagram)
        probe.binding()  # handled after it: answered, so the other one is done with

        def dropped():
            now = relay.stats()
            fast = relays.growth(before["total"]["verdicts"], now["total"]["verdicts"])
            slow = relays.growth(
                before["kernel_path"]["verdicts"], now["kernel_path"]["verdicts"]
            )
            found = {**fast, **slow}
            return sum(n for name, n in found.items() if name.startswith("drop_")) == 1

        relays.wait_for(f"{what!r} to be counted", dropped, timeout=3)
    client.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        pytest.fail(f"answered: {client.sock.recv(2048)!r}")
    relays.check_sums(relay.settled())


def garbage(rng):
    """Something that gets past the first checks more often than pure noise would."""
    kind = rng.randrange(6)
    noise = rng.randbytes(rng.choice((0, 1, 3, 4, 19, 20, 21, 60, 300, 1400)))
    if kind == 0:
        return noise
    if kind == 1:
        return struct.pack("!HH", rng.randrange(0x4000, 0x5000), rng.randrange(0x10000)) + noise
    method = rng.choice((1, 3, 4, 6, 8, 9, rng.randrange(0x1000)))
    attrs = [
        (rng.choice((6, 8, 9, 0xC, 0xD, 0x12, 0x13, 0x14, 0x15, 0x17, 0x19, 0x8000, 0x8028)),
         rng.randbytes(rng.choice((0, 1, 4, 8, 20, 40))))
        for _ in range(rng.randrange(6))
    ]
    message = turn.build(method, rng.randrange(4), attrs, key=rng.choice((None, b"k" * 16)),
                         fingerprint=rng.random() < 0.5)
    if kind < 4:
        return message
    broken = bytearray(message)
    for _ in range(rng.randrange(1, 4)):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    return bytes(broken)


def test_storm_of_garbage(one, start, open_client):
    """20,000 datagrams at listeners and relayed ports; a call goes on through it."""
    seed = int(os.environ.get("TURNPIKE_SEED", random.randrange(1 << 32)))
    print(f"TURNPIKE_SEED={seed}")
    rng = random.Random(seed)
    relay = start(one)
    talk = Call(relay, open_client(one, 4), one.udp("peer", one.PEER[4]), 4).wait_fast()
    senders = [open_client(one, 4), open_client(one, 6)]
    thrower = one.udp("peer", one.PEER[4])
    for i in range(20000):
        datagram = garbage(rng)
        if i % 10 == 9:
            thrower.sendto(datagram, talk.relayed)
        else:
            senders[i % 2].send_raw(datagram)
        if i % 1000 == 0:
            # Data indications of the thrower's noise are queued before what we wait for.
            talk.up(b"still there?")
    while talk.client.receive(0.3) is not None:
        pass
    talk.both(b"still here")
    open_client(one, 6).allocate()
    stats = relay.settled()
    relays.check_sums(stats)
    assert stats["turn"]["allocations"] == 2


def test_strangers_leave_no_state(one, start, open_client):
    """RFC 8656 section 5: nothing is stored for an unauthenticated source."""
    relay = start(one)
    request = turn.build(
        turn.ALLOCATE, turn.REQUEST, [(turn.REQUESTED_TRANSPORT, bytes([17, 0, 0, 0]))]
    )
    for _ in range(50):
        assert open_client(one, 4).transact(request).error == 401
    assert not any(relay.stats()["turn"].values())
