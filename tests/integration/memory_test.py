"""The memory limit of a node: figures in `status`, and transfers that end under the least one."""
import threading

from harness import LabTest, main, make_file, sha256

SIZE = 24 << 20
LEAST = 4 << 20


class Memory(LabTest):
    def test_everything_arrives_under_the_least_limit(self):
        lab = self.lab()
        lab.split(cache=f"memory_limit = {LEAST}\n")
        lab.subscribers("alice", "bob", "carol")
        source = make_file(self.path("film"), SIZE)
        uri = lab.publish(source, "--public", "--chunk-size", "1024", "--socket", lab.socket())
        seen, over = [], threading.Event()

        def watch():
            while not over.wait(0.02):
                seen.append(lab.api("GET", "status")[2]["cache"]["memory"])

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            less = ("--memory-limit", "4M")
            gets = [lab.start_get(uri, who, self.path(who), *less) for who in ("alice", "bob", "carol")]
            for get in gets:
                self.assertEqual(get.wait(), 0, get.errors() + lab.logs())
        finally:
            over.set()
            watcher.join()
        for who in ("alice", "bob", "carol"):
            self.assertEqual(sha256(self.path(who)), sha256(source))
        kinds = {"associations", "arriving", "intervals", "serving", "queues", "in_flight"}
        for figures in seen:
            self.assertEqual(set(figures), kinds | {"limit", "used", "contents"})
            self.assertEqual(figures["limit"], LEAST)
            self.assertEqual(figures["used"], sum(figures[kind] for kind in kinds))
            self.assertLessEqual(figures["used"], LEAST)
        for kind in ("associations", "serving", "in_flight", "contents"):
            self.assertGreater(max(figures[kind] for figures in seen), 0, kind)


if __name__ == "__main__":
    main()
