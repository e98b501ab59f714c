"""A loopback of one's own, and a capture of everything on it by the attacker's program ($SEALCAST_ATTACKER)."""
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys

from harness import PATIENCE

ATTACKER = os.environ.get("SEALCAST_ATTACKER", "build/dev/tests/integration/attacker")
MARK, REFUSED = "SEALCAST_PRIVATE_NETWORK", "SEALCAST_NO_PRIVATE_NETWORK"


def private_network():
    """Starts this script again in a network namespace of its own: other tests use loopback too. Call it first. See
    refusal()."""
    if os.environ.get(REFUSED):
        return
    if os.environ.get(MARK):
        raise_loopback()
        return
    # Root, or a user namespace in which one is root.
    for options in (["-n"], ["-r", "-n"]):
        if (
            subprocess.run(
                ["unshare", *options, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            ).returncode
            == 0
        ):
            os.environ[MARK] = "1"
            os.execvp("unshare", ["unshare", *options, sys.executable, *sys.argv])
    why = "unshare of the network namespace is not permitted here (needs root or user namespaces): nothing is captured"
    os.environ[REFUSED] = why


def refusal():
    """Why there is no private network, or None."""
    return os.environ.get(REFUSED) or (None if os.environ.get(MARK) else "private_network() was not called")


def raise_loopback():
    get_flags, set_flags, up = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = fcntl.ioctl(any_socket, get_flags, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", request)[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))


class Capture:
    """with Capture(path): everything that crosses lo is in the file afterwards; it raises when the kernel dropped or
    cut anything."""

    def __init__(self, path):
        self.path = path
        self.packets = 0
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            [ATTACKER, "--capture", self.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        listening = select.select([self.process.stdout], [], [], PATIENCE)[0]
        if not listening or self.process.stdout.readline().strip() != "ready":
            self.process.kill()
            raise AssertionError(f"the capture does not start: {self.process.communicate()[1]}")
        return self

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGINT)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise AssertionError("the capture does not end") from value
        if kind is not None:
            return
        if self.process.returncode != 0:
            raise AssertionError(f"the capture failed: {err}")
        counts = json.loads(out.splitlines()[-1])
        if counts["drops"] or counts["truncated"] or not counts["packets"]:
            raise AssertionError(f"the capture is not whole: {counts}")
        self.packets = counts["packets"]


def attack(capture, plaintext, **options):
    """What the attacker reads in a capture; options: key, leaked_key, words, each a file."""
    arguments = [part for name, value in options.items() for part in ("--" + name.replace("_", "-"), value)]
    done = subprocess.run(
        [ATTACKER, capture, plaintext, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        raise AssertionError(f"the attacker fails with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)
