"""Proxies for tests that cut, swallow or delay what passes: streams here."""
import contextlib
import socket
import threading
import time


class StreamProxy:
    """Between a client and `target` ("127.0.0.1:5061"). What a subclass or a test sets:
    delay: seconds for each piece; watch(octets, to_target): what may pass of a piece, None: cut the connection now."""

    def __init__(self, target, watch=None):
        host, port = target.rsplit(":", 1)
        self.target, self.pairs, self.delay, self.lock = (host, int(port)), set(), 0.0, threading.Lock()
        self.watch = watch or (lambda octets, to_target: octets)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self.target, 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs.add((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(a, b, (near, far)), daemon=True).start()

    def carry(self, source, sink, pair):
        with contextlib.suppress(OSError):
            while octets := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                octets = self.watch(octets, sink is pair[1])
                if octets is None:
                    break
                sink.sendall(octets)
        self.close(pair)

    def close(self, pair):
        with self.lock:
            self.pairs.discard(pair)
        for each in pair:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self):
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            self.close(pair)
        return len(pairs)

    def stop(self):
        """From now on nobody listens here."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
