# SPDX-License-Identifier: Apache-2.0
"""One end of a call with aioice, through a TURN server and no other way; see foreign.py."""

import asyncio
import hashlib
import json
import os
import random
import sys

import aioice
from aioice.ice import TransportPolicy

PORT = 3478
MESSAGE_BYTES, NUMBER_BYTES = 1100, 4
# Messages on the way at most, so that a socket's buffer holds them all.
WINDOW = 16


def say(what):
    print(json.dumps(what), flush=True)


def messages(total_bytes):
    """Of all sizes: a number, then random bytes."""
    made = []
    while total_bytes > 0:
        size = min(total_bytes, random.randrange(1, MESSAGE_BYTES))
        made.append(len(made).to_bytes(NUMBER_BYTES, "big") + os.urandom(size))
        total_bytes -= size
    return made


def digest(numbered):
    """Datagrams may overtake each other."""
    return hashlib.sha256(b"".join(sorted(numbered))).hexdigest()


async def exchange(connection, total_bytes):
    """Send what is ours, as fast as the other end takes it: it grants credit with empty messages."""
    sent = messages(total_bytes)
    waiting, credit = list(sent), WINDOW
    received, missing_bytes = [], total_bytes
    while waiting or missing_bytes > 0:
        while waiting and credit > 0:
            await connection.send(waiting.pop(0))
            credit -= 1
        data = await connection.recv()
        if data == b"":
            credit += WINDOW // 2
            continue
        received.append(data)
        missing_bytes -= len(data) - NUMBER_BYTES
        if len(received) % (WINDOW // 2) == 0:
            await connection.send(b"")
    return {"sent": digest(sent), "received": digest(received)}


async def main():
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    first = json.loads(await reader.readline())
    server = first["server"]
    connection = aioice.Connection(
        ice_controlling=first["offers"],
        turn_server=(server["host"], PORT),
        turn_username=server["username"],
        turn_password=server["password"],
        transport_policy=TransportPolicy.RELAY,
        # No candidate of this host, which aioice would otherwise use towards the other's relay.
        use_ipv4=False,
        use_ipv6=False,
    )
    await connection.gather_candidates()
    candidates = [candidate.to_sdp() for candidate in connection.local_candidates]
    ours = {
        "candidates": candidates,
        "username": connection.local_username,
        "password": connection.local_password,
    }
    say({"description": ours})

    theirs = json.loads(await reader.readline())["description"]
    for candidate in theirs["candidates"]:
        await connection.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
    await connection.add_remote_candidate(None)
    connection.remote_username = theirs["username"]
    connection.remote_password = theirs["password"]
    await connection.connect()
    say({"done": await exchange(connection, first["bytes"])})
    await reader.read()  # until we are to hang up
    await connection.close()


asyncio.run(main())
