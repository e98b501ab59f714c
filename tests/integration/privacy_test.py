"""Who takes what is for the tracker to know: no partner learns another subscriber's name, and no log has a secret."""
import base64
import json
import os

from harness import LabTest, long_enough, main, make_file, sha256


class Privacy(LabTest):
    def test_nobody_learns_a_name_and_no_log_has_a_secret(self):
        lab = self.lab()
        lab.good("init")
        with open(os.path.join(lab.dir, "cache.toml"), "a", encoding="utf-8") as file:
            file.write("upload_limit = 3000000\n")  # so that bob needs alice
        up = lab.start("up", "up", "--dir", lab.dir, "--log", "debug").wait_ready()
        lab.subscribers("alice", "bob")
        lab.good("subscriber", "add", "carol", "--password-stdin", stdin=b"correct horse battery staple\n")
        source = make_file(self.path("film"), 3 << 20)
        published = lab.run(
            "publish", source, "--entitle", "alice", "--entitle", "bob", "--progress", "none", "--log", "debug"
        )
        uri = published.out.strip()
        first = lab.run(
            "get", uri, "--as", "alice", "-o", self.path("a"), "--json", "--progress", "none", "--log", "debug"
        )
        self.assertEqual(first.code, 0, first.err)
        seed = lab.start("seed", "seed", uri, "--dir", lab.dir, "--as", "alice", "--log", "debug").wait_ready()
        second = lab.run(
            *("get", uri, "--as", "bob", "-o", self.path("b"), "--json", "--progress", "none", "--log", "debug"),
            *long_enough(3 << 20),
        )
        self.assertEqual(second.code, 0, second.err)
        self.assertEqual(sha256(self.path("b")), sha256(source))
        self.assertGreater(second.json["from"]["peers"], 0)
        third = lab.run(
            "get", uri, "--as", "carol", "-o", self.path("c"), "--json", "--progress", "none", "--log", "debug"
        )
        self.assertEqual(third.code, 4, third.err)
        seed.interrupt()
        up.interrupt()

        # Names: each sees its own, and of the other at most a pseudonym.
        self.assertIn("sip:bob@", second.err)
        for what, text, own, other in (
            ("bob's get", second.out + second.err, "bob", "alice"),
            ("alice's seed", seed.output() + seed.errors(), "alice", "bob"),
            ("carol's get", third.out + third.err, "carol", "alice"),
        ):
            with self.subTest(what):
                # Paths in messages (the directory of a subscriber's own state) are this machine's, not the network's.
                self.assertNotRegex(text, rf"(?i)\b{other}\b")
                self.assertNotIn(
                    base64.urlsafe_b64encode(f"sip:{other}@sealcast.test".encode()).decode().rstrip("="), text
                )
        # Nor does anything of bob lie in alice's state, or the other way round.
        for name, other in (("alice", b"bob"), ("bob", b"alice")):
            for octets in self.files(os.path.join(lab.dir, "subscribers", name)):
                self.assertNotIn(b"sip:" + other + b"@", octets)

        # Secrets: in no log, at the most talkative.
        logs = "\n".join(
            [
                up.output(),
                up.errors(),
                seed.output(),
                seed.errors(),
                *(text for each in (published, first, second, third) for text in (each.out, each.err)),
            ]
        )
        self.assertGreater(logs.count("\n"), 20)
        for what, secret in self.secrets(lab):
            self.assertNotIn(secret, logs, what)
        self.assertNotRegex(logs, r"inline:|a=crypto:\d")
        self.assertNotRegex(logs, r"-----BEGIN|response=\"|P2PCDS-Token: *ey|\"d\" *:")
        self.assertNotRegex(
            logs, r"\bey[A-Za-z0-9_-]{20,}\.ey[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{80,}"
        )  # a JWS in full is a bearer of rights

    def files(self, directory):
        for place, _, names in os.walk(directory):
            for name in names:
                with open(os.path.join(place, name), "rb") as file:
                    yield file.read()

    def secrets(self, lab):
        """What nobody may read in a log: passwords, content keys, private keys' lines."""
        for name in ("alice", "bob", "carol"):
            with open(os.path.join(lab.dir, "subscribers", name, "password"), encoding="ascii") as file:
                yield name + "'s password", file.read().strip()
        keys = os.path.join(lab.dir, "provider", "keys")
        for name in os.listdir(keys):
            with open(os.path.join(keys, name), encoding="utf-8") as file:
                key = json.load(file)["k"]
            octets = base64.urlsafe_b64decode(key + "==")
            for form in (key, octets.hex(), octets.hex().upper(), base64.b64encode(octets).decode()):
                yield "the content key", form
        for octets in self.files(lab.dir):
            if b"PRIVATE KEY" in octets:
                for line in octets.decode().splitlines():
                    if len(line) >= 60 and "CERTIFICATE" not in line:
                        yield "a line of a key file", line


if __name__ == "__main__":
    main()
