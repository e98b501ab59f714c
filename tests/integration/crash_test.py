"""Every process is killed once in mid-transfer; what was verified is kept, and the transfer ends well."""
import glob
import os
import signal

from harness import LabTest, chunks_kept, main, make_file, root_of, sha256, wait_until

SIZE = 12 << 20
BIG = 64 << 20
SLOW = ("--max-download-limit", "3M")
CHUNK = 1152


class Crash(LabTest):
    def published(self, lab, *names, size=SIZE, socket=()):
        lab.subscribers(*names)
        self.source = make_file(self.path("film.mp4"), size)
        return lab.publish(self.source, *(word for name in names for word in ("--entitle", name)), *socket)

    def half_way(self, lab, uri, who, *options, kept=0.2):
        """A get that is in the middle of its transfer, with at least `kept` of the chunks on disk."""
        get = lab.start_get(uri, who, self.path(who), *SLOW, *options)
        base = lab.kept(uri, who)

        def there():
            self.assertTrue(get.running(), get.errors())
            return chunks_kept(base) * CHUNK > kept * SIZE

        wait_until("chunks on disk", there)
        return get

    def finished(self, get, who):
        self.assertEqual(get.wait(), 0, get.errors())
        self.assertEqual(sha256(self.path(who)), sha256(self.source))
        return get.json

    def nothing_left(self, who):
        self.assertEqual(glob.glob(self.path(who) + "*"), [])

    # ---- the subscriber's device

    def test_resume(self):
        lab = self.lab()
        lab.up()
        uri = self.published(lab, "alice")
        self.half_way(lab, uri, "alice").kill()
        self.assertFalse(os.path.exists(self.path("alice")))
        kept = chunks_kept(lab.kept(uri, "alice")) * CHUNK
        report = lab.get_good(uri, "alice", self.path("alice"), "-c")
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))
        # What was on disk did not cross the wire again.
        self.assertGreater(kept, SIZE // 5)
        self.assertLess(report["from"]["cache"], SIZE - kept + (1 << 20), report)

    def test_without_continue(self):
        lab = self.lab()
        lab.up()
        uri = self.published(lab, "alice")
        self.half_way(lab, uri, "alice").kill()
        done = lab.get(uri, "alice", self.path("alice"))
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("going on with", done.err)
        self.assertLess(done.json["from"]["cache"], SIZE)
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))

    def test_interrupted(self):
        lab = self.lab()
        lab.up()
        uri = self.published(lab, "alice")
        get = lab.start_get(uri, "alice", self.path("alice"), *SLOW)
        get.wait_progress(SIZE // 3)
        self.assertEqual(get.interrupt(), 7, get.errors())
        self.assertIn("-c", get.json["error"])
        self.assertEqual(get.json["code"], 7)
        self.nothing_left("alice")
        # An orderly end saves all that was verified, whenever it comes.
        self.assertGreater(chunks_kept(lab.kept(uri, "alice")) * CHUNK, SIZE // 3 - (1 << 18))
        report = lab.get_good(uri, "alice", self.path("alice"), "-c")
        self.assertLess(report["from"]["cache"], SIZE * 3 // 4, report)
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))

    def test_two_at_once(self):
        lab = self.lab()
        lab.up()
        uri = self.published(lab, "alice")
        first = lab.start_get(uri, "alice", self.path("alice"), *SLOW)
        first.wait_progress(1 << 20)
        second = lab.get(uri, "alice", self.path("alice"))
        self.assertEqual(second.code, 1, second.err)
        self.assertIn(f"process {first.process.pid}", second.err)
        self.nothing_left("alice")
        self.finished(first, "alice")

    # ---- core, tracker, cache

    def split(self, *names):
        lab = self.lab()
        self.core, self.tracker, self.cache = lab.split()
        uri = self.published(lab, *names, socket=("--socket", lab.socket()))
        return lab, uri

    def test_cache_killed(self):
        lab, uri = self.split("alice")
        get = self.half_way(lab, uri, "alice")
        self.cache.kill()
        self.cache = lab.role("cache")
        report = self.finished(get, "alice")
        self.assertLess(report["from"]["cache"], SIZE * 3 // 2, report)
        self.assertEqual(lab.content(uri)["state"], "offered")

    def test_tracker_killed(self):
        lab, uri = self.split("alice", "bob")
        get = self.half_way(lab, uri, "alice")
        self.tracker.kill()
        self.tracker = lab.role("tracker")
        self.finished(get, "alice")
        # The catalogue is on disk; who has what comes back with the cache's next sign of life.
        lab.get_good(uri, "bob", self.path("bob"))
        self.assertEqual(sha256(self.path("bob")), sha256(self.source))

    def test_core_killed(self):
        lab, uri = self.split("alice", "bob")
        lab.get_good(uri, "alice", self.path("alice"))
        seed = lab.seed("alice", uri)
        self.core.kill()
        self.core = lab.role("core")
        wait_until("alice's new registration", lambda: seed.errors().count("registered as sip:alice@") >= 2)
        self.assertTrue(seed.running(), seed.errors())
        report = lab.get_good(uri, "bob", self.path("bob"), *SLOW)
        self.assertEqual(sha256(self.path("bob")), sha256(self.source))
        self.assertGreater(report["from"]["peers"], 0, report)

    def test_core_killed_in_transfer(self):
        lab, uri = self.split("alice")
        get = self.half_way(lab, uri, "alice")
        self.core.kill()
        self.core = lab.role("core")
        self.finished(get, "alice")

    def test_laboratory_restarted_in_transfer(self):
        """All of it is gone until the device has noticed, and comes back: the same get ends well."""
        lab = self.lab()
        up = lab.up()
        uri = self.published(lab, "alice")
        get = self.half_way(lab, uri, "alice")
        self.assertEqual(up.interrupt(), 0)
        wait_until("the device to notice", lambda: "not registered" in get.errors())
        lab.up()
        self.finished(get, "alice")

    # ---- the provider

    def publish(self, lab):
        return lab.start(
            "publish", "publish", self.source, "--dir", lab.dir, "--entitle", "alice", "--progress", "none"
        )

    def begun(self):
        lab = self.lab()
        lab.up()
        lab.subscribers("alice")
        self.source = self.path("film.mp4")
        with open(self.source, "wb") as handle:
            handle.write(os.urandom(BIG))
        return lab

    def spool(self, lab, name):
        return glob.glob(os.path.join(lab.dir, "provider", "spool", "*", name))

    def again(self, lab):
        """The same command once more; what it offers is the file."""
        again = lab.good("publish", self.source, "--entitle", "alice", "--progress", "none")
        uri = again.out.strip()
        self.assertEqual(self.spool(lab, "*"), [])
        lab.get_good(uri, "alice", self.path("alice"))
        self.assertEqual(sha256(self.path("alice")), sha256(self.source))
        return uri, again.err

    def test_publish_sealing(self):
        lab = self.begun()
        publish = self.publish(lab)
        self.assertTrue(
            publish.stop_when("sealing", lambda: self.spool(lab, "object.part-*")),
            "it ended before it could be stopped",
        )
        self.assertEqual(self.spool(lab, "record.json"), [])
        publish.kill()
        self.assertEqual(publish.output(), "")
        self.assertEqual(lab.api("GET", "contents")[2]["contents"], [])
        _, said = self.again(lab)
        self.assertNotIn("earlier sealing", said)

    def test_publish_uploading(self):
        lab = self.begun()
        publish = self.publish(lab)
        objects = os.path.join(lab.dir, "cache", "objects")

        def some_octets():
            return any(os.stat(name).st_blocks * 512 > 1 << 20 for name in glob.glob(os.path.join(objects, "*.data")))

        self.assertTrue(publish.stop_when("an upload", some_octets), "it ended before it could be stopped")
        (content,) = lab.api("GET", "contents")[2]["contents"]
        self.assertEqual(content["state"], "importing")
        publish.process.send_signal(signal.SIGKILL)
        publish.wait()
        target = f"contents/{content['root']}/object"
        wait_until("the cache to see the end", lambda: lab.api("HEAD", target)[0] == 200)
        have = int(lab.api("HEAD", target)[1]["Sealcast-Have"])
        self.assertGreater(have, 0)
        self.assertLess(have, content["len"])
        uri, said = self.again(lab)
        self.assertEqual(root_of(uri), content["root"])
        self.assertIn("went on with an earlier sealing", said)


if __name__ == "__main__":
    main()
