"""Stores with many contents: started, listed, served and added to with fewer descriptors than contents."""
import os
import subprocess

from harness import LabTest, main, make_file, root_of, sha256, wait_until

CONTENTS = 400
DESCRIPTORS = 128
FEW = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}")


def text_of(number):
    return f"content {number}".ljust(20).encode()


class ManyContents(LabTest):
    def filled(self, *options):
        lab = self.lab()
        lab.good("init", "--cache", "cache", "--cache", "cache-b", "--keyless", "cache-b")
        filler = os.environ["SEALCAST_FILLER"]
        done = subprocess.run(
            [filler, lab.dir, "cache", str(CONTENTS), *options], capture_output=True, text=True, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return lab, done.stdout.split()

    def few(self, lab, name, *arguments):
        return lab.start(name, *arguments, "--log", "info", wrapper=FEW).wait_ready()

    def roles(self, lab):
        for role in ("core", "tracker"):
            lab.role(role)
        return self.cache(lab)

    def cache(self, lab):
        cache = self.few(lab, "cache", "cache", "-c", os.path.join(lab.dir, "cache.toml"))
        wait_until("all to be announced", lambda: all(each["announced"] for each in self.listed(lab)))
        return cache

    def listed(self, lab):
        return lab.good("ls", "--json", "--socket", lab.socket()).json["contents"]

    def descriptors(self, process):
        return len(os.listdir(f"/proc/{process.process.pid}/fd"))

    def got(self, lab, uris, who, numbers):
        for i in numbers:
            lab.get_good(uris[i], who, self.path("copy"), "--overwrite")
            with open(self.path("copy"), "rb") as handle:
                self.assertEqual(handle.read(), text_of(i))

    def test_a_cache_has_more_contents_than_descriptors(self):
        lab, uris = self.filled("--plain")
        cache = self.roles(lab)
        lab.subscribers("alice")
        self.assertEqual({each["root"] for each in self.listed(lab)}, {root_of(uri) for uri in uris})
        open_now = lab.api("GET", "status")[2]["cache"]["objects_open"]
        self.assertLessEqual(open_now, 1, "nobody has asked for any but the scrubber")
        # More of them than may be open at once.
        self.got(lab, uris, "alice", range(0, CONTENTS, CONTENTS // 24))
        self.assertLess(self.descriptors(cache), DESCRIPTORS // 2)
        status = lab.api("GET", "status")[2]["cache"]
        self.assertLessEqual(status["objects_open"], DESCRIPTORS // 8)
        self.assertLess(status["announcements"], CONTENTS // 8, "pages")
        more = lab.publish(make_file(self.path("more"), 70000), "--public", "--socket", lab.socket())
        lab.get_good(more, "alice", self.path("more-copy"))
        self.assertEqual(sha256(self.path("more-copy")), sha256(self.path("more")))
        self.assertEqual(cache.interrupt(), 0, cache.errors())
        self.cache(lab)
        self.got(lab, uris, "alice", (1, CONTENTS - 1))

    def test_what_is_broken_is_found_when_it_is_used(self):
        """An octet of a tree and one of the data: what sizes and bitmaps do not tell."""
        lab, uris = self.filled("--plain")
        for uri in uris[3:5]:
            base = lab.object(uri)
            with open(base + (".data" if uri == uris[3] else ".tree"), "r+b") as handle:
                handle.write(b"\xff" * 20)
        with open(os.path.join(lab.dir, "cache.toml"), "a", encoding="utf-8") as handle:
            handle.write("scrub_rate = 0\n")  # it may begin with one of them
        self.roles(lab)
        lab.subscribers("alice")
        self.assertEqual(lab.content(uris[3])["state"], "offered")
        alice = lab.start_get(uris[3], "alice", self.path("bad"))
        wait_until("the cache to notice", lambda: lab.content(uris[3])["state"] == "damaged")
        self.got(lab, uris, "alice", (2, 5))
        alice.kill()

    def test_a_ue_seeds_more_contents_than_it_has_descriptors(self):
        lab, uris = self.filled("--plain", "--subscriber", "alice")
        for role in ("core", "tracker"):
            lab.role(role)
        lab.role("cache")
        wait_until("all to be announced", lambda: all(each["announced"] for each in self.listed(lab)))
        self.assertEqual(lab.processes[-1].interrupt(), 0)
        lab.subscribers("alice", "bob")
        seed = self.few(lab, "seed", "seed", "--dir", lab.dir, "--as", "alice")
        self.assertRegex(seed.output(), rf"(?m)^ready seeding {CONTENTS} as alice, {CONTENTS} announced$")
        self.assertLess(self.descriptors(seed), 40, "all of it sleeps")
        self.got(lab, uris, "bob", range(0, CONTENTS, CONTENTS // 24))
        self.assertLess(self.descriptors(seed), DESCRIPTORS * 3 // 4)
        self.assertEqual(seed.interrupt(), 0, seed.errors())

    def test_nobody_subscribes_for_what_nobody_wants(self):
        """A cache without keys asks who holds one when somebody calls, and goes on serving."""
        lab = self.lab()
        lab.split("--cache", "cache", "--cache", "cache-b", "--keyless", "cache-b")
        lab.role("cache", "cache-b")
        lab.subscribers("alice")
        uris = []
        for i in range(8):
            key = self.path(f"key{i}")
            source = make_file(self.path(f"file{i}"), 50000, seed=i)
            uris.append(lab.publish(source, "--public", "--key-out", key, "--socket", lab.socket("cache-b")))
            lab.good("key", "import", key, "--socket", lab.socket("cache"))
        status = lab.good("status", "--json", "--socket", os.path.join(lab.dir, "tracker", "admin.sock")).json
        self.assertEqual(status["tracker"]["subscriptions"], 0)
        for i in (0, 7, 0):
            lab.get_good(uris[i], "alice", self.path("copy"), "--overwrite")
            self.assertEqual(sha256(self.path("copy")), sha256(self.path(f"file{i}")))


if __name__ == "__main__":
    main()
