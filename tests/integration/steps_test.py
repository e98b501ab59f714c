"""The steps down: what a kernel, a processor or a machine may lack is left out, one by one and all at once."""
import os
from unittest import mock

from harness import LabTest, main, make_file, sha256

SIZE = 3 << 20
FASTEST = {"segmentation": True, "coalescing": True, "storage_thread": (os.cpu_count() or 1) > 1}


class Steps(LabTest):
    def served_and_fetched(self, media="", crypto="", **differs):
        """Cache and UE with the same steps left out; status says so. Sealed content over SRTP, then clear over SRTP."""
        with mock.patch.dict(os.environ, {"SEALCAST_MEDIA": media, "SEALCAST_CRYPTO": crypto}):
            lab = self.lab()
            lab.up()
            lab.subscribers("alice")
            source = make_file(self.path("film"), SIZE)
            for protection in ("sealed+session", "session"):
                uri = lab.publish(source, "--public", "--protect", protection, "--title", protection)
                report = lab.get_good(uri, "alice", self.path(protection))
                self.assertEqual(report["suite"], "AEAD_AES_128_GCM")
                self.assertEqual(sha256(self.path(protection)), sha256(source))
            shown = lab.api("GET", "status")[2]["cache"]["media"]
            self.assertEqual(shown, {**FASTEST, "crypto": crypto or shown["crypto"], **differs})

    def test_none_left_out(self):
        self.served_and_fetched()

    def test_without_segmentation(self):
        self.served_and_fetched(media="no-gso", segmentation=False)

    def test_without_coalescing(self):
        self.served_and_fetched(media="no-gro", coalescing=False)

    def test_one_thread(self):
        self.served_and_fetched(media="one-thread", storage_thread=False)

    def test_openssl(self):
        self.served_and_fetched(crypto="openssl")

    def test_without_wide_vectors(self):
        self.served_and_fetched(crypto="ipsec-mb-avx2")

    def test_without_vectors(self):
        self.served_and_fetched(crypto="ipsec-mb-sse")

    def test_nothing_but_the_least(self):
        self.served_and_fetched(
            media="no-gso,no-gro,one-thread",
            crypto="openssl",
            segmentation=False,
            coalescing=False,
            storage_thread=False,
        )

    def test_unknown_steps_are_refused(self):
        lab = self.lab()
        for variable in ("SEALCAST_MEDIA", "SEALCAST_CRYPTO"):
            done = lab.run("ls", env={variable: "warp"})
            self.assertEqual(done.code, 2)
            self.assertIn(variable, done.err)


if __name__ == "__main__":
    main()
