#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write the seeds of fuzz_pipeline: seeds.py DIRECTORY.

A seed is the program that fuzz_pipeline.c reads; see tape_flow() and held_open() there.  The seeds
are in corpus/pipeline; this is how they were made, and how to make more.
"""

import itertools
import pathlib
import struct
import sys

CHANNEL, SEND, DATA = 0, 1, 2
PORTS = {0: 0, 3478: 1, 49152: 2, 49153: 3, 65535: 4, 1000: 5, 9999: 6, 50000: 7}
# hosts 0-2: a client or peer, the listener, the relayed address
HOPS = {"plain": 0, "tagged": 1, "mtu 1280": 2, "mtu 68": 3, "jumbo": 4, "mtu 0": 5, "port 64": 6}
NO_HOP = 7
RIGHT, ABSENT, WRONG = 0, 2, 3
ALIVE, EXPIRED = 0, 0xFF


def addr(host, port):
    return host | PORTS[port] << 2


CLIENT, LISTENER = addr(0, 1000), addr(1, 3478)
RELAYED, RELAYED_B = addr(2, 49152), addr(2, 49153)
PEER, CLIENT_B, ANY_PORT = addr(0, 9999), addr(3, 1000), addr(0, 0)


def flow(form, src, dst, out_src, out_dst, legs, number=1, down=False, hairpin=False, peer=0, **kw):
    in6, out6 = (leg == 6 for leg in legs)
    # A Send indication names a peer of the family of the packet that leaves.
    flags = in6 | out6 << 1 | hairpin << 2 | out6 << 3 | down << 4
    hop, deadline = kw.get("hop", 0), kw.get("deadline", ALIVE)
    return bytes([form, flags, src, dst, peer, number, out_src, out_dst, hop, deadline])


def up(legs, **kw):
    return flow(CHANNEL, CLIENT, LISTENER, RELAYED, PEER, legs, **kw)


def down(legs, **kw):
    return flow(CHANNEL, PEER, RELAYED, LISTENER, CLIENT, legs, down=True, **kw)


def hairpin(legs, middle):
    return [
        flow(CHANNEL, CLIENT, LISTENER, RELAYED, RELAYED_B, (legs[0], middle), hairpin=True),
        flow(CHANNEL, RELAYED, RELAYED_B, LISTENER, CLIENT_B, (middle, legs[1]), 2, down=True),
    ]


def send(legs, **kw):
    return flow(SEND, CLIENT, LISTENER, RELAYED, ANY_PORT, legs, peer=ANY_PORT, **kw)


def data(legs, **kw):
    return flow(DATA, ANY_PORT, RELAYED, LISTENER, CLIENT, legs, **kw)


def built(n=0, size=5, csum=RIGHT, df=False, tag=False, tail=False, ttl=0, tos=0xB9, pad=0, **kw):
    """A frame for flow n."""
    edits = kw.get("edits", ())
    before = kw.get("before", False)
    mode = tag << 1 | df << 2 | csum << 3 | before << 5 | tail << 6
    head = struct.pack(
        "!BBBBBBHBBbB",
        *(mode, kw.get("headroom", 0), kw.get("tailroom", 4), n, tos, ttl, size, 0x5A, pad),
        *(kw.get("claim", 0), kw.get("port", 6)),
    )
    return head + bytes([len(edits)]) + b"".join(struct.pack("!HB", *e) for e in edits)


def raw(frame):
    return bytes([1, 0, 0]) + struct.pack("!H", len(frame)) + frame


def program(flows, frames, egress=0):
    return bytes([egress, len(flows)]) + b"".join(flows) + bytes([len(frames) - 1]) + b"".join(frames)


def seeds():
    legs = list(itertools.product((4, 6), repeat=2))
    sizes = [built(size=n, pad=n % 4) for n in (0, 1, 2, 3, 4, 5, 63, 64, 1199, 1200, 1400)]
    for pair in legs:
        name = f"{pair[0]}to{pair[1]}"
        for what, made in (("up", [up(pair)]), ("down", [down(pair)])):
            plain = [built(size=n) for n in (0, 1, 2, 5, 64, 1200, 1400)]
            yield f"{what}-{name}", program(made, sizes if what == "up" else plain)
            yield f"{what}-{name}-checksums", program(
                made, [built(size=n, csum=c) for n in (0, 3, 64) for c in (RIGHT, ABSENT, WRONG)]
            )
        for middle in (4, 6):
            yield f"hairpin-{name}-over{middle}", program(hairpin(pair, middle), sizes)
        indications = [built(size=n, port=7) for n in (0, 1, 2, 3, 4, 63, 1200)]
        yield f"send-{name}", program([send(pair)], indications)
        yield f"data-{name}", program([data(pair)], indications)
        yield f"data-{name}-no-tailroom", program(
            [data(pair)], [built(size=n, tailroom=t) for n in (0, 1, 2, 3) for t in (0, 1, 2, 3)]
        )
        yield f"fields-{name}", program(
            [up(pair), down(pair)],
            [
                *(built(n=1, ttl=t, tos=c, df=True) for t, c in ((1, 0), (2, 1), (255, 255))),
                built(tag=True, tail=True),
                *(built(headroom=h) for h in (1, 15, 16, 20, 23)),
                built(n=1, headroom=3, size=1400, df=True),
            ],
        )
        yield f"cut-{name}", program(
            [up(pair)],
            [
                *(built(size=9, claim=c) for c in (-9, -1, 1, 7, 127, -128)),
                *(built(size=9, edits=[(at, 0x10)]) for at in (12, 14, 17, 20, 23, 39, 43, 46)),
            ],
        )
    mixed = [up((4, 4)), down((4, 4)), *hairpin((6, 6), 4), data((6, 4), hop=HOPS["tagged"])]
    yield "mixed-burst", program(mixed, [built(n=i % 5, size=17 * i) for i in range(16)])
    yield "hops", program(
        [up((4, 4), number=i, hop=hop) for i, hop in enumerate([*HOPS.values(), NO_HOP])],
        [built(n=i, size=1300, df=i & 1) for i in range(8)],
        egress=3,
    )
    yield "expired", program(
        [up((4, 4), deadline=EXPIRED), down((4, 6), deadline=EXPIRED)], [built(n=0), built(n=1)]
    )
    yield "hairpin-expired", program(
        [hairpin((4, 4), 4)[0], hairpin((4, 4), 4)[1][:-1] + bytes([EXPIRED])], [built(n=0)]
    )
    yield "hairpin-other-side-gone", program(hairpin((4, 6), 6)[:1], [built(n=0)])
    yield "hairpin-to-itself", program(
        [flow(CHANNEL, CLIENT, LISTENER, RELAYED, RELAYED, (4, 4), hairpin=True)], [built(n=0)]
    )
    yield "send-hairpin", program(
        [
            flow(SEND, CLIENT, LISTENER, RELAYED, addr(2, 0), (4, 4), hairpin=True, peer=addr(2, 0)),
            flow(DATA, addr(2, 0), RELAYED_B, LISTENER, CLIENT_B, (4, 4)),
        ],
        [built(n=0, port=3, size=n) for n in (0, 1, 4, 100)],
    )
    yield "channel-before-permission", program(
        [down((4, 4)), data((4, 4))], [built(n=0), built(n=1), built(n=1, port=5)]
    )
    yield "raw", program(
        [up((4, 4))], [raw(b""), raw(bytes(13)), raw(bytes(14)), raw(b"\xff" * 60), raw(bytes(1500))]
    )
    yield "empty", b""


def main(directory):
    for name, seed in seeds():
        (pathlib.Path(directory) / name).write_bytes(seed)


if __name__ == "__main__":
    main(sys.argv[1])
