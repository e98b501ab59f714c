#!/usr/bin/env python3
"""Real processes under faults, round after round: scripts/chaos MINUTES [SEED].

A laboratory of separate roles, reached by its subscribers through a proxy; so is the media of cache and relay. In each
round some of them want contents, several processes of one subscriber among them, while faults happen: roles are killed
or stopped, databases locked, the disk of the cache filled, clocks stepped, connections cut, datagrams lost, doubled and
turned around, copies spoilt, partners lie. Then all is healed, and must hold:
  everybody entitled has his content, octet for octet; nobody else has, and is told so with exit code 4;
  nobody entitled was ever told that he is not, and nobody was locked out;
  the audit log has a release for each who got a key, and none for anybody who is not entitled;
  no role ended that was not killed, none has more descriptors than at rest, or grew without end.
What a round does follows from the seed and its number; both are printed. A fault ends the run with exit code 1.
"""
import contextlib
import glob
import os
import pathlib
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))
import harness  # noqa: E402
import media_path  # noqa: E402
import partner  # noqa: E402
import phone  # noqa: E402
import proxy  # noqa: E402

ENTITLED, STRANGER, LIAR = ("alice", "bob", "carol"), "mallory", "dave"  # the liar is entitled
PROTECTIONS = ("sealed+session", "sealed", "session")
PATIENCE = 180  # seconds until everybody has his content after all is healed
# What `get` may say while things are broken; to be told "not entitled" or "other octets" is never among them.
PASSING = {1, 5, 7, 8, 9, 10, 12}
DESCRIPTORS, GROWTH = 24, 96 << 10  # above what there was at rest; KiB


class Fault(Exception):
    pass


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Chaos:
    def __init__(self, work, seed):
        self.work, self.seed = work, seed
        self.lab = harness.Lab(work)
        self.killed, self.roles, self.rest = set(), {}, {}
        self.contents, self.released = [], set()
        self.clock = os.path.join(work, "clock")
        self.tmpfs, self.stepped = None, False
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        self.env = {}
        if libraries and "SEALCAST_NO_FAKETIME" not in os.environ:
            self.set_clock(0)
            self.env = {
                "LD_PRELOAD": libraries[0],
                "FAKETIME_TIMESTAMP_FILE": self.clock,
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }

    # ---- the laboratory

    def set_clock(self, seconds):
        with open(self.clock + ".new", "w", encoding="ascii") as handle:
            handle.write(f"{seconds:+d}\n")
        os.rename(self.clock + ".new", self.clock)

    def start_role(self, name):
        path = os.path.join(self.lab.dir, name + ".toml")
        self.roles[name] = self.lab.start(name, name, "-c", path, "--log", "info", env=self.env).wait_ready()
        self.rest.pop(name, None)

    def begin(self):
        self.lab.good("init")
        self.small_disk()
        self.media_proxies()
        for name in ("core", "tracker", "cache"):
            self.start_role(name)
        self.lab.subscribers(*ENTITLED, STRANGER, LIAR)
        self.through_proxy()
        for number, protection in enumerate(PROTECTIONS):
            source = harness.make_file(os.path.join(self.work, f"film{number}"), (1 + number) << 20, seed=number + 1)
            options = [word for who in (*ENTITLED, LIAR) for word in ("--entitle", who)]
            uri = self.lab.publish(source, "--protect", protection, "--socket", self.lab.socket(), *options)
            self.contents.append((uri, harness.sha256(source), protection))
        for who in ENTITLED:  # the first one of each makes his device key: from then on there is a state at rest
            self.want(who, 0, 0)

    def small_disk(self):
        """The cache's directory on a disk of its own that can be filled, where mounting is allowed."""
        place = os.path.join(self.lab.dir, "cache")
        kept = place + ".kept"
        os.rename(place, kept)
        os.mkdir(place, 0o700)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "none", place], capture_output=True, check=False
        )
        if mounted.returncode == 0:
            self.tmpfs = place
        else:
            say("mounting is not permitted: no full disks")
        subprocess.run(["cp", "-a", kept + "/.", place], check=True)

    def media_proxies(self):
        """The services listen elsewhere than where the core looks for them: in between is what rewrites their SDP."""
        self.datagrams = media_path.Datagrams()
        for name in ("tracker", "cache"):
            path = os.path.join(self.lab.dir, name + ".toml")
            with open(path, encoding="utf-8") as handle:
                text = handle.read()
            line = next(each for each in text.splitlines() if each.startswith("listen = "))
            with socket.create_server(("127.0.0.1", 0)) as free:
                target = f"127.0.0.1:{free.getsockname()[1]}"
            with open(path, "w", encoding="utf-8") as handle:
                handle.write(text.replace(line, f'listen = "{target}"'))
            media_path.MediaPath(self.lab, name, line.split('"')[1], target, self.datagrams)

    def through_proxy(self):
        path = os.path.join(self.lab.dir, "ue.toml")
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
        line = next(each for each in text.splitlines() if each.startswith("core = "))
        self.proxy = proxy.StreamProxy(line.split('"')[1])
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(text.replace(line, f'core = "{self.proxy.address}"'))

    # ---- what people want

    def get(self, who, number, name, patience, *options):
        uri = self.contents[number][0]
        out = os.path.join(self.work, f"{who}-{name}")
        words = ("--stall-timeout", "10", *(("--keep",) if number % 2 else ()), *options)  # both forms on the disk
        return out, self.lab.get(uri, who, out, *words, patience=patience, env=self.env)

    def want(self, who, number, name, until=None, options=()):
        """Tries until it has the content; a verdict that is no passing trouble is a fault."""
        until = until or (lambda: time.monotonic() + PATIENCE)
        tries = 0
        while True:
            tries += 1
            out, result = self.get(who, number, name, 120, *options)
            if result.code == 0:
                break
            # Clocks that were stepped: what looks old or too early is refused, and the sentence says where to look.
            clocks = self.stepped and result.code in (6, 11) and "clock" in result.err
            if result.code not in PASSING and not clocks:
                raise Fault(f"get of content {number} as {who} ends with {result.code}: {result.err[-1500:]}")
            if os.path.exists(out):
                raise Fault(f"{out} is there though get as {who} ended with {result.code}")
            if time.monotonic() > until():
                raise Fault(f"{who} has no content {number} after {tries} tries: {result.code} {result.err[-1500:]}")
            time.sleep(0.5)
        uri, digest, protection = self.contents[number]
        if harness.sha256(out) != digest:
            raise Fault(f"{who} has other octets than were published as content {number}")
        os.unlink(out)
        if result.json.get("key"):
            self.released.add((f"sip:{who}@sealcast.test", harness.root_of(uri)))
        return tries

    def forget(self, who, number):
        """The content must come again: who kept it whole would not ask anybody."""
        root = harness.root_of(self.contents[number][0])
        subprocess.run(["rm", "-rf", os.path.join(self.lab.dir, "subscribers", who, "contents", root)], check=True)

    # ---- faults: each returns what heals it

    def kill(self, source):
        name = source.choice(sorted(self.roles))
        say(f"  kill -9 {name}")
        self.killed.add(self.roles[name])
        self.roles[name].kill()
        time.sleep(source.uniform(0, 2))
        self.start_role(name)
        return lambda: None

    def stop(self, source):
        name, length = source.choice(sorted(self.roles)), source.uniform(0.5, 6)
        say(f"  SIGSTOP {name} for {length:.1f} s")
        self.roles[name].process.send_signal(signal.SIGSTOP)
        time.sleep(length)
        return self.roles[name].go_on

    def lock_database(self, source):
        found = sorted(glob.glob(os.path.join(self.lab.dir, "*", "*.db")))
        path, length = source.choice(found), source.uniform(0.5, 6)
        say(f"  lock {os.path.relpath(path, self.lab.dir)} for {length:.1f} s")
        database = sqlite3.connect(path, timeout=5, isolation_level=None)
        try:
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            database.close()
            return lambda: None
        time.sleep(length)
        return lambda: (database.execute("ROLLBACK"), database.close())

    def fill_disk(self, source):
        if not self.tmpfs:
            return lambda: None
        length, filler = source.uniform(0.5, 6), os.path.join(self.tmpfs, "filler")
        say(f"  fill the cache's disk for {length:.1f} s")
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as handle:
            while handle.write(bytes(1 << 16)):
                pass
        time.sleep(length)
        return lambda: os.unlink(filler)

    def step_clock(self, source):
        if not self.env:
            return lambda: None
        seconds, length = source.choice((-86400, -600, -45, 45, 600, 86400)), source.uniform(1, 5)
        say(f"  step the clocks by {seconds} s for {length:.1f} s")
        self.stepped = True
        self.set_clock(seconds)
        time.sleep(length)
        return lambda: self.set_clock(0)

    def cut(self, source):
        for _ in range(source.randint(1, 4)):
            say(f"  cut {self.proxy.cut()} connections")
            time.sleep(source.uniform(0.1, 1.5))
        return lambda: None

    def slow(self, source):
        self.proxy.delay = source.uniform(0.05, 0.5)
        length = source.uniform(1, 5)
        say(f"  delay signalling by {self.proxy.delay:.2f} s for {length:.1f} s")
        time.sleep(length)
        return lambda: setattr(self.proxy, "delay", 0.0)

    def media(self, source):
        """Between caches, UEs and UEs: loss, doubles, another order."""
        kinds = ((0.02, 0, 0), (0.15, 0, 0), (0.4, 0, 0), (0, 0.3, 0), (0, 0, 0.3), (0.05, 0.1, 0.2), (1, 0, 0))
        loss, double, late = source.choice(kinds)
        say(f"  media: {loss:.0%} lost, {double:.0%} twice, {late:.0%} late")
        before = (self.datagrams.passed, self.datagrams.lost)
        self.datagrams.loss, self.datagrams.double, self.datagrams.late = loss, double, late

        def heal():
            self.datagrams.quiet()
            passed, lost = self.datagrams.passed - before[0], self.datagrams.lost - before[1]
            say(f"  media: {passed} datagrams passed, {lost} were lost")

        return heal

    def lying_partner(self, source):
        """Somebody entitled who says that he has all of the content whose association anybody may read and write."""
        number, how = PROTECTIONS.index("sealed"), source.choice(("garbage", "garbage", "silence", "choke"))
        root, lines = harness.root_of(self.contents[number][0]), []
        say(f"  {LIAR} lies about content {number}: {how}")
        with contextlib.suppress(AssertionError, OSError, KeyError):  # what he needs may be broken, too
            with open(os.path.join(self.lab.dir, "core.toml"), encoding="utf-8") as handle:
                address = next(each for each in handle if each.startswith("ue_tcp = ")).split('"')[1]
            with open(os.path.join(self.lab.dir, "subscribers", LIAR, "password"), encoding="utf-8") as handle:
                password = handle.read().strip()
            caller = phone.Phone(address, LIAR)
            lines.append(caller)
            if caller.register(password)[0] == 200:
                description = partner.payload_of(self.lab.content(self.contents[number][0])["description"])
                chunks = -(-description["len"] // description["chunk"])
                liar = partner.Liar(partner.Line(caller), root, chunks, description["chunk"], how)
                lines.append(liar)
                liar.announce("seed")
                liar.peers()

        def heal():
            for each in lines:
                each.close()
            say(f"  {LIAR} was asked {sum(getattr(each, 'asked', 0) for each in lines)} times")

        return heal

    def lie(self, source):
        """A seed whose copy is spoilt under its hands."""
        number, who = source.randrange(len(self.contents)), source.choice(ENTITLED)
        kept = self.lab.kept(self.contents[number][0], who) + ".data"
        if not os.path.exists(kept):
            return lambda: None
        say(f"  {who} seeds content {number}, spoilt")
        uri = self.contents[number][0]
        words = ("seed", uri, "--dir", self.lab.dir, "--as", who, "--log", "info")
        seed = self.lab.start("liar", *words, env=self.env)
        time.sleep(1)
        for _ in range(8):
            with contextlib.suppress(OSError, IndexError):
                harness.flip(kept, source.randrange(os.path.getsize(kept)))
        time.sleep(source.uniform(1, 4))

        def heal():
            seed.kill()
            self.forget(who, number)

        return heal

    # ---- a round

    def round(self, number):
        source = random.Random(f"{self.seed} {number}")
        wishes = [(source.choice(ENTITLED), source.randrange(len(self.contents))) for _ in range(source.randint(2, 4))]
        wishes.append((wishes[0][0], (wishes[0][1] + 1) % len(self.contents)))  # two processes of one subscriber
        slowly = [source.random() < 0.6 for _ in wishes]  # so that faults meet transfers under way
        kinds = (self.kill, self.kill, self.stop, self.lock_database, self.fill_disk, self.step_clock, self.cut)
        faults = [source.choice((*kinds, self.slow, self.lie)) for _ in range(source.randint(1, 3))]
        lasting = [each for each in (self.media, self.lying_partner) if source.random() < 0.5]
        say(f"round {number}: " + ", ".join(f"{who} wants {content}" for who, content in wishes))
        for who, content in set(wishes):
            self.forget(who, content)
        healed, troubles, self.stepped = [], [], False

        def wish(at, who, content):
            options = ("--max-download-limit", "500K") if slowly[at] else ()
            try:
                self.want(who, content, at, lambda: (healed[0] if healed else time.monotonic()) + PATIENCE, options)
            except (Fault, AssertionError) as trouble:
                troubles.append(str(trouble))

        heals = [trouble(source) for trouble in lasting]
        threads = [threading.Thread(target=wish, args=(at, *each)) for at, each in enumerate(wishes)]
        for thread in threads:
            thread.start()
        for fault in faults:
            time.sleep(source.uniform(0, 1.5))
            fault(source)()
        if lasting:
            time.sleep(source.uniform(1, 5))
        for heal in heals:
            heal()
        say("  healed")
        healed.append(time.monotonic())
        for thread in threads:
            thread.join()
        if troubles:
            raise Fault("; ".join(troubles))
        self.check(source)

    def check(self, source):
        for name, role in self.roles.items():
            if not role.running():
                raise Fault(f"{name} ended with {role.process.returncode}: {role.errors()[-3000:]}")
        out, result = self.get(STRANGER, source.randrange(len(self.contents)), "nothing", 60)
        if result.code != 4 or os.path.exists(out):
            raise Fault(f"{STRANGER}, who is not entitled, ends with {result.code}: {result.err[-1500:]}")
        releases = {(line["subscriber"], line["root"]) for line in self.all_audit() if line["status"] == 200}
        allowed = {f"sip:{who}@sealcast.test" for who in ENTITLED}
        keys = {(who, root) for who, root in releases if who.startswith("sip:")}
        if wrong := {who for who, _ in keys} - allowed:
            raise Fault(f"the audit log has releases for {wrong}")
        if missing := self.released - releases:
            raise Fault(f"the audit log lacks the releases {missing}")
        self.at_rest()

    def all_audit(self):
        return [line for line in self.lab.audit() if line.get("event", "key-request") == "key-request"]

    def at_rest(self):
        """Descriptors and memory of each role that was not killed in between, once nobody wants anything."""
        for name, role in self.roles.items():
            pid = role.process.pid

            def descriptors(pid=pid):
                return len(os.listdir(f"/proc/{pid}/fd"))

            if name not in self.rest:
                time.sleep(1)
                self.rest[name] = (descriptors(), self.memory(pid))
                continue
            most, size = self.rest[name][0] + DESCRIPTORS, self.rest[name][1] + GROWTH
            try:
                harness.wait_until("descriptors", lambda: descriptors() <= most, 60)
            except AssertionError:
                raise Fault(f"{name} has {descriptors()} descriptors, {self.rest[name][0]} at rest") from None
            if self.memory(pid) > size:
                raise Fault(f"{name} has grown from {self.rest[name][1]} to {self.memory(pid)} KiB")

    @staticmethod
    def memory(pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as handle:
            return next(int(line.split()[1]) for line in handle if line.startswith("VmRSS:"))

    def end(self):
        self.set_clock(0)
        self.lab.stop()
        if self.tmpfs:
            subprocess.run(["umount", "-l", self.tmpfs], check=False)


def main():
    if not 2 <= len(sys.argv) <= 3:
        sys.exit("usage: chaos MINUTES [SEED]")
    minutes = float(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) == 3 else str(random.SystemRandom().randrange(10**6))
    rounds = faults = 0
    say(f"chaos for {minutes:g} min, seed {seed}")
    with tempfile.TemporaryDirectory(prefix="sealcast-chaos.", ignore_cleanup_errors=True) as work:
        chaos = Chaos(work, seed)
        try:
            chaos.begin()
            end = time.monotonic() + 60 * minutes
            while rounds == 0 or time.monotonic() < end:
                rounds += 1
                chaos.round(rounds)
        except (Fault, AssertionError) as fault:
            faults = 1
            say(f"FAULT in round {rounds} of seed {seed}: {fault}")
            print(chaos.lab.logs()[-20000:])
        finally:
            chaos.end()
    print(f"chaos: {rounds} rounds, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
