// SPDX-License-Identifier: Apache-2.0
//
// One end of a WebRTC call without camera: a data channel through a TURN server and no other way.
//
//   node webrtc_peer.js PACKAGE      with PACKAGE and its binaries on NODE_PATH
//
// Speaks a line of JSON at a time.  In: first {offers, bytes, server: {host, username, password}},
// then what the other end said as {description} or {candidate}.  Out: {description} and {candidate} for the other end, and
// {done: {sent, received}}, the SHA-256 of each, when both are complete.  Ends with its input.
"use strict";

const crypto = require("crypto");
const readline = require("readline");

const PORT = 3478;

const MESSAGE_BYTES = 16384; // what every implementation takes
const QUEUE_BYTES = 1 << 20; // sent and not yet on the wire, at most

function say(what) {
	process.stdout.write(JSON.stringify(what) + "\n");
}

function fail(error) {
	process.stderr.write(`${(error && error.stack) || error}\n`);
	process.exit(1);
}

// Random bytes both ways at once; resolves with the hash of each direction.
function exchange(channel, bytes) {
	const sent = crypto.createHash("sha256");
	const received = crypto.createHash("sha256");
	let toSend = bytes;
	let toReceive = bytes;

	return new Promise((resolve, reject) => {
		const finish = () => {
			if (toSend === 0 && toReceive === 0)
				resolve({ sent: sent.digest("hex"), received: received.digest("hex") });
		};
		const send = () => {
			while (toSend > 0 && channel.bufferedAmount < QUEUE_BYTES) {
				const message = crypto.randomBytes(Math.min(toSend, MESSAGE_BYTES));

				sent.update(message);
				channel.send(message);
				toSend -= message.length;
				if (toSend === 0)
					finish();
			}
			// Of @roamhq/wrtc's `bufferedamountlow` events, some never come.
			if (toSend > 0)
				setTimeout(send, 1);
		};

		channel.onerror = (event) => reject(event.error || event);
		channel.onmessage = ({ data }) => {
			received.update(Buffer.from(data));
			toReceive -= data.byteLength;
			if (toReceive < 0)
				reject(new Error("more received than was sent"));
			else if (toReceive === 0)
				finish();
		};
		if (channel.readyState === "open")
			send();
		else
			channel.onopen = send;
	});
}

// Connections with the browsers' interface, by package.
const connect = {
	"@roamhq/wrtc": ({ host, username, password }) => {
		const { RTCPeerConnection } = require("@roamhq/wrtc");
		const urls = `turn:${host.includes(":") ? `[${host}]` : host}:${PORT}?transport=udp`;

		return new RTCPeerConnection({
			iceServers: [{ urls, username, credential: password }],
			iceTransportPolicy: "relay",
		});
	},
	// Reads URLs without a place for an IPv6 address or a colon in a name: the server as a record.
	"node-datachannel": ({ host, username, password }) => {
		const { PeerConnection } = require("node-datachannel");
		const { RTCPeerConnection } = require("node-datachannel/polyfill");
		const peerConnection = new PeerConnection("end", {
			iceServers: [{ hostname: host, port: PORT, username, password, relayType: "TurnUdp" }],
			iceTransportPolicy: "relay",
		});

		return new RTCPeerConnection({ peerConnection, iceServers: [] });
	},
};

function start({ offers, bytes, server }) {
	const connection = connect[process.argv[2]](server);
	const run = (channel) => {
		channel.binaryType = "arraybuffer";
		exchange(channel, bytes).then((done) => say({ done }), fail);
	};

	connection.onicecandidate = ({ candidate }) => {
		if (candidate && candidate.candidate) {
			const { sdpMid, sdpMLineIndex } = candidate;
			// node-datachannel gives the line as it would stand in a description.
			const line = candidate.candidate.replace(/^a=/, "");

			say({ candidate: { candidate: line, sdpMid, sdpMLineIndex: sdpMLineIndex || 0 } });
		}
	};
	connection.onconnectionstatechange = () => {
		if (connection.connectionState === "failed")
			fail("the connection failed");
	};
	if (offers)
		run(connection.createDataChannel("data"));
	else
		connection.ondatachannel = ({ channel }) => run(channel);
	return connection;
}

async function describe(connection, kind) {
	await connection.setLocalDescription(await connection[kind]());
	const { type, sdp } = connection.localDescription;

	say({ description: { type, sdp } });
}

async function hear(connection, { description, candidate }) {
	if (candidate)
		return connection.addIceCandidate(candidate);
	await connection.setRemoteDescription(description);
	if (description.type === "offer")
		await describe(connection, "createAnswer");
}

async function main() {
	let connection = null;

	for await (const line of readline.createInterface({ input: process.stdin })) {
		const message = JSON.parse(line);

		if (connection)
			await hear(connection, message);
		else {
			connection = start(message);
			if (message.offers)
				await describe(connection, "createOffer");
		}
	}
	connection.close();
	setTimeout(() => process.exit(0), 300);
}

main().catch(fail);
