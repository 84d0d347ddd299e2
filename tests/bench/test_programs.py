# SPDX-License-Identifier: Apache-2.0
"""Command lines of the programs that the parts run: what they explain, and what they refuse."""
import os
import subprocess

import pytest

CLIENT = "--server 192.0.2.1 --user u --password p --source 192.0.2.2 --peer 192.0.2.3"
GENERATOR = "--if none0 --mac 02:00:00:00:00:01 --flows none"
PROGRAMS = {
    "bounce": "",
    "client/turn-flows": CLIENT,
    "client/turn-soak": CLIENT,
    "client/turn-storm": CLIENT,
    "dpdk/dpdk-load": "--device net_memif --tap tap0",
    "kernel_xdp/kernel_xdp attach": GENERATOR,
    "kernel_xdp/kernel_xdp test-run": "",
    "pipeline/pipeline": "",
    "wire/generator": GENERATOR + " --direction up",
    "wire/l2fwd": "--if none0",
    "wire/sink": "--if none0",
}


@pytest.fixture
def run(root):
    """run(PROGRAM, OPTIONS): status, stdout and stderr of a program of the build."""
    build = os.environ.get("TURNPIKE_BUILD", os.path.join(root, "build-bench"))

    def call(program, options):
        done = subprocess.run([os.path.join(build, "bench", *program.split()[:1]),
                               *program.split()[1:], *options.split()],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr
    return call


@pytest.mark.parametrize("program", PROGRAMS)
def test_help(run, program):
    status, out, err = run(program, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: {os.path.basename(program)} ")
    required = PROGRAMS[program].split()[::2]
    for line in out.splitlines():
        if line.startswith("  --"):
            assert line.endswith("(required)") == (line.split()[0] in required), line


@pytest.mark.parametrize("program", PROGRAMS)
def test_usage(run, program):
    required = PROGRAMS[program].split()
    cases = [(required + ["--nope"], "--nope: no such option"),
             (required + ["more"], "more: no such option")]
    cases += [(required[:at] + required[at + 2:], f"{required[at]} is required")
              for at in range(0, len(required), 2)]
    for options, message in cases:
        status, out, err = run(program, " ".join(options))
        assert (status, out, err.count("\n")) == (2, "", 1) and message in err, (options, err)


@pytest.mark.parametrize("program,options,message", [
    ("bounce", "--cpus 0", "two different CPUs"),
    ("bounce", "--cpus 1,1", "two different CPUs"),
    ("bounce", "--seconds 11", "a number from 0 to 10"),
    ("client/turn-flows", "--family 5", "must be 4 or 6"),
    ("client/turn-flows", "--family 6", "must be of --family"),
    ("client/turn-flows", "--peer-port 65535 --channels 2", "not as many ports"),
    ("client/turn-soak", "--source 192.0.2.0/30", "must be one address"),
    ("client/turn-storm", "--source 192.0.2.1/30", "a prefix without host bits"),
    ("client/turn-storm", f"--source {'192.0.2.1,' * 64}192.0.2.1", "64 at most"),
    ("client/turn-storm", "--port 0", "a number from 1 to 65535"),
    ("dpdk/dpdk-load", "--cpu x", "a number from 0 to 1023"),
    ("kernel_xdp/kernel_xdp", "", "say test-run or attach"),
    ("kernel_xdp/kernel_xdp", "both", "both: no such option"),
    ("kernel_xdp/kernel_xdp attach", "--relay-port-min 9 --relay-port-max 8", "at most 8"),
    ("kernel_xdp/kernel_xdp test-run", "--path hairpin_4to4", "one of the eight paths"),
    ("pipeline/pipeline", "--path up_4to5", "a path, or eight, or all"),
    ("pipeline/pipeline", "--only paths,bench", "bench: must be one of paths|bursts|threads|floors"),
    ("wire/generator", "--payload 66", "a multiple of 4"),
    ("wire/generator", "--mac nobody", "--mac nobody: must be"),
    ("wire/l2fwd", "--mode auto", "one of zerocopy|copy|skb"),
    ("wire/sink", "--check-every 3", "--check-every 3: must be a power of two"),
    ("wire/sink", "--latency-every 6", "--latency-every 6: must be a power of two"),
])
def test_values(run, program, options, message):
    status, out, err = run(program, f"{PROGRAMS.get(program, '')} {options}")
    assert (status, out) == (2, "") and message in err


@pytest.mark.parametrize("program", ["wire/generator", "wire/l2fwd", "wire/sink"])
def test_an_interface_that_is_not_there_is_no_mistake_in_the_usage(run, program):
    status, out, err = run(program, PROGRAMS[program])
    assert (status, out) == (1, "") and "none0: no such interface" in err
