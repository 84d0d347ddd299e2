# SPDX-License-Identifier: Apache-2.0
"""A TURN client over UDP, written from RFC 8656 and RFC 8489; shares nothing with the server."""

import base64
import collections
import hashlib
import hmac
import ipaddress
import os
import socket
import struct
import time
import zlib

COOKIE = 0x2112A442
COOKIE_BYTES = struct.pack("!I", COOKIE)

# Methods (RFC 8489 section 18.2, RFC 8656 section 17)
BINDING, ALLOCATE, REFRESH, SEND, DATA, CREATE_PERMISSION, CHANNEL_BIND = 1, 3, 4, 6, 7, 8, 9
# Classes (RFC 8489 section 5)
REQUEST, INDICATION, SUCCESS, ERROR = 0, 1, 2, 3

# Attributes (RFC 8489 section 18.3, RFC 8656 section 18)
MAPPED_ADDRESS = 0x0001
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA_ATTR = 0x0013
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_ADDRESS_FAMILY = 0x0017
EVEN_PORT = 0x0018
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
MESSAGE_INTEGRITY_SHA256 = 0x001C
PASSWORD_ALGORITHM = 0x001D
USERHASH = 0x001E
XOR_MAPPED_ADDRESS = 0x0020
RESERVATION_TOKEN = 0x0022
ADDITIONAL_ADDRESS_FAMILY = 0x8000
ADDRESS_ERROR_CODE = 0x8001
PASSWORD_ALGORITHMS = 0x8002
ICMP = 0x8004
SOFTWARE = 0x8022
FINGERPRINT = 0x8028

IPV4, IPV6 = 1, 2  # address families as STUN numbers them
UDP = 17

# Password algorithms (RFC 8489 section 18.5); None: a client of RFC 5389, which knows of none.
MD5, SHA256 = 1, 2
COOKIE_PREFIX = b"obMatJos2"
HAS_ALGORITHMS, IS_ANONYMOUS = 1 << 23, 1 << 22  # section 18.1


def family_of(ip):
    return IPV6 if ":" in str(ip) else IPV4


def xor_address(ip, port, tid):
    raw = ipaddress.ip_address(ip).packed
    mask = COOKIE_BYTES + tid
    return struct.pack("!BBH", 0, family_of(ip), port ^ (COOKIE >> 16)) + bytes(
        a ^ b for a, b in zip(raw, mask)
    )


def unxor_address(value, tid):
    _, family, port = struct.unpack("!BBH", value[:4])
    size = {IPV4: 4, IPV6: 16}[family]
    assert len(value) == 4 + size
    mask = COOKIE_BYTES + tid
    raw = bytes(a ^ b for a, b in zip(value[4:], mask))
    return str(ipaddress.ip_address(raw)), port ^ (COOKIE >> 16)


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def header(method, cls, length, tid):
    # RFC 8489 section 5: class bits 4 and 8 sit between the method's bits.
    kind = (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2
    kind |= (cls & 1) << 4 | (cls & 2) << 7
    return struct.pack("!HHI", kind, length, COOKIE) + tid


def long_term_key(username, realm, password, algorithm=None):
    """RFC 8489 section 18.5.1."""
    hashed = hashlib.sha256 if algorithm == SHA256 else hashlib.md5
    return hashed(f"{username}:{realm}:{password}".encode()).digest()


def userhash(username, realm):
    """RFC 8489 section 14.4."""
    return hashlib.sha256(f"{username}:{realm}".encode()).digest()


def nonce_features(nonce):
    """RFC 8489 section 9.2: the 24 bits of the nonce cookie; None: there is none."""
    if not nonce.startswith(COOKIE_PREFIX):
        return None
    return int.from_bytes(base64.b64decode(nonce[9:13], validate=True), "big")


def algorithm_value(algorithm):
    """PASSWORD-ALGORITHM, without parameters."""
    return struct.pack("!HH", algorithm, 0)


def time_limited(secret, lifetime_sec=3600, name="test", hashed=hashlib.sha1):
    """Credentials by draft-uberti-behave-turn-rest: (username, password)."""
    username = f"{int(time.time()) + lifetime_sec}:{name}"
    mac = hmac.new(secret.encode(), username.encode(), hashed).digest()
    return username, base64.b64encode(mac).decode()


def build(method, cls, attrs=(), tid=None, key=None, fingerprint=False, sha256=False):
    """A STUN message; attrs is a list of (type, value), an (ip, port) value being XORed."""
    tid = tid or os.urandom(12)
    body = b""
    for kind, value in attrs:
        body += attribute(kind, xor_address(*value, tid) if isinstance(value, tuple) else value)
    if key is not None and sha256:
        head = header(method, cls, len(body) + 36, tid)
        mac = hmac.new(key, head + body, hashlib.sha256).digest()
        body += attribute(MESSAGE_INTEGRITY_SHA256, mac)
    elif key is not None:
        head = header(method, cls, len(body) + 24, tid)
        body += attribute(MESSAGE_INTEGRITY, hmac.new(key, head + body, hashlib.sha1).digest())
    if fingerprint:
        head = header(method, cls, len(body) + 8, tid)
        crc = zlib.crc32(head + body) ^ 0x5354554E
        body += attribute(FINGERPRINT, struct.pack("!I", crc))
    return header(method, cls, len(body), tid) + body


class Message:
    """A STUN message taken apart; strict, because the server under test wrote it."""

    def __init__(self, data):
        assert len(data) >= 20, "short STUN message"
        kind, length, cookie = struct.unpack("!HHI", data[:8])
        assert kind < 0x4000 and cookie == COOKIE, "no STUN message"
        assert length == len(data) - 20 and length % 4 == 0, "STUN length is wrong"
        self.data = data
        self.tid = data[8:20]
        self.method = (kind & 0xF) | (kind >> 1 & 0x70) | (kind >> 2 & 0xF80)
        self.cls = (kind >> 4 & 1) | (kind >> 7 & 2)
        self.attrs = []
        self.offset = {}
        pos = 20
        while pos < len(data):
            attr, size = struct.unpack("!HH", data[pos : pos + 4])
            end = pos + 4 + size
            assert end <= len(data), "attribute leaves the message"
            # RFC 8489 section 14 allows any padding; section 14 of ours: zero on send.
            assert not any(data[end : end + -size % 4]), "padding is not zero"
            self.attrs.append((attr, data[pos + 4 : end]))
            self.offset.setdefault(attr, pos)
            pos = end + -size % 4

    def get(self, kind):
        return next((value for k, value in self.attrs if k == kind), None)

    def all(self, kind):
        return [value for k, value in self.attrs if k == kind]

    def address(self, kind):
        value = self.get(kind)
        return None if value is None else unxor_address(value, self.tid)

    def addresses(self, kind):
        return [unxor_address(value, self.tid) for value in self.all(kind)]

    @property
    def error(self):
        """The error code of an error response, 0 of a success."""
        value = self.get(ERROR_CODE)
        if self.cls != ERROR:
            assert value is None
            return 0
        assert value is not None and len(value) >= 4
        return (value[2] & 7) * 100 + value[3]

    @property
    def lifetime(self):
        return struct.unpack("!I", self.get(LIFETIME))[0]

    def check_integrity(self, key):
        """RFC 8489 section 14.5: the length covers MESSAGE-INTEGRITY and nothing after it."""
        pos = self.offset.get(MESSAGE_INTEGRITY)
        assert pos is not None, "response without MESSAGE-INTEGRITY"
        head = self.data[:2] + struct.pack("!H", pos + 24 - 20) + self.data[4:20]
        want = hmac.new(key, head + self.data[20:pos], hashlib.sha1).digest()
        assert self.get(MESSAGE_INTEGRITY) == want, "MESSAGE-INTEGRITY does not match"

    def check_integrity_sha256(self, key):
        """RFC 8489 section 14.6: all 32 bytes."""
        pos = self.offset.get(MESSAGE_INTEGRITY_SHA256)
        assert pos is not None, "response without MESSAGE-INTEGRITY-SHA256"
        head = self.data[:2] + struct.pack("!H", pos + 36 - 20) + self.data[4:20]
        want = hmac.new(key, head + self.data[20:pos], hashlib.sha256).digest()
        assert self.get(MESSAGE_INTEGRITY_SHA256) == want, "MESSAGE-INTEGRITY-SHA256 does not match"

    def check_fingerprint(self):
        """RFC 8489 section 14.7: the last attribute."""
        pos = self.offset.get(FINGERPRINT)
        assert pos is not None and pos == len(self.data) - 8, "no FINGERPRINT at the end"
        want = zlib.crc32(self.data[:pos]) ^ 0x5354554E
        assert struct.unpack("!I", self.get(FINGERPRINT))[0] == want, "FINGERPRINT is wrong"


def channel_data(number, data, pad=False):
    """RFC 8656 section 12.4; padding is optional over UDP."""
    return struct.pack("!HH", number, len(data)) + data + bytes(-len(data) % 4 if pad else 0)


# What a client receives besides responses: kind is "data" (peer known) or "channel" (number).
# A Data indication about an error has no data, but icmp: (type, code, error data).
Received = collections.namedtuple("Received", "kind peer number data icmp", defaults=(None,))


class Client:
    """One five-tuple.  The socket is the caller's: made in whichever namespace.

    With `algorithms`, in any order, a client of RFC 8489 (section 9.2.5); else one of RFC 5389.
    """

    def __init__(self, sock, server, username="alice", password="wonder", algorithms=()):
        self.sock = sock
        self.server = server  # (ip, port)
        self.username = username
        self.password = password
        self.realm = self.nonce = self.key = None
        self.algorithms = algorithms
        self.algorithm = self.algorithm_list = None  # chosen; as the server sent them
        self.is_anonymous = False
        self.relayed = []  # [(ip, port)] of the allocation
        self.mapped = None
        self.backlog = collections.deque()
        self.retransmissions = 0

    # The wire

    def send_raw(self, data):
        self.sock.sendto(data, self.server)

    def _read(self, timeout):
        self.sock.settimeout(max(timeout, 0.0001))
        try:
            data, source = self.sock.recvfrom(65536)
        except (TimeoutError, socket.timeout):
            return None
        # RFC 8489 section 6.3.1.2: answers come from where the request went.
        assert source[:2] == self.server[:2], f"from {source[:2]}, not from {self.server[:2]}"
        return data

    @staticmethod
    def _is_response(data):
        return data[0] < 0x40 and (data[0] & 1) == 1

    def _take(self, data):
        """Anything but a response: into the backlog."""
        if 0x40 <= data[0] <= 0x7F:
            number, size = struct.unpack("!HH", data[:4])
            assert len(data) - 4 >= size, "ChannelData is cut short"
            assert len(data) - 4 - size < 4, "more than padding after ChannelData"
            self.backlog.append(Received("channel", None, number, data[4 : 4 + size]))
            return
        message = Message(data)
        assert (message.method, message.cls) == (DATA, INDICATION), "unexpected message"
        peer = message.address(XOR_PEER_ADDRESS)
        icmp = message.get(ICMP)
        if icmp is not None:
            assert len(icmp) == 8 and icmp[:2] == b"\0\0" and message.get(DATA_ATTR) is None
            icmp = struct.unpack("!BBI", icmp[2:])
        self.backlog.append(Received("data", peer, None, message.get(DATA_ATTR), icmp))

    def transact(self, data, timeout=4.0, rto=0.5):
        """Send until a response with the same transaction arrives; None: none came."""
        end = time.monotonic() + timeout
        while (now := time.monotonic()) < end:
            self.send_raw(data)
            until = min(now + rto, end)
            rto *= 2
            while (left := until - time.monotonic()) > 0:
                got = self._read(left)
                if got is None:
                    break
                if not self._is_response(got):
                    self._take(got)
                    continue
                message = Message(got)
                if message.tid == data[8:20]:
                    return message
            self.retransmissions += 1
        return None

    def receive(self, timeout=2.0):
        """The next Data indication or ChannelData, or None."""
        end = time.monotonic() + timeout
        while not self.backlog:
            left = end - time.monotonic()
            if left <= 0:
                return None
            got = self._read(left)
            if got is not None and not self._is_response(got):
                self._take(got)
        return self.backlog.popleft()

    # Requests

    def auth_attrs(self):
        attrs = [(USERNAME, self.username.encode())]
        if self.is_anonymous:
            attrs = [(USERHASH, userhash(self.username, self.realm.decode()))]
        attrs += [(REALM, self.realm), (NONCE, self.nonce)]
        if self.algorithm is not None:
            attrs.append((PASSWORD_ALGORITHMS, self.algorithm_list))
            attrs.append((PASSWORD_ALGORITHM, algorithm_value(self.algorithm)))
        return attrs

    def choose(self, message):
        """RFC 8489 section 9.2.5: what the challenge offers, if the nonce says that it does."""
        features = nonce_features(self.nonce)
        self.algorithm_list = message.get(PASSWORD_ALGORITHMS)
        assert features is not None and features & HAS_ALGORITHMS, "no nonce cookie"
        assert self.algorithm_list is not None, "bid-down: the list was stripped"
        self.is_anonymous = bool(features & IS_ANONYMOUS)
        words = [w for w, _ in struct.iter_unpack("!HH", self.algorithm_list)]
        self.algorithm = next(w for w in words if w in self.algorithms)

    def learn(self, message):
        """REALM and NONCE of a 401 or 438."""
        self.realm = message.get(REALM)
        self.nonce = message.get(NONCE)
        assert self.realm and self.nonce, f"{message.error} without REALM or NONCE"
        if self.algorithms:
            self.choose(message)
        self.key = long_term_key(
            self.username, self.realm.decode(), self.password, self.algorithm
        )

    def signed(self, method, attrs, **kw):
        """A request with credentials."""
        sha256 = self.algorithm is not None
        return build(method, REQUEST, list(attrs) + self.auth_attrs(), None, self.key, sha256=sha256, **kw)

    def check_answer(self, answer):
        """RFC 8489 section 9.2.4: signed as the request was processed."""
        if self.algorithm is None:
            answer.check_integrity(self.key)
        else:
            answer.check_integrity_sha256(self.key)

    def request(self, method, attrs=(), fingerprint=False, timeout=4.0):
        """With long-term credentials (RFC 8489 section 9.2); repeats once on 401 and 438."""
        attrs = list(attrs)
        if self.key is None:
            first = self.transact(build(method, REQUEST, attrs), timeout)
            assert first is not None, "no answer"
            if first.error != 401:
                return first
            self.learn(first)
        for attempt in (1, 2):
            answer = self.transact(self.signed(method, attrs, fingerprint=fingerprint), timeout)
            assert answer is not None, "no answer"
            if fingerprint:
                answer.check_fingerprint()
            if answer.error != 438 or attempt == 2:
                break
            self.learn(answer)
        if answer.error == 0:
            self.check_answer(answer)
        return answer

    def binding(self, **kw):
        answer = self.transact(build(BINDING, REQUEST, **kw))
        assert answer is not None and answer.error == 0
        return answer.address(XOR_MAPPED_ADDRESS)

    def allocate_request(self, family=None, additional=None, lifetime=None, even_port=None, **kw):
        attrs = [(REQUESTED_TRANSPORT, bytes([UDP, 0, 0, 0]))]
        if family is not None:
            attrs.append((REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0])))
        if additional is not None:
            attrs.append((ADDITIONAL_ADDRESS_FAMILY, bytes([additional, 0, 0, 0])))
        if lifetime is not None:
            attrs.append((LIFETIME, struct.pack("!I", lifetime)))
        if even_port is not None:
            attrs.append((EVEN_PORT, bytes([0x80 if even_port else 0])))
        return self.request(ALLOCATE, attrs, **kw)

    def allocate(self, family=None, **kw):
        answer = self.allocate_request(family, **kw)
        assert answer.error == 0, f"Allocate: {answer.error}"
        self.relayed = answer.addresses(XOR_RELAYED_ADDRESS)
        self.mapped = answer.address(XOR_MAPPED_ADDRESS)
        assert self.relayed and self.mapped
        return self.relayed[0]

    def refresh(self, lifetime=None, family=None):
        attrs = []
        if lifetime is not None:
            attrs.append((LIFETIME, struct.pack("!I", lifetime)))
        if family is not None:
            attrs.append((REQUESTED_ADDRESS_FAMILY, bytes([family, 0, 0, 0])))
        return self.request(REFRESH, attrs)

    def permit(self, *ips):
        return self.request(CREATE_PERMISSION, [(XOR_PEER_ADDRESS, (ip, 0)) for ip in ips])

    def bind(self, number, ip, port):
        attrs = [
            (CHANNEL_NUMBER, struct.pack("!HH", number, 0)),
            (XOR_PEER_ADDRESS, (ip, port)),
        ]
        return self.request(CHANNEL_BIND, attrs)

    # Data

    def send(self, peer, data, dont_fragment=False):
        """Send indication (RFC 8656 section 11.1)."""
        attrs = [(XOR_PEER_ADDRESS, tuple(peer)), (DATA_ATTR, data)]
        if dont_fragment:
            attrs.append((DONT_FRAGMENT, b""))
        self.send_raw(build(SEND, INDICATION, attrs))

    def send_channel(self, number, data, pad=False):
        self.send_raw(channel_data(number, data, pad))
