"""The tracker's tables: what comes and goes leaves nothing behind, and refusals are in its log."""
import json
import os
import sqlite3

from harness import LabTest, UnixHttp, main, make_file, wait_until


class Tracker(LabTest):
    def tracker_status(self, lab):
        connection = UnixHttp(os.path.join(lab.dir, "tracker", "admin.sock"))
        try:
            connection.request("GET", "/api/v1/status")
            return json.loads(connection.getresponse().read())["tracker"]
        finally:
            connection.close()

    def test_a_cache_that_is_killed_often_leaves_nothing_behind(self):
        lab = self.lab()
        _, _, cache = lab.split()
        words = ("--public", "--socket", lab.socket())
        uris = [lab.publish(make_file(self.path(f"f{seed}"), 5000, seed), *words) for seed in range(3)]
        wait_until("three contents", lambda: all(lab.content(uri).get("announced") for uri in uris))
        for _ in range(4):
            cache.kill()
            cache = lab.role("cache")
            wait_until("them again", lambda: all(lab.content(uri).get("announced") for uri in uris))
        status = self.tracker_status(lab)
        table = status["announcements"]
        self.assertEqual((table["size"], table["peak"], status["swarms"]), (1, 1, 3), "one page")

    def test_refusals_are_in_the_log_of_the_tracker(self):
        lab = self.lab()
        lab.split()
        lab.subscribers("mallory")
        uri = lab.publish(make_file(self.path("film"), 5000), "--entitle", "alice", "--socket", lab.socket())
        refused = lab.get(uri, "mallory", self.path("m"))
        self.assertEqual(refused.code, 4, refused.err)
        socket = os.path.join(lab.dir, "tracker", "admin.sock")
        lines = lab.good("audit", "query", "--json", "--socket", socket).json["audit"]
        self.assertIn(
            ("sip:mallory@sealcast.test", "fetch", 403),
            [(line["who"], line["event"], line["status"]) for line in lines],
        )

    def test_a_locked_catalogue_is_no_verdict(self):
        lab = self.lab()
        lab.split()
        lab.subscribers("alice")
        database = sqlite3.connect(os.path.join(lab.dir, "tracker", "catalogue.db"), isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        words = ("--public", "--dir", lab.dir, "--socket", lab.socket(), "--log", "info")
        publish = lab.start("publish", "publish", make_file(self.path("film"), 5000), *words)
        cache = lab.processes[2]
        wait_until("a refusal that passes", lambda: "503" in cache.errors())
        self.assertNotIn("catalogue.db", cache.errors())
        database.execute("ROLLBACK")
        database.close()
        self.assertEqual(publish.wait(), 0, publish.errors())
        lab.get_good(publish.output().strip(), "alice", self.path("a"))

    def test_calls_of_devices_that_vanish_end(self):
        lab = self.lab()
        lab.split(cache="upload_limit = 300000\n")
        lab.subscribers("alice", "bob")
        words = ("--entitle", "alice", "--entitle", "bob", "--socket", lab.socket())
        uri = lab.publish(make_file(self.path("film"), 1 << 20), *words)
        lab.get_good(uri, "alice", self.path("a"))
        with open(os.path.join(lab.dir, "ue.toml"), "a", encoding="utf-8") as file:
            file.write("download_limit = 20000\nupload_limit = 20000\n")  # so that it is under way when both vanish
        seed = lab.seed("alice", uri)
        get = lab.start_get(uri, "bob", self.path("b"))
        wait_until("a relayed call", lambda: self.tracker_status(lab)["calls"] > 0)
        seed.kill()
        get.kill()
        wait_until("the end of the call", lambda: self.tracker_status(lab)["calls"] == 0, 150)


if __name__ == "__main__":
    main()
