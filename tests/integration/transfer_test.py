"""Two subscribers and a cache, for each protection: the first takes from the cache, the second from both; the third
may not."""
import os

from harness import LabTest, long_enough, main, make_file, sha256

SIZE = 12 << 20


class Transfer(LabTest):
    def everything(self, protection, suite, *up):
        lab = self.lab()
        lab.up(*up)
        lab.subscribers("alice", "bob", "mallory")
        source = make_file(self.path("film.mp4"), SIZE)
        uri = lab.publish(source, "--protect", protection, "--entitle", "alice", "--entitle", "bob")
        first = lab.get_good(uri, "alice", self.path("a"))
        self.assertEqual(sha256(self.path("a")), sha256(source))
        self.assertEqual(first["protection"], protection)
        self.assertEqual(first["suite"], suite)
        self.assertEqual(first["from"]["peers"], 0)
        self.assertGreaterEqual(first["from"]["cache"], SIZE)
        self.assertEqual("key" in first, protection.startswith("sealed"))
        lab.seed("alice", uri)
        # Not so fast that all of it has come from the cache before alice is called.
        second = lab.get_good(uri, "bob", self.path("b"), *long_enough(SIZE))
        self.assertEqual(sha256(self.path("b")), sha256(source))
        self.assertGreater(second["from"]["peers"], 0)
        self.assertEqual(second["suite"], suite)
        third = lab.get(uri, "mallory", self.path("m"))
        self.assertEqual(third.code, 4, third.err)
        self.assertFalse(os.path.exists(self.path("m")))
        self.assertIn("error", third.json)
        return lab

    def test_sealed_session(self):
        lab = self.everything("sealed+session", "AEAD_AES_128_GCM")
        audit = lab.audit()
        self.assertEqual(
            {(line["subscriber"], line["status"]) for line in audit if line["event"] == "key-request"},
            {("sip:alice@sealcast.test", 200), ("sip:bob@sealcast.test", 200)},
        )
        refused = [(line["who"], line["event"], line["status"]) for line in lab.audit_log()]
        self.assertIn(("sip:mallory@sealcast.test", "fetch", 403), refused)

    def test_sealed(self):
        self.everything("sealed", "")

    def test_session(self):
        self.everything("session", "AEAD_AES_128_GCM")

    def test_none(self):
        self.everything("none", "")

    def test_ipv6(self):
        self.everything("sealed+session", "AEAD_AES_128_GCM", "--address", "::1")


if __name__ == "__main__":
    main()
