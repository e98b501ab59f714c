"""A laboratory for tests: real processes on loopback, in a directory of their own. The program is named by
$SEALCAST."""
import contextlib
import glob
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SEALCAST = os.environ.get("SEALCAST", "build/dev/apps/sealcast/sealcast")
PATIENCE = float(os.environ.get("SEALCAST_TEST_PATIENCE", "60"))

# What may move a terminal's cursor or turn text around.
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def wait_until(what, condition, patience=PATIENCE):
    """Waits for an event, never for a length of time; says what it waited for when it gives up."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"gave up waiting for {what}")


def long_enough(size):
    """Options of a get that is to have a share from every partner: it lasts until the slowest of them has answered."""
    seconds = 15 if os.environ.get("SEALCAST_SANITIZER") else 6
    return ("--max-download-limit", str(max(size // seconds, 50_000)))


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def make_file(path, size, seed=1):
    source = random.Random(seed)
    with open(path, "wb") as handle:
        while size > 0:
            part = min(size, 1 << 20)
            handle.write(source.randbytes(part))
            size -= part
    return path


def serve_each(listener, serve):
    """A thread that calls serve(connection), each in a thread of its own, until the listener is closed."""

    def accept():
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(wire,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def read_to_end(wire):
    """What comes until the other side closes or is gone."""
    out = b""
    try:
        while part := wire.recv(65536):
            out += part
    except ConnectionResetError:
        pass
    return out


def root_of(uri):
    return uri[len("sealcast:") :].split("@")[0]


def chunks_kept(base):
    """Chunks that the bitmap beside an object (<base>.have: 56 octets of header, bits, 32 octets of checksum) calls
    verified."""
    try:
        with open(base + ".have", "rb") as handle:
            octets = handle.read()
    except FileNotFoundError:
        return 0
    return int.from_bytes(octets[56:-32], "big").bit_count()


def flip(path, offset, mask=0x10):
    with open(path, "r+b") as handle:
        handle.seek(offset)
        octet = handle.read(1)[0]
        handle.seek(offset)
        handle.write(bytes([octet ^ mask]))


def faketime():
    """Path of the library that fakes clocks; the test is skipped, with the reason, where it cannot be loaded."""
    if reason := os.environ.get("SEALCAST_NO_FAKETIME"):
        raise unittest.SkipTest(reason)
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise unittest.SkipTest("libfaketime is not installed")
    return found[0]


class Process:
    """A sealcast that runs until told otherwise; its output goes to files."""

    def __init__(self, lab, name, arguments, env=None, wrapper=()):
        self.name = name
        self.out = os.path.join(lab.work, name + ".out")
        self.err = os.path.join(lab.work, name + ".err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                [*wrapper, SEALCAST, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
            )

    def output(self):
        with open(self.out, encoding="utf-8", errors="replace") as handle:
            return handle.read()

    def errors(self):
        with open(self.err, encoding="utf-8", errors="replace") as handle:
            return handle.read()

    def running(self):
        return self.process.poll() is None

    def memory(self):
        """Octets in memory."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as handle:
            return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def wait_ready(self):
        def ready():
            if any(line.startswith("ready") for line in self.output().splitlines()):
                return True
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.errors()}")
            return False

        wait_until(f"{self.name} to be ready", ready)
        return self

    def wait(self, patience=PATIENCE):
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end: {self.errors()[-2000:]}") from None

    def interrupt(self):
        if self.running():
            self.process.send_signal(signal.SIGINT)
        return self.wait()

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()

    def stop_when(self, what, condition):
        """SIGSTOP as soon as `condition` holds, so that what is then true stays true. False: it had ended before."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if not self.running():
                return False
            if time.monotonic() > end:
                raise AssertionError(f"gave up waiting for {what}: {self.errors()[-2000:]}")
            time.sleep(0.0005)
        self.process.send_signal(signal.SIGSTOP)
        return self.running()

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    @property
    def json(self):
        return json.loads(self.output())

    def progress(self):
        """The newest line of --progress json."""
        lines = [line for line in self.errors().splitlines() if line.startswith("{") and line.endswith("}")]
        return json.loads(lines[-1]) if lines else {}

    def wait_progress(self, octets):
        def there():
            if self.progress().get("bytes", 0) >= octets:
                return True
            if not self.running():
                raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.errors()[-3000:]}")
            return False

        wait_until(f"{octets} octets at {self.name}", there)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


class UnixHttp(http.client.HTTPConnection):
    """HTTP over the admin socket of a cache."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Lab:
    """One `up` (or split roles) in a temporary directory."""

    def __init__(self, work, name="lab"):
        self.work = work
        self.dir = os.path.join(work, name)
        self.processes = []
        self.held = []  # sockets
        self.count = 0

    def start(self, name, *arguments, env=None, wrapper=()):
        process = Process(self, f"{name}-{len(self.processes)}", [*arguments], env, wrapper)
        self.processes.append(process)
        return process

    def up(self, *options):
        return self.start("up", "up", "--dir", self.dir, "--log", "info", *options).wait_ready()

    def role(self, role, config=None):
        return self.start(
            config or role, role, "-c", os.path.join(self.dir, (config or role) + ".toml"), "--log", "info"
        ).wait_ready()

    def split(self, *options, **more):
        """The same laboratory, each role a process of its own: core, tracker, cache. `more`: lines for a role's
        configuration."""
        self.good("init", *options)
        self.hold_ports()
        for role, lines in more.items():
            with open(os.path.join(self.dir, role + ".toml"), "a", encoding="utf-8") as handle:
                handle.write(lines)
        return tuple(self.role(role) for role in ("core", "tracker", "cache"))

    def hold_ports(self):
        """Nobody else finds the ports of the configuration free until the roles listen on them: laboratories beside
        this one choose theirs by binding without SO_REUSEADDR."""
        for path in glob.glob(os.path.join(self.dir, "*.toml")):
            with open(path, encoding="utf-8") as handle:
                for address, port in re.findall(r'"\[?([0-9a-f.:]+)\]?:([1-9][0-9]*)"', handle.read()):
                    held = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
                    with contextlib.suppress(OSError):  # held already: other files name it too
                        held.bind((address, int(port)))
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    self.held.append(held)

    def socket(self, cache="cache"):
        """Admin socket of a cache; the first one of `up` has admin.sock in the directory itself."""
        own = os.path.join(self.dir, cache, "admin.sock")
        return own if os.path.exists(own) else os.path.join(self.dir, "admin.sock")

    def api(self, method, target, cache="cache", body=None):
        """Status, headers, document of a call to the admin API."""
        connection = UnixHttp(self.socket(cache))
        try:
            connection.request(method, "/api/v1/" + target, body)
            response = connection.getresponse()
            text = response.read()
            return response.status, response.headers, json.loads(text) if text else None
        finally:
            connection.close()

    def content(self, uri, cache="cache"):
        status, _, document = self.api("GET", "contents/" + root_of(uri), cache)
        return document if status == 200 else {}

    def object(self, uri, cache="cache"):
        """Of a cache: the object's path without extension."""
        return os.path.join(self.dir, cache, "objects", root_of(uri))

    def kept(self, uri, who):
        """Of a subscriber: the object's path without extension."""
        return os.path.join(self.dir, "subscribers", who, "contents", root_of(uri), "object")

    def audit(self, cache="cache"):
        """Key decisions of a cache."""
        lines = self.audit_log("--log", "cache", "--socket", self.socket(cache))
        return [line for line in lines if line["event"] == "key-request"]

    def audit_log(self, *options):
        return self.good("audit", "query", "--json", *options).json["audit"]

    def run(self, *arguments, stdin=None, patience=PATIENCE, env=None, cwd=None, wrapper=()):
        try:
            done = subprocess.run(
                [*wrapper, SEALCAST, *arguments, "--dir", self.dir],
                input=stdin,
                capture_output=True,
                timeout=patience,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                check=False,
            )
        except subprocess.TimeoutExpired as slow:
            raise AssertionError(
                f"{arguments} does not end: {(slow.stderr or b'').decode(errors='replace')[-2000:]}"
            ) from None
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def good(self, *arguments, **more):
        result = self.run(*arguments, **more)
        if result.code != 0:
            raise AssertionError(f"{arguments} gives {result.code}: {result.err}{self.logs()}")
        return result

    def subscribers(self, *names):
        for name in names:
            self.good("subscriber", "add", name)

    def publish(self, path, *options):
        return self.good("publish", path, *options, "--progress", "none").out.strip()

    def get(self, uri, who, out, *options, **more):
        return self.run(
            "get", uri, "--as", who, "-o", out, "--json", "--progress", "none", "--log", "info", *options, **more
        )

    def get_good(self, uri, who, out, *options, **more):
        result = self.get(uri, who, out, *options, **more)
        if result.code != 0:
            raise AssertionError(f"get as {who} gives {result.code}: {result.err}{self.logs()}")
        return result.json

    def start_get(self, uri, who, out, *options):
        words = ("--json", "--progress", "json", "--log", "info", *options)
        return self.start("get-" + who, "get", uri, "--dir", self.dir, "--as", who, "-o", out, *words)

    def logs(self):
        return "".join(f"\n--- {p.name}\n{p.errors()[-3000:]}" for p in self.processes)

    def seed(self, who, *uris, options=()):
        return self.start(
            "seed-" + who, "seed", *uris, "--dir", self.dir, "--as", who, "--log", "info", *options
        ).wait_ready()

    def stop(self):
        for process in reversed(self.processes):
            if process.running():
                process.process.send_signal(signal.SIGINT)
                process.go_on()
        for process in self.processes:
            try:
                process.process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for held in self.held:
            held.close()


class LabTest(unittest.TestCase):
    """A test case with a work directory; labs made by self.lab() are stopped at the end."""

    def grew_less(self, process, before, octets):
        """Since memory() was `before`. A sanitizer keeps what was freed: nothing is said of it then."""
        if not os.environ.get("SEALCAST_SANITIZER"):
            self.assertLess(process.memory() - before, octets)

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="sealcast-it.")
        self.labs = []

    def tearDown(self):
        for lab in self.labs:
            lab.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    def lab(self, name="lab"):
        lab = Lab(self.work, name)
        self.labs.append(lab)
        return lab

    def path(self, name):
        return os.path.join(self.work, name)

    def clean(self, result):
        """Nothing on stdout or stderr that a terminal must not see."""
        for text in (result.out, result.err):
            found = HIDDEN.search(text)
            self.assertIsNone(found, found and repr(text[max(found.start() - 60, 0) : found.end() + 20]))


def main():
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
