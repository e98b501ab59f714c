"""Whatever is given wrong gets one clear sentence and the documented exit code; nothing half-written is left looking
whole."""
import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import HIDDEN, SEALCAST, LabTest, UnixHttp, faketime, main, make_file, read_to_end, sha256, wait_until

OK, FAILURE, USAGE, NOT_FOUND, NOT_ENTITLED, NETWORK, INTEGRITY, DISK_FULL, AUTHENTICATION = 0, 1, 2, 3, 4, 5, 6, 9, 11
DOMAIN = "sealcast.test"
UNKNOWN = "sealcast:" + "A" * 43 + "@" + DOMAIN


def b64u(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def from_b64u(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def es256(pem, signed):
    """A signature by the openssl command: DER, made r || s."""
    der = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", pem], input=signed, capture_output=True, check=True
    ).stdout
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + length], "big").to_bytes(32, "big"))
        at += 2 + length
    return b"".join(numbers)


def resign(jws, pem, **changes):
    """The description with other members, signed by the same provider."""
    header, payload, _ = jws.split(".")
    members = json.loads(from_b64u(payload))
    members.update(changes)
    signed = header + "." + b64u(json.dumps(members).encode())
    return signed + "." + b64u(es256(pem, signed.encode()))


class Admin:
    """The admin API, without the program's own client."""

    @staticmethod
    def call(path, method, target, body=b"", **headers):
        connection = UnixHttp(path)
        try:
            connection.request(
                method, "/api/v1/" + target, body, {name.replace("_", "-"): value for name, value in headers.items()}
            )
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}, answer.headers
        finally:
            connection.close()

    @staticmethod
    def raw(path, octets):
        """Sends octets; what comes back until the node closes, which it must do."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(20)
            wire.connect(path)
            try:
                wire.sendall(octets)
                wire.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass
            return read_to_end(wire)


class BadInput(LabTest):
    def one_sentence(self, result, code, *words):
        """Exit code, one line "sealcast: ..." that has the words, nothing that moves a terminal."""
        self.assertEqual(result.code, code, result.err)
        lines = [
            line
            for line in result.err.splitlines()
            if line.startswith("sealcast: ") and not line.startswith("sealcast: waiting for")
        ]
        self.assertEqual(len(lines), 1, result.err)
        for word in words:
            self.assertIn(word, lines[0])
        self.clean(result)

    def refused_get(self, lab, code, *words, uri=UNKNOWN, who="alice", out=None, options=(), **more):
        """get: the sentence, the same in the JSON document, and no file."""
        out = out or self.path("nothing")
        before = sorted(os.listdir(os.path.dirname(out))) if os.path.isdir(os.path.dirname(out)) else None
        result = lab.run("get", uri, "--as", who, "-o", out, "--json", "--progress", "none", *options, **more)
        self.one_sentence(result, code, *words)
        document = result.json
        self.assertEqual(document["code"], code)
        self.assertIn(document["error"][:40].replace('"', ""), result.err.replace('"', ""))
        self.assertNotIn("file", document)
        if before is not None:
            self.assertEqual(sorted(os.listdir(os.path.dirname(out))), before)
        return document

    # ---- who, what

    def test_subscribers(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob", "gone")
        # Names.
        for name in ("tracker", "cache", "cache-b", "core"):
            self.one_sentence(lab.run("subscriber", "add", name), USAGE, name, "service")
        for name in (
            "Alice",
            "",
            ".alice",
            "a" * 33,
            "al ice",
            "al/ice",
            "../alice",
            "a\x1b[31m",
            "al\u202eice",
            b"\xff",
            "al@ice",
        ):
            self.one_sentence(lab.run("subscriber", "add", name), USAGE, "subscriber name")
        self.one_sentence(lab.run("subscriber", "add", "alice"), USAGE, "alice")  # known already
        self.one_sentence(lab.run("subscriber", "remove", "nobody"), NOT_FOUND, "nobody")
        # Passwords on standard input: the first line, with blanks and all.
        secret = b"  correct horse \xc3\xa9  "
        lab.good("subscriber", "add", "carol", "--password-stdin", stdin=secret + b"\nsecond line\n")
        with open(os.path.join(lab.dir, "subscribers", "carol", "password"), "rb") as kept:
            self.assertEqual(kept.read(), secret + b"\n")
        self.assertEqual(os.stat(kept.name).st_mode & 0o777, 0o600)
        for text in (b"", b"\n", b"x" * 600 + b"\n"):
            self.one_sentence(lab.run("subscriber", "add", "dave", "--password-stdin", stdin=text), USAGE, "password")
        lab.good("subscriber", "remove", "gone")
        listed = lab.good("subscriber", "list", "--json").json["subscribers"]
        self.assertEqual([each["name"] for each in listed], ["alice", "bob", "carol"])
        self.assertEqual(len(lab.good("subscriber", "list").out.splitlines()), 3)
        # carol may register: a URI that nobody knows is all that is wrong.
        self.refused_get(lab, NOT_FOUND, "knows no such content", who="carol")
        # Removed, but the password is still here; never known; wrong.
        kept = os.path.join(lab.dir, "subscribers", "gone", "password")
        with open(kept, "w", encoding="ascii") as file:
            file.write("whatever\n")
        self.refused_get(lab, AUTHENTICATION, "sip:gone@" + DOMAIN, "403", who="gone")
        self.refused_get(lab, AUTHENTICATION, "sealcast subscriber add nobody", who="nobody")
        with open(os.path.join(lab.dir, "subscribers", "alice", "password"), "w", encoding="ascii") as file:
            file.write("wrong\n")
        self.refused_get(lab, AUTHENTICATION, "sip:alice@" + DOMAIN, "password")
        self.one_sentence(lab.run("seed", UNKNOWN, "--as", "alice"), AUTHENTICATION, "alice")
        # What a device keeps is not what it was.
        device = os.path.join(lab.dir, "subscribers", "carol", "device.pem")
        with open(device, "r+", encoding="ascii") as file:
            file.truncate(40)
        self.refused_get(lab, USAGE, device, who="carol")
        os.unlink(device)
        self.refused_get(lab, AUTHENTICATION, "another device key", who="carol")
        result = lab.run("get", UNKNOWN)  # whose?
        self.one_sentence(result, USAGE, "--as", "bob")

    def test_uris_and_options(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.refused_get(lab, NOT_FOUND, "knows no such content")
        self.one_sentence(lab.run("show", UNKNOWN), NOT_FOUND)
        self.one_sentence(lab.run("key", "revoke", UNKNOWN), NOT_FOUND)
        self.one_sentence(lab.run("key", "export", UNKNOWN, self.path("key")), NOT_FOUND)
        self.assertFalse(os.path.exists(self.path("key")))
        self.one_sentence(lab.run("entitle", UNKNOWN, "alice"), NOT_FOUND)
        foreign = UNKNOWN.replace(DOMAIN, "elsewhere.example")
        self.refused_get(lab, NOT_FOUND, "elsewhere.example", DOMAIN, uri=foreign)
        for uri in (
            "",
            "sealcast:",
            "http://" + DOMAIN,
            UNKNOWN[: -len(DOMAIN)],
            UNKNOWN.replace("A", "", 1),
            UNKNOWN.replace("A", "!", 1),
            UNKNOWN + "/../x",
            "sealcast:\x1b[31m@x",
            "sealcast:\u202e",
            b"sealcast:\xff\xfe",
            UNKNOWN + "\nx",
            "A" * 100000,
        ):
            self.refused_get(lab, USAGE, "no content URI", uri=uri)
            self.one_sentence(lab.run("show", uri), USAGE, "no content URI")
        for rate in ("fast", "", "-1", "1.5M", "20MB", "M", "99999999999999999999", "18446744073709551615G", "20M\x1b"):
            if rate:
                self.refused_get(lab, USAGE, "no rate", options=("--max-download-limit", rate))
                self.refused_get(lab, USAGE, "no amount", options=("--memory-limit", rate))
        self.refused_get(lab, USAGE, "4M is the least", options=("--memory-limit", "4095K"))
        source = make_file(self.path("file"), 5000)
        for options, word in (
            ((("--protect", "lots")), "--protect"),
            (("--title", b"\xff"), "--title"),
            (("--title", "x" * 201), "--title"),
            (("--entitle", "Mallory!"), "subscriber name"),
            (("--entitle", "sip:alice@elsewhere.example"), "elsewhere.example"),
            (("--protect", "session", "--key-out", self.path("key")), "--key-out"),
        ):
            self.one_sentence(
                lab.run(
                    "publish",
                    source,
                    *options,
                    "--progress",
                    "none",
                    *(() if "--entitle" in options else ("--public",)),
                ),
                USAGE,
                word,
            )
        for what, code, word in (
            (self.path("none"), NOT_FOUND, "No such file"),
            (self.work, USAGE, "directory"),
            ("/dev/null", USAGE, "regular file"),
        ):
            self.one_sentence(lab.run("publish", what, "--public", "--progress", "none"), code, what, word)
        empty = make_file(self.path("empty"), 0)
        for protection in ("session", "none"):
            self.one_sentence(
                lab.run("publish", empty, "--public", "--progress", "none", "--protect", protection), USAGE, "empty"
            )
        # What the parser itself refuses.
        for words in (
            ("get",),
            ("nonsense",),
            ("get", UNKNOWN, "--nonsense"),
            ("get", UNKNOWN, "--stall-timeout", "0"),
            ("get", UNKNOWN, "--progress", "loud"),
            ("publish", source, "--chunk-size", "100"),
            ("publish", source, "--chunk-size", "99999"),
            ("publish", source, "--valid-days", "0"),
            ("subscriber",),
            ("--log", "loud", "ls"),
            ("get", UNKNOWN, "more", "and\x1b[31m more"),
        ):
            self.one_sentence(lab.run(*words), USAGE, "--help")
        self.one_sentence(lab.run("nonsense"), USAGE, 'no command "nonsense"')
        # A flag twice says the same once.
        uri = lab.publish(source, "--entitle", "alice")
        lab.get_good(uri, "alice", self.path("copy"), "-c", "-c", "--continue", env={"SEALCAST_CRYPTO": "openssl"})
        self.assertEqual(sha256(self.path("copy")), sha256(source))
        self.one_sentence(lab.run("ls", env={"SEALCAST_CRYPTO": "nonsense"}), USAGE, "SEALCAST_CRYPTO", "openssl")
        for words in (("ls",), ("status",), ("show", uri), ("key", "list"), ("audit", "query"), ("subscriber", "list")):
            self.assertIsInstance(lab.good(*words, "--json").json, dict)
            self.clean(lab.good(*words))

    # ---- the core

    def test_core_out_of_reach(self):
        lab = self.lab()
        lab.good("init")
        self.subscriber_without_core(lab)
        core = self.setting(lab, "ue.toml", "core")
        began = time.monotonic()
        self.refused_get(lab, NETWORK, core)
        self.assertLess(time.monotonic() - began, 5)
        # Somebody listens there, and says nothing.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            self.set(lab, "ue.toml", "core", f'"{address}"')
            began = time.monotonic()
            self.refused_get(lab, NETWORK, address)
            self.assertLess(time.monotonic() - began, 15)
        # Somebody who is no TLS server.
        with socket.create_server(("127.0.0.1", 0)) as rude:
            address = "127.0.0.1:%d" % rude.getsockname()[1]
            self.set(lab, "ue.toml", "core", f'"{address}"')

            def answer():
                with rude.accept()[0] as wire:
                    wire.sendall(b"HTTP/1.1 400 no\r\n\r\n" * 100)

            answering = threading.Thread(target=answer)
            answering.start()
            self.refused_get(lab, NETWORK, address)
            answering.join()
        # Nobody is at home at all.
        began = time.monotonic()
        self.one_sentence(lab.run("ls"), NETWORK, "admin.sock")
        self.assertLess(time.monotonic() - began, 8)
        empty = self.lab("empty")
        self.one_sentence(empty.run("get", UNKNOWN, "--as", "alice"), NOT_FOUND, empty.dir, "sealcast up")

    def test_core_of_another_authority(self):
        lab, other = self.lab(), self.lab("other")
        lab.up()
        lab.subscribers("alice")
        other.good("init")
        shutil.copy(os.path.join(other.dir, "ca", "ca.pem"), os.path.join(lab.dir, "ca", "ca.pem"))
        self.refused_get(lab, NETWORK, "not signed by the CA", self.setting(lab, "ue.toml", "core"))
        with open(os.path.join(lab.dir, "ca", "ca.pem"), "w", encoding="ascii") as file:
            file.write("no certificate\n")
        self.refused_get(lab, NETWORK, "cafile.pem")

    def subscriber_without_core(self, lab):
        """A password that was given out elsewhere."""
        lab.good("subscriber", "add", "alice")

    def setting(self, lab, file, key):
        with open(os.path.join(lab.dir, file), encoding="utf-8") as handle:
            return re.search(rf'^{key} = "(.*?)"', handle.read(), re.M).group(1)

    def set(self, lab, file, key, value):
        path = os.path.join(lab.dir, file)
        with open(path, encoding="utf-8") as handle:
            text = handle.read()
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(re.sub(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M))

    # ---- places

    def test_output_places(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("file"), 50000)
        uri = lab.publish(source, "--entitle", "alice")
        target = make_file(self.path("target"), 100, seed=2)
        os.symlink(target, self.path("link"))
        os.symlink(self.path("nowhere"), self.path("dangling"))
        os.mkdir(self.path("directory"))
        os.mkfifo(self.path("fifo"))
        for name, code, word in (
            ("link", USAGE, "symbolic link"),
            ("dangling", USAGE, "symbolic link"),
            ("directory", USAGE, "directory"),
            ("fifo", USAGE, "regular file"),
            ("file/copy", FAILURE, "Not a directory"),
            ("missing/copy", FAILURE, "No such file"),
            ("directory/", USAGE, "names no file"),
        ):
            with self.subTest(name):
                self.refused_get(lab, code, self.path(name.split("/")[0]), word, uri=uri, out=self.path(name))
        self.assertEqual(os.path.getsize(target), 100)
        self.assertFalse(os.path.exists(self.path("nowhere")))
        # A name that a terminal must not see raw, an old file that is replaced as a whole, and its mode.
        for name in ("old", "li\nne\x1b[31m", "bidi\u202e"):
            make_file(self.path(name), 10)
            done = lab.good("get", uri, "--as", "alice", "-o", self.path(name), "--json")
            self.clean(done)
            self.assertEqual(sha256(self.path(name)), sha256(source))
        self.assertEqual([name for name in os.listdir(self.work) if ".part" in name or name.startswith(".")], [])

    def mount(self, size, place, *more):
        """A wrapper: the program in a mount namespace of its own with a small tmpfs at `place`."""
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0:
            raise unittest.SkipTest("mounting is not permitted here")
        return [
            "unshare",
            "-m",
            "sh",
            "-ec",
            f'mount -t tmpfs -o size={size} none "$0"; {" ".join(more)} exec "$@"',
            place,
        ]

    def test_read_only_output(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        uri = lab.publish(make_file(self.path("file"), 5000), "--entitle", "alice")
        os.mkdir(self.path("fixed"))
        wrapper = self.mount("1m", self.path("fixed"), 'mount -o remount,ro "$0";')
        self.refused_get(
            lab, FAILURE, "Read-only", self.path("fixed"), uri=uri, out=self.path("fixed/copy"), wrapper=wrapper
        )

    def test_full_disk_of_a_subscriber(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        source = make_file(self.path("file"), 6 << 20)
        uri = lab.publish(source, "--entitle", "alice")
        # Where the chunks go: known before the transfer.
        state = os.path.join(lab.dir, "subscribers", "alice")
        self.refused_get(lab, NOT_FOUND)  # enrols the device
        shutil.copytree(state, self.path("state"))
        wrapper = self.mount("2m", state, f'cp -R "{self.path("state")}/." "$0";')
        self.refused_get(lab, DISK_FULL, "free", uri=uri, wrapper=wrapper, options=("--keep",))
        # Where the file goes: known before the transfer too, and nothing is left there.
        os.mkdir(self.path("small"))
        script = 'trap \'ls -A "$0" >"$0.left"\' EXIT; "$@"; exit $?; '
        wrapper = self.mount("2m", self.path("small"), script)
        small = self.path("small/copy")
        self.refused_get(lab, DISK_FULL, "free", uri=uri, out=small, wrapper=wrapper)
        with open(self.path("small.left"), encoding="utf-8") as left:
            self.assertEqual(left.read(), "")
        # What is kept beside it is fetched, and stays.
        self.refused_get(lab, DISK_FULL, "No space left", uri=uri, out=small, wrapper=wrapper, options=("--keep",))
        with open(self.path("small.left"), encoding="utf-8") as left:
            self.assertEqual(left.read(), "")
        again = lab.get_good(uri, "alice", self.path("copy"), "-c", "--keep")
        self.assertEqual(again["from"]["cache"], 0)
        self.assertEqual(sha256(self.path("copy")), sha256(source))

    def test_full_disk_of_a_cache(self):
        lab = self.lab()
        lab.good("init")
        os.makedirs(os.path.join(lab.dir, "cache", "objects"))
        wrapper = self.mount("3m", os.path.join(lab.dir, "cache", "objects"))
        lab.start("up", "up", "--dir", lab.dir, "--log", "info", wrapper=wrapper).wait_ready()
        lab.subscribers("alice")
        source = make_file(self.path("file"), 6 << 20)
        result = lab.run("publish", source, "--entitle", "alice", "--progress", "none")
        self.one_sentence(result, DISK_FULL, "free")
        self.assertEqual(result.out, "")
        contents = lab.good("ls", "--json").json["contents"]
        self.assertNotIn("offered", [each["state"] for each in contents])
        # The cache lives and takes what fits.
        small = make_file(self.path("small"), 100000, seed=2)
        uri = lab.publish(small, "--entitle", "alice")
        lab.get_good(uri, "alice", self.path("copy"))
        self.assertEqual(sha256(self.path("copy")), sha256(small))
        # Full at the provider: the spool.
        os.mkdir(self.path("provider"))
        wrapper = self.mount(
            "2m", self.path("provider"), f'cp "{os.path.join(lab.dir, "provider", "provider.pem")}" "$0";'
        )
        self.one_sentence(
            lab.run(
                "publish",
                source,
                "--public",
                "--progress",
                "none",
                "--provider",
                self.path("provider"),
                wrapper=wrapper,
            ),
            DISK_FULL,
        )

    # ---- state directories

    def test_state_directories(self):
        lab = self.lab()
        lab.up()
        pid = str(lab.processes[0].process.pid)
        self.one_sentence(lab.run("up"), FAILURE, lab.dir, "process " + pid)
        self.one_sentence(lab.run("init"), FAILURE, lab.dir, "process " + pid)
        lab.processes[0].interrupt()
        self.one_sentence(lab.run("init"), USAGE, lab.dir, "holds a laboratory already")
        self.one_sentence(lab.run("up", "--domain", "other.test"), USAGE, lab.dir, "first start")
        # Options that cannot be are refused before anything is made.
        fresh = self.lab("fresh")
        for options in (("--keyless", "cache-x"), ("--domain", "bad domain"), ("--address", "foo"), ("--cache", "bad")):
            for command in ("up", "init"):
                self.one_sentence(fresh.run(command, *options), USAGE, options[1])
                self.assertFalse(os.path.exists(fresh.dir))

        def spoilt(name, octets):
            copy = self.lab("copy")
            shutil.rmtree(copy.dir, ignore_errors=True)
            shutil.copytree(lab.dir, copy.dir, ignore=shutil.ignore_patterns("*.sock"))
            path = os.path.join(copy.dir, name)
            if octets is None:
                os.unlink(path)
            else:
                with open(path, "wb") as file:
                    file.write(octets)
            return copy.run("up", patience=20)

        for name, octets, codes in (
            ("laboratory.json", b'{"v":1,"cach', [USAGE]),
            ("laboratory.json", b'{"v":2}', [USAGE]),
            ("core.toml", None, [USAGE]),
            ("core.toml", b"[listen", [USAGE]),
            ("tracker.toml", None, [USAGE]),
            ("cache.toml", b'state = "cac', [USAGE]),
            ("trust.json", b'{"v":1', [USAGE]),
            ("trust.json", b"", [USAGE]),
            ("tracker/tracker.pem", b"-----BEGIN", [USAGE]),
            ("key-service.pem", b"", [USAGE]),
            ("cache/master.key", b"short", [USAGE]),
            ("core/subscribers.db", b"no database" * 100, [FAILURE, USAGE]),
            ("cache/cache.db", b"no database" * 100, [FAILURE, USAGE]),
            ("core/tls/agent.pem", b"", [FAILURE, USAGE, NETWORK]),
            ("core/tls/agent.pem", None, [FAILURE, USAGE, NETWORK]),
            ("cache/tls/cafile.pem", b"x", [FAILURE, USAGE, NETWORK]),
        ):
            with self.subTest(name=name, octets=octets):
                result = spoilt(name, octets)
                self.assertIn(result.code, codes, result.err)
                self.one_sentence(result, result.code, os.path.basename(name) if result.code == USAGE else "")
                self.assertNotIn("ready", result.out)
        # Somebody else has its address.
        lab.processes.clear()
        for file in ("core", "tracker", "cache"):
            key = "ue" if file == "core" else "listen"
            address = self.setting(lab, file + ".toml", key)
            with socket.create_server(("127.0.0.1", int(address.rsplit(":", 1)[1]))):
                result = lab.run("up", patience=20)
            self.one_sentence(result, NETWORK, address)
        # Not ours.
        foreign = self.lab("foreign")
        os.mkdir(foreign.dir)
        make_file(os.path.join(foreign.dir, "thesis.txt"), 100)
        self.one_sentence(foreign.run("up"), USAGE, foreign.dir, "not empty")
        make_file(self.path("plain"), 10)
        plain = self.lab("plain")
        self.one_sentence(plain.run("up"), FAILURE, plain.dir)
        self.one_sentence(foreign.run("up", "--cache", "../evil"), USAGE, "cache")

    # ---- clocks

    def test_clocks(self):
        library = faketime()
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob")
        uri = lab.publish(
            make_file(self.path("file"), 50000), "--entitle", "alice", "--entitle", "bob", "--valid-days", "3"
        )

        def skewed(by):
            return {"LD_PRELOAD": library, "FAKETIME": by, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

        # A new device is refused at once; a week behind even the core's certificate is not valid yet.
        for by in ("+7d", "+10m", "-10m", "-7d"):
            with self.subTest(by):
                result = lab.run(
                    "get", uri, "--as", "alice", "-o", self.path("copy"), "--json", "--progress", "none", env=skewed(by)
                )
                self.assertIn(result.code, (AUTHENTICATION, NETWORK), result.err)
                self.assertRegex(result.err, "clocks? right")
        # A known device gets further, and no content by it.
        lab.get_good(
            lab.publish(make_file(self.path("other"), 5000, seed=2), "--public"), "alice", self.path("other copy")
        )
        longer = lab.publish(make_file(self.path("file"), 50000), "--entitle", "alice")
        for by, uri in (("+7d", uri), ("+7d", longer), ("+10m", uri), ("-10m", uri), ("-7d", uri)):
            with self.subTest("known device " + by):
                result = lab.run(
                    "get",
                    uri,
                    "--as",
                    "alice",
                    "-o",
                    self.path("copy"),
                    "--json",
                    "--progress",
                    "none",
                    "--stall-timeout",
                    "2",
                    env=skewed(by),
                )
                self.assertNotEqual(result.code, OK)
                self.assertRegex(result.err, "clocks? right")
                self.assertFalse(os.path.exists(self.path("copy")))
        # The clock was put right.
        lab.get_good(uri, "alice", self.path("copy"))

    # ---- configuration files

    def test_configuration_files(self):
        lab = self.lab()
        lab.good("init")

        def text(name):
            with open(os.path.join(lab.dir, name), encoding="utf-8") as file:
                return file.read()

        for name in ("core", "tracker", "cache", "ue"):
            self.assertIn(name, lab.good("config", "check", os.path.join(lab.dir, name + ".toml")).out)

        def check(of, change, *words):
            path = self.path("changed.toml")
            changed = change(text(of + ".toml"))
            with open(path, "wb") as file:
                file.write(changed if isinstance(changed, bytes) else changed.encode())
            self.one_sentence(lab.run("config", "check", path), USAGE, path, *words)
            if of != "ue":
                self.one_sentence(lab.run(of, "-c", path), USAGE, path, *words)

        def line(changed, begin):
            return [number for number, each in enumerate(changed.splitlines(), 1) if each.startswith(begin)][0]

        for of in ("core", "tracker", "cache", "ue"):
            with self.subTest(of):
                first = text(of + ".toml")
                wrong = "color = 1\n" + first
                check(of, lambda _, wrong=wrong: wrong, f":{line(wrong, 'color')}: ", '"color"', "no key of this file")
                wrong = re.sub(r"^domain = .*$", "domain = 5", first, count=1, flags=re.M)
                check(of, lambda _, wrong=wrong: wrong, f":{line(wrong, 'domain')}: ", '"domain"', "string")
                check(of, lambda t: re.sub(r"^domain = .*\n", "", t, count=1, flags=re.M), '"domain"', "missing")
                check(of, lambda t: t + "\nthis is no TOML\n", ":")
                check(of, lambda t: t + "\nx = \"\x1b[31m", ":")
                check(of, lambda t: t.encode() + b"\n# \xff\xfe\n", ":")
        check("core", lambda t: t.replace("[listen]", "[listen]\ncolor = 1"), '"listen.color"')
        check("core", lambda t: re.sub(r"^ue = .*$", 'ue = "here"', t, flags=re.M), '"listen.ue"', "address and port")
        check("core", lambda t: t + "\n[binding]\nmin_expires = 0\n", '"binding.min_expires"', "between 1")
        check("cache", lambda t: t.replace("holds_keys = true", 'holds_keys = "yes"'), '"holds_keys"', "true or false")
        check("cache", lambda t: t + "\nupload_limit = -1\n", '"upload_limit"')
        check("cache", lambda t: t + "\nmemory_limit = 4194303\n", '"memory_limit"', "between 4194304")
        check("ue", lambda t: t + '\nmemory_limit = "1G"\n', '"memory_limit"')
        check("cache", lambda t: t + "\nscrub_rate = -1\n", '"scrub_rate"', "between 0")
        check("ue", lambda t: t.replace('transport = "tls"', 'transport = "pigeon"'), '"transport"', "tls")
        self.one_sentence(
            lab.run("core", "-c", os.path.join(lab.dir, "cache.toml")), USAGE, "cache.toml", '"cache"', '"core"'
        )
        self.one_sentence(lab.run("cache", "-c", os.path.join(lab.dir, "ue.toml")), USAGE, "ue.toml", '"ue"')
        self.one_sentence(
            lab.run("get", UNKNOWN, "--as", "alice", "--config", os.path.join(lab.dir, "core.toml")),
            USAGE,
            "core.toml",
            '"ue"',
        )
        for path, words in (
            (self.path("none.toml"), ("none.toml", "No such file")),
            (self.work, (self.work, "directory")),
        ):
            self.one_sentence(lab.run("config", "check", path), USAGE, *words)
            self.one_sentence(lab.run("tracker", "-c", path), USAGE, *words)
        with open(self.path("norole.toml"), "w", encoding="utf-8") as file:
            file.write("domain = 'x'\n")
        self.one_sentence(lab.run("config", "check", self.path("norole.toml")), USAGE, "role")

    # ---- contents

    def test_smallest_files(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        for size, protection in (
            (0, "sealed+session"),
            (0, "sealed"),
            (1, "sealed+session"),
            (1, "sealed"),
            (1, "session"),
            (1, "none"),
        ):
            with self.subTest(size=size, protection=protection):
                # Content of its own each time: in the clear the same octets have the same root.
                source = make_file(self.path("file"), size, seed=len(protection))
                uri = lab.publish(source, "--protect", protection, "--entitle", "alice")
                report = lab.get_good(uri, "alice", self.path("copy"))
                self.assertEqual(report["bytes"], size)
                self.assertEqual(sha256(self.path("copy")), sha256(source))
                os.unlink(self.path("copy"))

    def test_names_and_titles(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        names = (
            b"new\nline",
            b"escape\x1b[2J\x1b]0;owned\x07",
            b"bidi\xe2\x80\xaegnp.exe",
            b"latin\xe9\xff",
            b"-rf",
            b"c1\xc2\x9b31m",
            b".bashrc",
            b"tab\tdel\x7f",
            b"a" * 255,
        )
        for count, name in enumerate(names):
            with self.subTest(name=name):
                source = os.path.join(self.work.encode(), name)
                make_file(source, 3000 + count, seed=count)
                protection = ("sealed+session", "session")[count % 2]
                done = lab.good(
                    "publish",
                    source,
                    "--entitle",
                    "alice",
                    "--protect",
                    protection,
                    "--progress",
                    "none",
                    "--title",
                    "title\x1b[31m\nx\u202e\x9b" + str(count),
                )
                self.clean(done)
                self.safe_get(lab, done.out.strip(), sha256(source))
        for words in (("ls",), ("ls", "--json"), ("status",)):
            self.clean(lab.good(*words))
        # Names that no file of the provider could have.
        source = make_file(self.path("plain"), 4000, seed=99)
        uri = lab.publish(source, "--protect", "session", "--entitle", "alice")
        root = uri[len("sealcast:") :][:43]
        socket_path = os.path.join(lab.dir, "admin.sock")
        for count, name in enumerate(
            ("../../escaped", "/etc/escaped", "..", ".", "", "a/../b", "x\u0000y", "\\..\\z", "lab")
        ):
            with self.subTest(signed=name):
                _, known, _ = Admin.call(socket_path, "GET", "contents/" + root)
                jws = resign(
                    known["description"],
                    os.path.join(lab.dir, "provider", "provider.pem"),
                    name=name,
                    ver=known["version"] + 1,
                )
                status, answer, _ = Admin.call(socket_path, "PUT", f"contents/{root}/description", jws)
                self.assertEqual(status, 201, answer)
                wait_until(
                    "the tracker to know the new name",
                    lambda: Admin.call(socket_path, "GET", "contents/" + root)[1]["announced"],
                )
                self.safe_get(lab, uri, sha256(source), fresh=True)
        self.assertEqual([name for name in os.listdir(self.work) if "escaped" in name], [])

    def safe_get(self, lab, uri, digest, fresh=False):
        """get without -o: one file of a harmless name in the current directory, nothing raw on the terminal."""
        place = self.path("here")
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        for words in (("show", uri), ("show", uri, "--json")):
            self.clean(lab.good(*words))
        done = lab.good("get", uri, "--as", "alice", *(("--json",) if fresh else ()), cwd=place)
        self.clean(done)
        files = os.listdir(place.encode())
        self.assertEqual(len(files), 1, files)
        name = files[0].decode("utf-8")
        self.assertIsNone(HIDDEN.search(name), repr(name))
        self.assertFalse(name.startswith("."), name)
        self.assertEqual(sha256(os.path.join(place, name)), digest)

    # ---- the admin socket

    def test_descriptions(self):
        lab = self.lab()
        lab.up()
        path = os.path.join(lab.dir, "admin.sock")
        pem = os.path.join(lab.dir, "provider", "provider.pem")
        uri = lab.publish(make_file(self.path("file"), 5000), "--protect", "session", "--public")
        root = uri[len("sealcast:") :][:43]
        jws = Admin.call(path, "GET", "contents/" + root)[1]["description"]
        sealed = lab.publish(make_file(self.path("file"), 5000), "--public")[len("sealcast:") :][:43]
        sealed_jws = Admin.call(path, "GET", "contents/" + sealed)[1]["description"]

        def put(text, where=root):
            status, answer, _ = Admin.call(path, "PUT", f"contents/{where}/description", text)
            if status != 201:
                self.assertTrue(answer["error"], answer)
            return status

        self.assertEqual(put(jws), 201)
        huge = [2**63, 2**63 - 1, 2**62 + 1, 2**64, -1, 0, 1e30, 5000.5, "5000", None, True, [], 10**400]
        for value in huge:
            for member in ("len", "plen", "chunk", "ver", "iat", "exp", "v"):
                if (
                    member == "iat"
                    and value == 0
                    or member in ("ver", "exp")
                    and value == 2**63 - 1
                    or member in ("ver", "exp")
                    and value == 2**62 + 1
                    or member == "v"
                    and value is True
                ):
                    continue
                with self.subTest(member=member, value=str(value)[:30]):
                    self.assertEqual(put(resign(jws, pem, **{member: value})), 400)
            self.assertEqual(put(resign(sealed_jws, pem, len=value, plen=value), sealed), 400)
        now = int(time.time())
        for changes in (
            {"len": 2**62, "plen": 2**62},
            {"prot": "sealed"},
            {"prot": "lots"},
            {"more": 1},
            {"name": 5},
            {"name": "x" * 2000},
            {"title": "x" * 201},
            {"cid": "urn:other:" + "x" * 25},
            {"root": "A" * 42},
            {"root": 5},
            {"chunk": 511},
            {"chunk": 8193},
            {"exp": now - 86400},
            {"iat": now + 86400},
            {"exp": -(2**63)},
        ):
            with self.subTest(changes=changes):
                self.assertEqual(put(resign(jws, pem, **changes)), 400)
        for changes in (
            {"hdr": "A"},
            {"hdr": b64u(bytes(64))},
            {"meta": "%%%"},
            {"ks": {}},
            {"ks": {"kty": "EC", "crv": "P-256", "x": b64u(bytes(32)), "y": b64u(bytes(32))}},
        ):
            with self.subTest(changes=changes):
                self.assertEqual(put(resign(sealed_jws, pem, **changes), sealed), 400)
        # Conflicts: older, other geometry, weaker.
        self.assertEqual(put(resign(jws, pem, ver=5)), 201)
        for changes in (
            {"ver": 4},
            {"ver": 6, "chunk": 1024},
            {"ver": 6, "len": 4999, "plen": 4999},
            {"ver": 6, "prot": "none"},
        ):
            with self.subTest(changes=changes):
                self.assertEqual(put(resign(jws, pem, **changes)), 409)
        # Signed by nobody we know, by nobody, for another place.
        subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path("other.pem")],
            check=True,
            capture_output=True,
        )
        self.assertEqual(put(resign(jws, self.path("other.pem"))), 400)
        for text in (
            "",
            ".",
            "..",
            "a.b.c",
            jws[:-1],
            jws + "A",
            jws.replace(".", "", 1),
            "\x00" * 100,
            "x" * 70000,
            jws.split(".")[0] + "." + jws.split(".")[1] + ".",
        ):
            self.assertIn(put(text), (400, 413))
        elsewhere = resign(jws, pem, root=b64u(b"e" * 32), cid="urn:sealcast:" + "e" * 21 + "A")
        self.assertEqual(put(elsewhere), 400)
        self.assertEqual(Admin.call(path, "GET", "contents/" + b64u(b"e" * 32))[0], 404)
        lab.good("status")
        self.assertTrue(lab.processes[0].running())

    def test_admin_socket(self):
        lab = self.lab()
        lab.up()
        path = os.path.join(lab.dir, "admin.sock")
        pem = os.path.join(lab.dir, "provider", "provider.pem")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(lab.dir).st_mode & 0o777, 0o700)
        uri = lab.publish(make_file(self.path("file"), 5000), "--protect", "session", "--public")
        root = uri[len("sealcast:") :][:43]
        jws = Admin.call(path, "GET", "contents/" + root)[1]["description"]
        # What is no HTTP.
        for octets in (
            b"\x00" * 1000,
            os.urandom(100000),
            b"GET",
            b"\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00" * 50,
            b"PUT /api/v1/status HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
            b"PUT /api/v1/status HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            b"GET /api/v1/status HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        ):
            answer = Admin.raw(path, octets)
            self.assertNotIn(b" 200 ", answer[:20])
        self.assertIn(
            b" 431 ", Admin.raw(path, b"GET /api/v1/status HTTP/1.1\r\nX: " + b"y" * (10 << 20) + b"\r\n\r\n")[:20]
        )
        for target, status in (
            ("/", 404),
            ("/api/v1/", 404),
            ("/api/v1/contents/x", 404),
            ("/api/v1/contents/" + "%00" * 5, 400),
            ("/api/v1/contents/" + "A" * 43, 404),
            ("/api/v1/../../etc/passwd", 404),
            ("/api/v1/contents/%zz", 400),
        ):
            answer = Admin.raw(path, f"GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
            self.assertIn(str(status).encode(), answer[:20], target)
            self.assertIn(b'"error"', answer)
        for method in ("POST", "PATCH", "DELETE", "BREW"):
            self.assertIn(Admin.call(path, method, "contents/" + root)[0], (400, 404, 405, 501))
        # Objects: 1000 octets that have another root.
        other = b64u(b"w" * 32)
        wrong = resign(jws, pem, root=other, cid="urn:sealcast:" + "w" * 21 + "A", len=1000, plen=1000, chunk=512)
        self.assertEqual(
            Admin.call(path, "PUT", f"contents/{other}/object", b"x" * 10, Content_Range="bytes 0-9/1000")[0], 404
        )
        self.assertEqual(Admin.call(path, "PUT", f"contents/{other}/description", wrong)[0], 201)
        for content_range in (
            "bytes -5-4/1000",
            "bytes 0-9/-1",
            "bytes 9-0/1000",
            "bytes 0-9/*",
            "bytes 0-9",
            "bytes 0-9/1001",
            "bytes 0-9/999",
            "bytes 995-1004/1000",
            "octets 0-9/1000",
            "",
            "bytes 18446744073709551610-18446744073709551619/1000",
            "bytes 0-8/1000",
            "bytes 0-10/1000",
            "bytes 0-18446744073709551615/18446744073709551615",
        ):
            status, answer, _ = Admin.call(
                path, "PUT", f"contents/{other}/object", b"x" * 10, Content_Range=content_range
            )
            self.assertEqual(status, 400, content_range)
            self.assertIn("Content-Range", answer["error"])
        status, _, headers = Admin.call(
            path, "PUT", f"contents/{other}/object", b"x" * 10, Content_Range="bytes 500-509/1000"
        )
        self.assertEqual((status, headers["Sealcast-Have"]), (416, "0"))
        # In parts: whole chunks are kept, and the answer says how much that is.
        status, _, headers = Admin.call(
            path, "PUT", f"contents/{other}/object", b"x" * 600, Content_Range="bytes 0-599/1000"
        )
        self.assertEqual((status, headers["Sealcast-Have"]), (202, "512"))
        self.assertEqual(Admin.call(path, "HEAD", f"contents/{other}/object")[2]["Sealcast-Have"], "512")
        status, answer, _ = Admin.call(
            path, "PUT", f"contents/{other}/object", b"x" * 488, Content_Range="bytes 512-999/1000"
        )
        self.assertEqual(status, 422, answer)
        self.assertTrue(answer["error"])
        self.assertEqual(Admin.call(path, "HEAD", f"contents/{other}/object")[2]["Sealcast-Have"], "0")
        self.assertNotEqual(Admin.call(path, "GET", "contents/" + other)[1]["state"], "offered")
        self.assertEqual(
            Admin.call(path, "PUT", f"contents/{root}/object", b"x" * 5000, Content_Range="bytes 0-4999/5000")[0], 409
        )
        # Entitlements and keys.
        for body in (
            b"",
            b"{",
            b"[" * 100000,
            b'{"who":5}',
            b'{"who":[5]}',
            b'{"who":["' + b"x" * 70000 + b'"]}',
            b'{"public":"yes"}',
            b'{"public":true,"public":false}',
            b"\xff",
        ):
            status, answer, _ = Admin.call(path, "PUT", f"contents/{root}/entitlements", body)
            self.assertIn(status, (400, 413), body[:20])
            self.assertTrue(answer["error"])
        sealed = lab.publish(make_file(self.path("file"), 5000), "--public")[len("sealcast:") :][:43]
        for body, codes in (
            (b"", [400]),
            (b'{"k":5}', [400]),
            (b'{"k":"AAAA"}', [400]),
            (json.dumps({"k": b64u(bytes(16)), "not_before": 0}).encode(), [422]),
        ):
            self.assertIn(Admin.call(path, "PUT", "keys/" + sealed, body)[0], codes)
        self.assertEqual(Admin.call(path, "PUT", "keys/" + root, json.dumps({"k": b64u(bytes(16))}).encode())[0], 400)
        for query in ("after=x", "after=-1", "after=99999999999999999999999", "before=%"):
            self.assertIn(Admin.call(path, "GET", "audit?" + query)[0], (200, 400))
        # Many who connect and say nothing: the next one hears why, and none is there for longer than they are.
        idle = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for each in idle:
            each.connect(path)
        self.one_sentence(lab.run("status"), FAILURE, "64 connections")
        for each in idle:
            each.close()
        wait_until("room for a connection", lambda: lab.run("status").code == OK)
        self.assertTrue(lab.processes[0].running())

    # ---- the command line itself

    def test_help_and_manual(self):
        def run(*words):
            done = subprocess.run([SEALCAST, *words], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout

        self.assertRegex(run("--version"), r"^sealcast \d+\.\d+\.\d+\n$")
        manual = run("--man")
        commands = re.findall(r'^\.SS "(.*)"$', manual, re.M)
        self.assertGreater(len(commands), 20)
        parts = re.split(r"^\.S[SH] .*$", manual, flags=re.M)
        described = {
            re.search(r'^\.SS "(.*)"$', block, re.M).group(1): block
            for block in re.split(r"(?=^\.S[SH] )", manual, flags=re.M)
            if block.startswith(".SS")
        }
        self.assertEqual(sorted(described), sorted(commands))
        self.assertTrue(parts)
        overview = run("--help")
        for command in commands:
            words = command.replace("\\-", "-").split()
            text = run(*words, "--help")
            self.assertIn(words[0], overview)
            self.assertIn("Exit codes: 0 ok", text)
            for option in re.findall(r"--?[a-z-]+", described[command].split("\n", 1)[1].replace("\\-", "-")):
                if re.search(rf"^\\fB.*{re.escape(option)}.*\\fR", described[command].replace("\\-", "-"), re.M):
                    self.assertIn(option, text, command)
        for option in ("--dir", "--log", "--json"):
            self.assertIn(option, overview)
        for code in range(12):
            self.assertRegex(overview, rf"\b{code} [a-z]")
        for line in manual.splitlines():
            self.assertRegex(line, r"^\.(TH|SH|SS|TP|B|I|RI|PP|BR)\b|^(?![.'])")
        if shutil.which("groff"):
            done = subprocess.run(
                ["groff", "-man", "-ww", "-z", "-Tutf8"],
                input=manual,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_interrupted(self):
        """A signal in the middle of a transfer: no file, and -c goes on. Twice at once: the second hears who is
        first."""
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        uri = lab.publish(make_file(self.path("file"), 2 << 20), "--entitle", "alice")
        slow = lab.start(
            "get",
            "get",
            uri,
            "--dir",
            lab.dir,
            "--as",
            "alice",
            "-o",
            self.path("copy"),
            "--json",
            "--progress",
            "json",
            "--max-download-limit",
            "200K",
        )
        wait_until(
            "some chunks",
            lambda: any(
                json.loads(line)["bytes"] > 0
                for line in slow.errors().splitlines()
                if line.startswith("{") and line.endswith("}")
            ),
        )
        # The same output, twice at once.
        self.refused_get(lab, FAILURE, "in use by process", uri=uri, out=self.path("copy"))
        slow.process.send_signal(signal.SIGTERM)
        self.assertEqual(slow.wait(), 7)
        self.assertEqual(json.loads(slow.output())["code"], 7)
        self.assertFalse(os.path.exists(self.path("copy")))
        report = lab.get_good(uri, "alice", self.path("copy"), "-c")
        self.assertLess(report["from"]["cache"], 2 << 20)


if __name__ == "__main__":
    main()
