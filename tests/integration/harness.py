"""A laboratory for tests: real processes on loopback, in a directory of their own. The program is named by $SEALCAST."""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SEALCAST = os.environ.get("SEALCAST", "build/dev/apps/sealcast/sealcast")
PATIENCE = float(os.environ.get("SEALCAST_TEST_PATIENCE", "60"))


def wait_until(what, condition, patience=PATIENCE):
    """Waits for an event, never for a length of time; says what it waited for when it gives up."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"gave up waiting for {what}")


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


class Process:
    """A sealcast that runs until told otherwise; its output goes to files."""

    def __init__(self, lab, name, arguments, env=None):
        self.name = name
        self.out = os.path.join(lab.work, name + ".out")
        self.err = os.path.join(lab.work, name + ".err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([SEALCAST, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env={**os.environ, **(env or {})})

    def output(self):
        with open(self.out, encoding="utf-8", errors="replace") as handle:
            return handle.read()

    def errors(self):
        with open(self.err, encoding="utf-8", errors="replace") as handle:
            return handle.read()

    def running(self):
        return self.process.poll() is None

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


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


class Lab:
    """One `up` (or split roles) in a temporary directory."""

    def __init__(self, work, name="lab"):
        self.work = work
        self.dir = os.path.join(work, name)
        self.processes = []
        self.count = 0

    def start(self, name, *arguments, env=None):
        process = Process(self, f"{name}-{len(self.processes)}", [*arguments], env)
        self.processes.append(process)
        return process

    def up(self, *options):
        return self.start("up", "up", "--dir", self.dir, "--log", "info", *options).wait_ready()

    def role(self, role, config):
        return self.start(config, role, "-c", os.path.join(self.dir, config + ".toml"), "--log", "info").wait_ready()

    def run(self, *arguments, stdin=None, patience=PATIENCE, env=None, cwd=None):
        try:
            done = subprocess.run([SEALCAST, *arguments, "--dir", self.dir], input=stdin, capture_output=True, timeout=patience, env={**os.environ, **(env or {})}, cwd=cwd, check=False)
        except subprocess.TimeoutExpired as slow:
            raise AssertionError(f"{arguments} does not end: {(slow.stderr or b'').decode(errors='replace')[-2000:]}") from None
        return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def good(self, *arguments, **more):
        result = self.run(*arguments, **more)
        if result.code != 0:
            logs = "".join(f"\n--- {p.name}\n{p.errors()[-3000:]}" for p in self.processes)
            raise AssertionError(f"{arguments} gives {result.code}: {result.err}{logs}")
        return result

    def subscribers(self, *names):
        for name in names:
            self.good("subscriber", "add", name)

    def publish(self, path, *options):
        return self.good("publish", path, *options, "--progress", "none").out.strip()

    def get(self, uri, who, out, *options, **more):
        return self.run("get", uri, "--as", who, "-o", out, "--json", "--progress", "none", "--log", "info", *options, **more)

    def get_good(self, uri, who, out, *options, **more):
        result = self.get(uri, who, out, *options, **more)
        if result.code != 0:
            logs = "".join(f"\n--- {p.name}\n{p.errors()[-3000:]}" for p in self.processes)
            raise AssertionError(f"get as {who} gives {result.code}: {result.err}{logs}")
        return result.json

    def seed(self, who, *uris, options=()):
        return self.start("seed-" + who, "seed", *uris, "--dir", self.dir, "--as", who, "--log", "info", *options).wait_ready()

    def stop(self):
        for process in reversed(self.processes):
            if process.running():
                process.process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


class LabTest(unittest.TestCase):
    """A test case with a work directory; labs made by self.lab() are stopped at the end."""

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


def main():
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
