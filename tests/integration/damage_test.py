"""Disks flip bits and lose ends of files: what is damaged is found, named, never served, and fetched again."""
import os

from harness import LabTest, chunks_kept, flip, long_enough, main, make_file, sha256, wait_until

SIZE = 4 << 20


class Damage(LabTest):
    def begun(self, *options):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice", "bob")
        self.source = make_file(self.path("film.mp4"), SIZE)
        self.uri = lab.publish(self.source, "--entitle", "alice", "--entitle", "bob", *options)
        return lab

    def got(self, lab, who, *options):
        done = lab.get(self.uri, who, self.path(who), *options)
        self.assertEqual(done.code, 0, done.err + lab.logs())
        self.assertEqual(sha256(self.path(who)), sha256(self.source))
        self.assertNotIn("do not verify", done.err)  # nobody was sent a bad chunk
        return done.json

    def stop(self, lab):
        lab.processes[0].interrupt()

    def hashes(self, base):
        with open(base + ".tree", "rb") as handle:
            octets = handle.read()
        return [octets[at : at + 32] for at in range(0, len(octets), 32)]

    # ---- bits

    def flipped_at_cache(self, *options):
        """The cache is the only one who has the content: what is damaged is not served, and comes back with the first
        who has it."""
        lab = self.begun(*options)
        self.got(lab, "alice")
        base = lab.object(self.uri)
        before = sha256(base + ".data")
        for offset in (10, SIZE // 3, SIZE // 2, SIZE - 1):
            flip(base + ".data", offset)
        get = lab.start_get(self.uri, "bob", self.path("bob"))
        wait_until("the discovery", lambda: lab.content(self.uri)["state"] == "damaged")
        wait_until("all that is good", lambda: get.progress().get("bytes", 0) > SIZE - 4 * 32 * 1152)
        self.assertTrue(get.running(), get.errors())
        lab.seed("alice", self.uri)
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path("bob")), sha256(self.source))
        self.assertNotIn("do not verify", get.errors())
        wait_until("the repair", lambda: lab.content(self.uri)["state"] == "offered")
        self.assertEqual(sha256(base + ".data"), before)
        self.assertEqual(lab.processes[0].errors().count("damaged on disk"), 4)
        for association in lab.api("GET", "status")[2]["cache"]["associations"]:
            self.assertEqual(association["integrity_failures"], 0)

    def test_bits_at_cache(self):
        self.flipped_at_cache()

    def test_bits_at_cache_plain(self):
        self.flipped_at_cache("--protect", "none")

    def test_bits_at_cache_beside_a_seed(self):
        """Every run is damaged at the cache, and alice has them all: bob has what he wants, some of it after the
        cache's repair."""
        lab = self.begun()
        self.got(lab, "alice")
        lab.seed("alice", self.uri)
        base = lab.object(self.uri)
        for offset in range(100, SIZE, 32 * 1152):
            flip(base + ".data", offset)
        self.got(lab, "bob")
        wait_until("the repair", lambda: lab.content(self.uri)["state"] == "offered")
        self.assertIn("damaged on disk", lab.processes[0].errors())

    def test_damaged_object_published_again(self):
        """Nobody else has the content: the provider publishes the very file again while a subscriber waits for it."""
        lab = self.begun("--protect", "session")
        base = lab.object(self.uri)
        for offset in (10, SIZE // 2):
            flip(base + ".data", offset)
        waiting = lab.start_get(self.uri, "bob", self.path("bob"))
        wait_until("the discovery", lambda: lab.content(self.uri)["state"] == "damaged")
        again = lab.publish(self.source, "--entitle", "alice", "--entitle", "bob", "--protect", "session")
        self.assertEqual(again, self.uri)
        self.assertEqual(lab.content(self.uri)["state"], "offered")
        self.got(lab, "alice")
        self.assertEqual(waiting.wait(), 0, waiting.errors())
        self.assertEqual(sha256(self.path("bob")), sha256(self.source))
        self.assertTrue(lab.processes[0].running(), lab.processes[0].errors())

    def test_bits_in_tree_at_cache(self):
        """The hashes beside the object are damaged: nobody is sent what does not verify, and the cache mends from the
        chunks those that it needs, which are not the ones inside of a run whose checksum holds."""
        lab = self.begun()
        base = lab.object(self.uri)
        before = self.hashes(base)
        self.stop(lab)
        for bin_number in (0, 31, 100, 165, 1023):  # a leaf, a run, another leaf, an inner node, one higher up
            flip(base + ".tree", bin_number * 32 + 5)
        up = lab.up()
        self.got(lab, "bob")
        self.assertNotIn("damaged on disk", up.errors())
        self.assertEqual(up.interrupt(), 0, up.errors())
        after = self.hashes(base)
        changed = {number for number, each in enumerate(after) if each != before[number]}
        self.assertLessEqual(changed, {100, 165})

    def test_bits_at_seed(self):
        """The copy that alice keeps is damaged while she seeds: bob gets good chunks, and alice mends hers from the
        cache."""
        lab = self.begun()
        self.got(lab, "alice", "--keep")
        base = lab.kept(self.uri, "alice")
        for offset in range(1000, SIZE, SIZE // 16):
            flip(base + ".data", offset)
        seed = lab.seed("alice", self.uri)
        self.got(lab, "bob")
        wait_until("alice's repair", lambda: chunks_kept(base) == lab.content(self.uri)["chunks"])
        self.assertTrue(seed.running(), seed.errors())

    def resumed_over_damage(self, *options):
        """Chunks of an earlier run that are kept, damaged meanwhile: the file is right all the same."""
        lab = self.begun(*options)
        self.got(lab, "alice", "--keep")
        base = lab.kept(self.uri, "alice")
        for offset in (10, SIZE // 2, SIZE - 1):
            flip(base + ".data", offset)
        os.remove(self.path("alice"))
        report = self.got(lab, "alice", "-c")
        self.assertGreater(report["from"]["cache"], 0)
        self.assertLess(report["from"]["cache"], SIZE // 4)

    def test_bits_at_resume(self):
        self.resumed_over_damage()

    def test_bits_at_resume_clear(self):
        self.resumed_over_damage("--protect", "session")

    def rotten_before_the_file(self, *options):
        """Chunks change on the disk after they were verified, under the hands of the get that writes the file."""
        lab = self.begun(*options)
        alice = lab.start_get(self.uri, "alice", self.path("alice"), "--keep", "--max-download-limit", "400k")
        alice.wait_progress(400000)
        data = lab.kept(self.uri, "alice") + ".data"
        with open(data, "rb") as handle:
            octets = handle.read()
        written = [at for at in range(0, SIZE, 4096) if any(octets[at : at + 4096])]
        for offset in (written[0], written[len(written) // 2]):
            flip(data, offset)
        self.assertEqual(alice.wait(), 0, alice.errors()[-2000:])
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))
        self.assertIn("all chunks are checked again", alice.errors())

    def test_bits_under_a_running_get(self):
        self.rotten_before_the_file()

    def test_bits_under_a_running_get_clear(self):
        self.rotten_before_the_file("--protect", "session")

    # ---- files

    def test_files_at_cache(self):
        """Each kind of loss on an object of its own: the cache starts, names the file, and serves the rest."""
        lab = self.begun()
        objects = {}
        for number, extension in enumerate((".data", ".tree", ".have", "foreign", "missing")):
            source = make_file(self.path(f"file-{number}"), 1 << 20, seed=number + 10)
            objects[extension] = (lab.publish(source, "--entitle", "alice"), source)
        self.stop(lab)
        for extension in (".data", ".tree", ".have"):
            name = lab.object(objects[extension][0]) + extension
            os.truncate(name, os.path.getsize(name) // 2)
        with open(lab.object(objects["foreign"][0]) + ".have", "wb") as handle:
            handle.write(b"#!/bin/sh\n" * 40)
        os.remove(lab.object(objects["missing"][0]) + ".data")
        up = lab.up()
        for extension, (uri, _) in objects.items():
            name = lab.object(uri) + {"foreign": ".have", "missing": ".data"}.get(extension, extension)
            shown = lab.content(uri)
            self.assertEqual(shown["state"], "damaged", extension)
            self.assertIn(name, shown["trouble"])
            self.assertIn(name, up.errors())
        self.got(lab, "alice")
        # Importing again is the repair that is always there; nothing of the old files is taken.
        uri, source = objects[".data"]
        done = lab.get(uri, "alice", self.path("x"), "--stall-timeout", "2")
        self.assertNotEqual(done.code, 0)
        uri = lab.publish(source, "--entitle", "alice")
        lab.get_good(uri, "alice", self.path("x"))
        self.assertEqual(sha256(self.path("x")), sha256(source))

    def test_files_at_ue(self):
        self.files_at_ue(".data", ".tree", ".have", options=("--keep",))

    def test_files_at_ue_opened(self):
        self.files_at_ue(".tree", ".have")

    def files_at_ue(self, *extensions, options=()):
        lab = self.begun()
        self.got(lab, "alice", *options)
        base = lab.kept(self.uri, "alice")
        for extension in extensions:
            os.truncate(base + extension, os.path.getsize(base + extension) // 2)
            kept = lab.get(self.uri, "alice", self.path("alice2"), "-c", *options)
            self.assertEqual(kept.code, 1, kept.err)
            self.assertIn(base + extension, kept.err)
            self.assertFalse(os.path.exists(self.path("alice2")))
            seed = lab.run("seed", self.uri, "--as", "alice")
            self.assertEqual(seed.code, 1, seed.err)
            self.assertIn(base + extension, seed.err)
            # Without -c it begins anew.
            report = self.got(lab, "alice", *options)
            self.assertGreaterEqual(report["from"]["cache"], SIZE)

    def test_files_at_seed(self):
        """Of all that alice keeps one is damaged: she seeds the others."""
        lab = self.begun()
        other = lab.publish(make_file(self.path("other"), 1 << 20, seed=2), "--entitle", "alice")
        self.got(lab, "alice")
        lab.get_good(other, "alice", self.path("other-alice"))
        name = lab.kept(other, "alice") + ".tree"
        os.truncate(name, 100)
        seed = lab.seed("alice")
        self.assertIn(name, seed.errors())
        self.assertIn("seeding 1 as alice", seed.output())
        self.assertGreater(self.got(lab, "bob", *long_enough(SIZE))["from"]["peers"], 0)


if __name__ == "__main__":
    main()
