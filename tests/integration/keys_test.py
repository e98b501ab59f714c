"""The key goes another way than the content: another cache, another time, and only to those who are entitled where it
is held."""
import base64
import glob
import json
import os
import time

from harness import LabTest, main, make_file, root_of, sha256, wait_until

SIZE = 4 << 20
A, B = "cache", "cache-b"
HOLDER_B = "sip:cache-b@sealcast.test"
SOON = ("--stall-timeout", "3")


class Keys(LabTest):
    def begun(self, *names):
        """Cache A holds chunks only. Nobody holds the key yet: it lies in a file."""
        lab = self.lab()
        lab.up("--cache", A, "--cache", B, "--keyless", A)
        lab.subscribers(*names, "mallory")
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.key = self.path("film.key")
        self.uri = lab.publish(
            self.source, *(word for name in names for word in ("--entitle", name)), "--key-out", self.key
        )
        return lab

    def one_cache(self, *options):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob", "mallory")
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.uri = lab.publish(self.source, "--entitle", "alice", "--entitle", "bob", *options)
        return lab

    def bring_key(self, lab):
        lab.good("key", "import", self.key, "--socket", lab.socket(B))

    def got(self, lab, who, *options):
        report = lab.get_good(self.uri, who, self.path(who), *options)
        self.assertEqual(sha256(self.path(who)), sha256(self.source))
        return report

    def refused(self, lab, who, code, *options, words=""):
        done = lab.get(self.uri, who, self.path(who), *options)
        self.assertEqual(done.code, code, done.err)
        self.assertIn(words, done.json["error"])
        self.assertEqual(glob.glob(self.path(who) + "*"), [])
        return done

    def received(self, lab, who):
        """Octets of the object that ever reached this subscriber's disk, sealed or opened."""
        hidden = glob.glob(self.path("." + who + ".sealcast-*"))
        kept = glob.glob(lab.kept(self.uri, who) + ".data")
        return sum(os.stat(name).st_blocks for name in hidden + kept)

    def status(self, lab, cache=A):
        return lab.api("GET", "status", cache)[2]["cache"]

    def decisions(self, lab, cache=A):
        return [
            (line["subscriber"].split(":")[1].split("@")[0], line["status"])
            for line in lab.audit(cache)
            if line["root"] == root_of(self.uri) and line["event"] == "key-request"
        ]

    def test_two_caches(self):
        lab = self.begun("alice", "bob")
        self.assertEqual(os.stat(self.key).st_mode & 0o777, 0o600)
        self.assertEqual(lab.content(self.uri)["key"], False)
        # Before the key has reached a holder.
        self.refused(lab, "alice", 8, *SOON, words="no peer says who holds the key")
        self.assertEqual(self.received(lab, "alice"), 0)
        self.bring_key(lab)
        first = self.got(lab, "alice")
        self.assertEqual(first["key"]["holder"], HOLDER_B)
        self.assertEqual(first["from"]["peers"], 0)
        self.assertEqual(self.decisions(lab, B), [("alice", 200)])
        self.assertEqual(self.decisions(lab, A), [])
        # B has no chunk, A no key.
        self.assertEqual(lab.content(self.uri, B)["chunks_held"], 0)
        self.assertEqual(self.status(lab, B)["sent"], 0)
        self.assertEqual(lab.api("GET", "keys", A)[2]["keys"], [])
        self.check_keyless(lab)
        self.assertEqual(lab.run("key", "import", self.key, "--socket", lab.socket(A)).code, 1)

    def check_keyless(self, lab):
        """In no file of cache A, in no form."""
        with open(self.key, encoding="utf-8") as handle:
            text = json.load(handle)["k"]
        octets = base64.urlsafe_b64decode(text + "==")
        secrets = (octets, text.encode(), octets.hex().encode(), base64.b64encode(octets).rstrip(b"="))
        searched = 0
        for where, _, names in os.walk(os.path.join(lab.dir, A)):
            for name in names:
                if name.endswith(".sock"):
                    continue
                with open(os.path.join(where, name), "rb") as handle:
                    found = handle.read()
                searched += 1
                for secret in secrets:
                    self.assertNotIn(secret, found, os.path.join(where, name))
        self.assertGreater(searched, 5)

    def test_bitmap_from_ue_only(self):
        """The cache with the chunks is gone: bob has bitmap, KEYINFO and chunks from alice, and the key from B."""
        lab = self.lab()
        lab.good("init", "--cache", A, "--cache", B, "--keyless", A)
        for role in ("core", "tracker"):
            lab.role(role)
        cache = lab.role("cache", A)
        lab.role("cache", B)
        lab.subscribers("alice", "bob")
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.key = self.path("film.key")
        self.uri = lab.publish(
            self.source, "--entitle", "alice", "--entitle", "bob", "--key-out", self.key, "--socket", lab.socket(A)
        )
        self.bring_key(lab)
        self.got(lab, "alice")
        lab.seed("alice", self.uri)
        self.assertEqual(cache.interrupt(), 0, cache.errors())
        report = self.got(lab, "bob")
        self.assertEqual(report["key"]["holder"], HOLDER_B)
        self.assertEqual(report["from"]["cache"], 0)
        self.assertGreaterEqual(report["from"]["peers"], SIZE)
        # Alice asks once more, to seal again what she serves.
        self.assertEqual(self.decisions(lab, B), [("alice", 200), ("alice", 200), ("bob", 200)])

    def test_entitled_at_the_tracker_only(self):
        lab = self.begun("alice")
        self.bring_key(lab)
        self.got(lab, "alice")
        lab.subscribers("bob")
        lab.good("entitle", self.uri, "bob", "--socket", lab.socket(A))
        sent = self.status(lab)["sent"]
        # A takes bob in and tells him who holds the key; B does not release it, and without a key bob asks for no
        # chunk.
        self.refused(lab, "bob", 4, words="not entitled to the key")
        self.assertEqual(self.received(lab, "bob"), 0)
        self.assertEqual(self.status(lab)["sent"], sent)
        self.assertEqual(self.decisions(lab, B), [("alice", 200), ("bob", 403)])
        lab.good("entitle", self.uri, "bob", "--socket", lab.socket(B))
        self.got(lab, "bob")

    def test_not_entitled(self):
        lab = self.one_cache()
        self.refused(lab, "mallory", 4, words="not entitled")
        status = self.status(lab)
        self.assertEqual((status["sent"], status["associations"], status["calls"]), (0, [], 0))
        self.assertEqual(self.received(lab, "mallory"), 0)
        self.assertEqual(self.decisions(lab), [])

    def test_entitlement_withdrawn(self):
        """Who has lost the entitlement gets nothing any more, not even with the KEYINFO of an earlier run."""
        lab = self.one_cache()
        self.got(lab, "bob")
        lab.good("entitle", self.uri, "--remove", "bob")
        os.remove(self.path("bob"))
        self.refused(lab, "bob", 4)
        # Refused before he asks, or because he asks.
        self.assertIn(self.decisions(lab), ([("bob", 200)], [("bob", 200), ("bob", 403)]))

    def test_not_before(self):
        start = int(time.time()) + 3600
        lab = self.one_cache("--not-before", str(start))
        self.assertEqual(lab.content(self.uri)["not_before"], start)
        self.refused(lab, "alice", 8, words="not released yet")
        self.assertEqual(self.received(lab, "alice"), 0)
        self.assertEqual(self.decisions(lab), [("alice", 425)])
        # The same key again, released now.
        key = self.path("film.key")
        lab.good("key", "export", self.uri, key)
        with open(key, encoding="utf-8") as handle:
            document = json.load(handle)
        self.assertEqual(document["not_before"], start)
        document["not_before"] = 0
        with open(key, "w", encoding="utf-8") as handle:
            json.dump(document, handle)
        lab.good("key", "import", key)
        self.got(lab, "alice")
        self.assertEqual(self.decisions(lab), [("alice", 425), ("alice", 200)])

    def test_revoked(self):
        lab = self.one_cache()
        self.got(lab, "alice")
        lab.seed("alice", self.uri)
        lab.good("key", "revoke", self.uri)
        # Alice's KEYINFO still names the cache, which has the key no more.
        sent = self.status(lab)["sent"]
        self.refused(lab, "bob", 8, *SOON, words="not released")
        self.assertEqual(self.received(lab, "bob"), 0)
        self.assertEqual(self.status(lab)["sent"], sent)
        self.assertEqual(self.decisions(lab), [("alice", 200), ("alice", 200), ("bob", 425)])
        self.assertEqual(lab.run("key", "revoke", self.uri).code, 3)
        self.assertEqual(lab.good("key", "list", "--json").json["keys"], [])

    def test_wrong_key(self):
        """The key file of another content, under this one's description."""
        lab = self.begun("alice")
        other = self.path("other.key")
        lab.publish(make_file(self.path("other.mp4"), 1 << 20, seed=2), "--entitle", "alice", "--key-out", other)
        with open(self.key, encoding="utf-8") as right, open(other, encoding="utf-8") as wrong:
            document = {**json.load(right), "k": json.load(wrong)["k"]}
        mixed = self.path("mixed.key")
        with open(mixed, "w", encoding="utf-8") as handle:
            json.dump(document, handle)
        refused = lab.run("key", "import", mixed, "--socket", lab.socket(B))
        self.assertEqual(refused.code, 6, refused.err)
        self.assertIn("commitment", refused.err)
        self.assertNotIn(document["k"], refused.err)
        status, _, answer = lab.api("PUT", "keys/" + root_of(self.uri), B, json.dumps({"k": document["k"]}))
        self.assertEqual(status, 422, answer)
        self.assertEqual(lab.api("GET", "keys", B)[2]["keys"], [])
        self.bring_key(lab)
        self.got(lab, "alice")

    def test_parallel_order(self):
        """With --key-order parallel chunks come before the key; the file does not."""
        lab = self.begun("alice")
        get = lab.start_get(self.uri, "alice", self.path("alice"), "--key-order", "parallel")
        wait_until("all chunks", lambda: get.progress().get("bytes", 0) > SIZE)
        self.assertTrue(get.running(), get.errors())
        self.assertEqual(glob.glob(self.path("alice") + "*"), [])
        self.bring_key(lab)
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))


if __name__ == "__main__":
    main()
