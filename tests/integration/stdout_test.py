"""What cannot be written is an error, in every command; descriptors 0 to 2 may be closed from the beginning."""
import os
import signal
import subprocess

from harness import PATIENCE, SEALCAST, LabTest, main, make_file, root_of, sha256, wait_until

FULL, FAILURE = 9, 1
OFFER = """v=0
o=- 1 1 IN IP4 192.0.2.1
s=-
c=IN IP4 192.0.2.1
t=0 0
m=application 5000 RTP/AVPF 98
a=rtpmap:98 vnd.p2pcds.ppspp/1000000
a=rtcp-fb:* ack ccfb
a=fmtp:98 ver=1; cam=2; mhf=2; maxdg=1204; ig=run; role=both
a=ssrc:1 cname:x
a=rtcp-mux
a=sendrecv
""".replace("\n", "\r\n")


class Stdout(LabTest):
    def laboratory(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.source = make_file(self.path("film.mp4"), 100_000)
        self.uri = lab.publish(self.source, "--entitle", "alice")
        return lab

    def into(self, where, *arguments):
        """Exit code and what was said; standard output is "full", "closed" or "gone" (a pipe without a reader)."""
        command = [SEALCAST, *arguments]
        more = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "timeout": PATIENCE, "text": True,
                "check": False}
        if where == "closed":
            done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], **more)
        elif where == "full":
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command, stdout=full, **more)
        else:
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run(command, stdout=writing, **more)
            os.close(writing)
        return done.returncode, done.stderr

    def test_every_command(self):
        lab = self.laboratory()
        here = ("--dir", lab.dir)
        config = os.path.join(lab.dir, "cache.toml")
        offer = self.path("offer.sdp")
        with open(offer, "w", encoding="ascii") as handle:
            handle.write(OFFER)
        plain = [("ls", *here), ("show", self.uri, *here), ("status", *here), ("audit", "query", *here),
                 ("key", "list", *here), ("entitle", self.uri, "alice", *here), ("subscriber", "list", *here),
                 ("config", "check", config), ("sdp", "explain", offer)]
        commands = [("--version",), ("--help",), ("--man",), ("get", "--help"), *plain]
        with_json = [(*each, "--json") for each in plain]
        for command in with_json:
            self.assertTrue(lab.good(*(word for word in command if word not in here)).json, command)  # one document
        commands += with_json
        for command in commands:
            code, said = self.into("full", *command)
            self.assertEqual(code, FULL, (command, said))
            self.assertIn("cannot write to standard output: No space left on device", said)
            code, said = self.into("closed", *command)
            self.assertEqual(code, FAILURE, (command, said))
            self.assertIn("cannot write to standard output", said)
            # Who does not read any more wants no sentence.
            code, said = self.into("gone", *command)
            self.assertEqual((code, said), (FAILURE, ""), command)

    def test_what_is_done_once(self):
        """Commands that change something: done, and an error all the same."""
        lab = self.laboratory()
        here = ("--dir", lab.dir)
        for name, more in (("bob", ()), ("carol", ("--json",))):
            code, said = self.into("full", "subscriber", "add", name, *here, *more)
            self.assertEqual(code, FULL, said)
        names = [each["name"] for each in lab.good("subscriber", "list", "--json").json["subscribers"]]
        self.assertEqual(names, ["alice", "bob", "carol"])
        key = self.path("key.json")
        self.assertEqual(lab.good("key", "export", self.uri, key, "--json").json["file"], key)
        self.assertEqual(lab.good("key", "import", key, "--json").json["root"], root_of(self.uri))
        self.assertEqual(lab.good("subscriber", "remove", "bob", "--json").json["name"], "bob")
        code, said = self.into("full", "key", "revoke", self.uri, "--json", *here)
        self.assertEqual(code, FULL, said)
        code, said = self.into("full", "init", "--dir", self.path("other"))
        self.assertEqual(code, FULL, said)
        self.assertEqual(self.lab("third").good("init", "--json").json["directory"], self.path("third"))
        code, said = self.into("full", "seed", "--as", "alice", *here)
        self.assertIn(code, (FULL, 3), said)

    def test_the_uri_is_not_lost(self):
        lab = self.laboratory()
        for arguments in ((), ("--json",)):
            code, said = self.into("full", "publish", self.source, "--public", "--dir", lab.dir, *arguments)
            self.assertEqual(code, FULL, said)
            self.assertRegex(said, "published as sealcast:[A-Za-z0-9_-]{43}@sealcast.test")

    def test_get_json(self):
        lab = self.laboratory()
        out = self.path("copy")
        code, said = self.into("full", "get", self.uri, "--as", "alice", "-o", out, "--json", "--dir", lab.dir)
        self.assertEqual(code, FULL, said)
        self.assertEqual(sha256(out), sha256(self.source))

    def test_ready_line(self):
        lab = self.lab()
        code, said = self.into("full", "up", "--dir", lab.dir)
        self.assertEqual(code, FULL, said)
        self.assertIn("cannot write to standard output", said)
        code, said = self.into("gone", "core", "-c", os.path.join(lab.dir, "core.toml"))
        self.assertEqual(code, FAILURE, said)

    def test_nothing_is_open(self):
        """Started without descriptors 0 to 2: it runs, and no line of a log lands in a database or a socket."""
        lab = self.lab()
        closed = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", SEALCAST)
        with subprocess.Popen([*closed, "up", "--dir", lab.dir, "--log", "debug"]) as up:
            wait_until("the node", lambda: os.path.exists(os.path.join(lab.dir, "admin.sock")))
            for descriptor in "012":
                self.assertEqual(os.readlink(f"/proc/{up.pid}/fd/{descriptor}"), "/dev/null")
            lab.subscribers("alice")
            source = make_file(self.path("film.mp4"), 100_000)
            uri = lab.publish(source, "--entitle", "alice")
            out = self.path("copy")
            done = subprocess.run([*closed, "get", uri, "--as", "alice", "-o", out, "--dir", lab.dir],
                                  timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 0)
            self.assertEqual(sha256(out), sha256(source))
            up.send_signal(signal.SIGTERM)
            self.assertEqual(up.wait(PATIENCE), 0)
        lab.up()
        self.assertEqual(len(lab.good("ls", "--json").json["contents"]), 1)

    def test_files_that_are_too_large(self):
        """RLIMIT_FSIZE: a sentence, not SIGXFSZ."""
        lab = self.laboratory()
        big = make_file(self.path("big.bin"), 3 << 20)
        uri = lab.publish(big, "--entitle", "alice")
        out = self.path("copy")
        done = lab.get(uri, "alice", out, wrapper=("prlimit", "--fsize=1048576"))
        self.assertGreater(done.code, 0, done.err)
        self.assertIn("File too large", done.err)
        self.assertFalse(os.path.exists(out))
        lab.get_good(uri, "alice", out, "-c")
        self.assertEqual(sha256(out), sha256(big))


if __name__ == "__main__":
    main()
