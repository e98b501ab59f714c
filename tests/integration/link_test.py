"""What a `get` does over links that lose, mix, stop and shrink: the link lab between its network and the cache's."""
import json
import subprocess
import sys

from harness import LabTest, main, make_file, sha256, wait_until
from linklab import LinkedLab, LinkLab

# A receiver of datagrams that says how large they were, and a sender of trains that the kernel is to cut.
RECEIVE = """
import json, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5000))
s.settimeout(20)
print("ready", flush=True)
print(json.dumps([len(s.recv(65536)) for _ in range(42)]))
"""
SEND = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1200)  # UDP_SEGMENT
for _ in range(2):
    s.sendto(bytes(20 * 1200 + 100), (sys.argv[1], 5000))
"""


class Link(LabTest):
    def linked(self, *options):
        link = LinkLab(*options)
        self.addCleanup(link.close)
        lab = LinkedLab(self.work, link)
        self.labs.append(lab)
        lab.up()
        lab.subscribers("alice")
        return link, lab

    def publish(self, lab, size):
        self.source = make_file(self.path("film"), size)
        return lab.publish(self.source, "--public")

    def whole(self, get):
        self.assertEqual(get.wait(150), 0, get.errors()[-3000:])
        self.assertEqual(sha256(self.path("out")), sha256(self.source))

    def test_trains_cross_the_link_as_packets(self):
        with LinkLab("--both", "rate=100M,delay=1ms") as link:
            receiver = subprocess.Popen(
                [*link.near, sys.executable, "-c", RECEIVE], stdout=subprocess.PIPE, text=True
            )
            self.assertEqual(receiver.stdout.readline(), "ready\n")
            subprocess.run([*link.far, sys.executable, "-c", SEND, link.near_address], check=True)
            sizes = json.loads(receiver.communicate()[0])
            self.assertEqual(sizes, ([1200] * 20 + [100]) * 2)
            down = link.close()["down"]
            self.assertEqual((down["packets"], down["packet_max"]), (42, 1228))

    def test_loss_and_jitter(self):
        link, lab = self.linked("--both", "rate=50M,delay=3ms,jitter=2ms,order=mixed,loss=0.02")
        uri = self.publish(lab, 2_000_000)
        self.whole(lab.start_get(uri, "alice", self.path("out")))
        for way in ("down", "up"):
            self.assertGreater(link.statistics()[way]["dropped"]["loss"], 0)

    def test_outage_in_mid_transfer(self):
        link, lab = self.linked("--both", "rate=8M,delay=5ms,queue=64k")
        uri = self.publish(lab, 3_000_000)
        get = lab.start_get(uri, "alice", self.path("out"))
        get.wait_progress(300_000)
        link.change("both outage=on")
        before = link.statistics()["seconds"]
        wait_until("five seconds of outage", lambda: link.statistics()["seconds"] > before + 5)
        link.change("both outage=off")
        self.whole(get)
        self.assertGreater(link.statistics()["down"]["dropped"]["outage"], 0)

    def shrinks(self, change):
        """The path shrinks in mid-transfer to what a chunk just fits through."""
        link, lab = self.linked("--both", "rate=8M,delay=5ms,queue=64k")
        uri = self.publish(lab, 3_000_000)
        get = lab.start_get(uri, "alice", self.path("out"))
        get.wait_progress(300_000)
        link.change(change)
        self.whole(get)
        self.assertGreater(link.statistics()["down"]["dropped"]["mtu"], 0)

    def test_mtu_drop_in_mid_transfer(self):
        self.shrinks("both mtu=1250")

    def test_mtu_drop_that_icmp_tells(self):
        self.shrinks("both mtu=1250,icmp=on")


if __name__ == "__main__":
    main()
