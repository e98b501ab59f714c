"""Somebody captures everything on loopback while two subscribers fetch, and reads what can be read: with any
protection, nothing.

Each protection has its controls: without protection, with SRTP keys on a readable wire, or with a leaked content key,
the same attacker reads."""
import base64
import glob
import json
import os
import re
import unittest

import capture
from harness import LabTest, long_enough, main, make_file, sha256

SIZE = 4 << 20
INLINE = re.compile(rb"inline:[A-Za-z0-9+/]{37,}")


class Eavesdrop(LabTest):
    @classmethod
    def setUpClass(cls):
        if capture.refusal():
            raise unittest.SkipTest(capture.refusal())

    def transfer(self, protection, suite, *up):
        """Alice from the cache, bob from alice too, all of it captured from before the laboratory's start to its
        end."""
        lab = self.lab()
        self.outputs = []
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.capture, self.words, self.key = self.path("capture.pcap"), self.path("words"), None
        with capture.Capture(self.capture):
            lab.start("up", "up", "--dir", lab.dir, "--log", "debug", *up).wait_ready()
            lab.subscribers("alice", "bob")
            uri = lab.publish(self.source, "--protect", protection, "--entitle", "alice", "--entitle", "bob")
            self.assertEqual(self.get(lab, uri, "alice", suite)["from"]["peers"], 0)
            seed = lab.start(
                "seed-alice", "seed", uri, "--dir", lab.dir, "--as", "alice", "--log", "debug"
            ).wait_ready()
            self.assertGreater(self.get(lab, uri, "bob", suite, *long_enough(SIZE))["from"]["peers"], 0)
            self.check_process_list(lab)
            self.assertEqual(seed.interrupt(), 0)
        self.passwords = self.write_passwords(lab)
        if protection.startswith("sealed"):
            self.key = self.path("key.json")
            lab.good("key", "export", uri, self.key)
        lab.stop()
        self.check_outputs(lab)

    def get(self, lab, uri, who, suite, *options):
        out = self.path(who)
        words = ("--json", "--progress", "none", "--log", "debug", *options)
        done = lab.good("get", uri, "--as", who, "-o", out, *words)
        self.outputs += [done.out, done.err]
        self.assertEqual(sha256(out), sha256(self.source))
        self.assertEqual(done.json["suite"], suite)
        return done.json

    def write_passwords(self, lab):
        found = glob.glob(os.path.join(lab.dir, "**", "password"), recursive=True)
        self.assertGreaterEqual(len(found), 2)
        passwords = []
        for name in found:
            with open(name, "rb") as handle:
                passwords.append(handle.read().strip())
        with open(self.words, "wb") as handle:
            handle.write(b"\n".join(passwords) + b"\n")
        return passwords

    def secrets(self):
        secrets = list(self.passwords)
        if self.key:
            with open(self.key, encoding="utf-8") as handle:
                text = json.load(handle)["k"]
            octets = base64.urlsafe_b64decode(text + "==")
            secrets += [
                text.encode(),
                octets,
                octets.hex().encode(),
                octets.hex().upper().encode(),
                base64.b64encode(octets).rstrip(b"="),
            ]
        return secrets

    def check_process_list(self, lab):
        """Command lines and environments of the running programs; compared once the secrets are known."""
        for process in lab.processes:
            for name in ("cmdline", "environ"):
                with open(f"/proc/{process.process.pid}/{name}", "rb") as handle:
                    self.outputs.append(handle.read().decode(errors="surrogateescape"))

    def check_outputs(self, lab):
        texts = {f"output {i}": text.encode(errors="surrogateescape") for i, text in enumerate(self.outputs)}
        files = glob.glob(os.path.join(lab.work, "*.out")) + glob.glob(os.path.join(lab.work, "*.err"))
        self.assertGreaterEqual(len(files), 4)
        for name in files:
            with open(name, "rb") as handle:
                texts[os.path.basename(name)] = handle.read()
        for name, text in texts.items():
            self.assertIsNone(INLINE.search(text), f"an inline key is in {name}")
            for number, secret in enumerate(self.secrets()):
                self.assertNotIn(secret, text, f"secret {number} is in {name}")

    def attack(self, **options):
        report = capture.attack(
            self.capture, self.source, words=self.words, **({"key": self.key} if self.key else {}), **options
        )
        seen = report["captured"]
        # Both transfers were captured, whole, and so was the signalling.
        self.assertGreater(seen["udp_octets"], 2 * SIZE, report)
        self.assertEqual(seen["gaps"], 0, report)
        self.assertGreaterEqual(seen["streams"], 4, report)
        self.assertGreater(seen["tcp_octets"], 4096, report)
        self.assertGreater(report["srtp"]["packets"], 2 * SIZE // 1400, report)
        self.assertGreaterEqual(report["windows"], SIZE // 16 - 16, report)
        # Never, not even with readable signalling.
        self.assertEqual(report["words"], 0, report)
        self.assertEqual(report["content_keys"], {"found": 0, "known": 0}, report)
        return report

    def reads_nothing(self, report):
        self.assertEqual(report["inline_keys"], {"udp": 0, "tcp": 0, "different": 0}, report)
        self.assertEqual(report["clear"], {"udp": 0, "tcp": 0}, report)
        self.assertEqual(
            (report["srtp"]["flows_opened"], report["srtp"]["decrypted"], report["srtp"]["windows"]), (0, 0, 0), report
        )
        self.assertEqual((report["sealed"]["records"], report["sealed"]["windows"], report["read"]), (0, 0, 0), report)
        self.assertEqual(report["captured"]["tls"], report["captured"]["streams"], report)

    def reads_everything(self, report):
        self.assertGreater(report["read"], 0.98 * report["windows"], report)

    def opens_srtp(self, report):
        self.assertGreater(report["inline_keys"]["different"], 3, report)  # offer and answer, twice
        self.assertEqual(report["clear"], {"udp": 0, "tcp": 0}, report)
        self.assertEqual(report["srtp"]["flows_opened"], report["srtp"]["flows"], report)
        self.assertGreater(report["srtp"]["decrypted"], 0.98 * report["srtp"]["packets"], report)

    def test_sealed_session(self):
        self.transfer("sealed+session", "AEAD_AES_128_GCM")
        self.reads_nothing(self.attack())
        self.reads_nothing(self.attack(leaked_key=self.key))  # a leaked content key alone does not help

    def test_sealed(self):
        self.transfer("sealed", "")
        self.reads_nothing(self.attack())
        self.reads_everything(self.attack(leaked_key=self.key))  # the ciphertext was there, only the key was not

    def test_session(self):
        self.transfer("session", "AEAD_AES_128_GCM")
        self.reads_nothing(self.attack())

    def test_none(self):
        self.transfer("none", "")
        report = self.attack()
        self.reads_everything(report)
        self.assertGreater(report["clear"]["udp"], 0.98 * report["windows"], report)

    def test_insecure_signalling(self):
        self.transfer("session", "AEAD_AES_128_GCM", "--insecure-signalling")
        report = self.attack()
        self.opens_srtp(report)
        self.reads_everything(report)
        self.assertGreater(report["srtp"]["windows"], 0.98 * report["windows"], report)

    def test_insecure_signalling_sealed(self):
        self.transfer("sealed+session", "AEAD_AES_128_GCM", "--insecure-signalling")
        report = self.attack()
        self.opens_srtp(report)
        self.assertEqual((report["srtp"]["windows"], report["sealed"]["records"], report["read"]), (0, 0, 0), report)
        self.reads_everything(self.attack(leaked_key=self.key))


if __name__ == "__main__":
    capture.private_network()
    main()
