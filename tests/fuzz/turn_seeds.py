#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Write seeds of fuzz_turn: turn_seeds.py DIRECTORY.

A seed is what fuzz_turn.c reads: bytes that choose a configuration, then steps of town_step().  How
many bytes a step takes depends on what came before, so these are no scripts but mixtures, each with
a preference; corpus/turn is what `fuzz_turn -merge=1` kept of them and of what grew from them.
"""

import pathlib
import random
import sys

# First byte of a step, as town_step() divides it.
STEPS = {
    "act": range(0, 36),
    "deliver": range(36, 42),
    "peer": range(42, 51),
    "icmp": [51],
    "sleep": range(52, 58),
    "probe": [58],
    "expire": [59],
    "trouble": range(60, 64),
}
MIXTURES = {
    "good": {"act": 8, "peer": 1, "probe": 1},
    "relay": {"act": 6, "peer": 6, "sleep": 1},
    "late": {"act": 6, "deliver": 3, "sleep": 2},
    "ends": {"act": 6, "probe": 3, "sleep": 1, "expire": 1},
    "told": {"act": 6, "icmp": 2, "peer": 1},
    "trouble": {"act": 8, "trouble": 4, "probe": 1, "peer": 2},
    "all": {name: 1 for name in STEPS},
}


def seed(mixture, rng, length):
    out = bytearray(rng.randbytes(40))
    names, weights = zip(*mixture.items())
    while len(out) < length:
        step = rng.choices(names, weights)[0]
        out.append(rng.choice(STEPS[step]))
        if step == "act":
            out.append(rng.randrange(8))
        # Zeros are plain choices: most of what is rare wants the highest number.
        out += bytes(rng.choice((0, 0, rng.randrange(256))) for _ in range(rng.randrange(10)))
    return bytes(out)


def main(directory):
    for name, mixture in MIXTURES.items():
        for i in range(40):
            rng = random.Random(f"{name}{i}")
            path = pathlib.Path(directory) / f"{name}-{i}"
            path.write_bytes(seed(mixture, rng, 60 + 20 * i))


if __name__ == "__main__":
    main(sys.argv[1])
