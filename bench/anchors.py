"""What a user would take instead of Sealcast, as bench/compare and bench/links run it: nginx with curl, libtorrent, and
TCP with each congestion control that the kernel has."""
import os
import platform
import resource
import socket
import subprocess
import sys
import threading
import time

GB = 1e9


def cpu_of(pid):
    """CPU seconds of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as handle:
        fields = handle.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine():
    """Where and of what figures are."""
    here = os.path.dirname(os.path.abspath(__file__))
    model = next((l.split(":", 1)[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), "unknown")
    commit = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(), "commit": commit.stdout.strip()}


class Sample:
    """One transfer: what arrived in all, how long it took, and what it cost."""

    def __init__(self, octets, seconds, sender, receiver):
        self.rate = octets / GB / seconds
        self.sender, self.receiver = sender / (octets / GB), receiver / (octets / GB)
        self.cpu = self.sender + self.receiver


class Nginx:
    """One worker; TLS 1.3 with AES-128-GCM. curl writes to a file and verifies nothing but the connection."""

    def __init__(self, work, source):
        self.work, self.source = work, source
        os.makedirs(work)
        self.ports = {"http": 18080, "https": 18443}
        key, certificate = os.path.join(work, "key.pem"), os.path.join(work, "certificate.pem")
        subject = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        subprocess.run(["openssl", "req", "-x509", *curve, *subject], check=True, capture_output=True)
        configuration = os.path.join(work, "nginx.conf")
        with open(configuration, "w", encoding="utf-8") as out:
            out.write(
                f"""user {_user()}; worker_processes 1; pid {work}/pid; error_log {work}/errors;
events {{ worker_connections 256; }}
http {{ access_log off; sendfile on; tcp_nopush on; sendfile_max_chunk 2m; root {os.path.dirname(source)};
 client_body_temp_path {work}/b; proxy_temp_path {work}/p; fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u;
 scgi_temp_path {work}/s;
 server {{ listen 127.0.0.1:{self.ports["http"]}; }}
 server {{ listen 127.0.0.1:{self.ports["https"]} ssl; ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256; }} }}
"""
            )
        self.command = ["nginx", "-c", configuration]
        subprocess.run(self.command, check=True)
        time.sleep(0.5)
        with open(os.path.join(work, "pid"), encoding="ascii") as handle:
            self.worker = int(subprocess.run(["pgrep", "-P", handle.read().strip()], capture_output=True,
                                             check=True).stdout.split()[0])  # fmt: skip

    def get(self, scheme):
        out = os.path.join(self.work, "copy")
        url = f"{scheme}://127.0.0.1:{self.ports[scheme]}/{os.path.basename(self.source)}"
        before, spent, start = cpu_of(self.worker), resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(["curl", "--insecure", "--silent", "--fail", "-o", out, url], check=True)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        octets = os.path.getsize(out)
        os.unlink(out)
        receiver = after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime
        return Sample(octets, seconds, cpu_of(self.worker) - before, receiver)

    def close(self):
        subprocess.run([*self.command, "-s", "stop"], check=False)


def _user():
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


class HttpServer:
    """One file for whoever asks, by sendfile; the path is the congestion control: http://HOST:PORT/bbr. `wrapper` goes
    before the command."""

    port = 18090

    def __init__(self, source, wrapper=()):
        words = [*wrapper, "/usr/bin/python3", os.path.abspath(__file__), "serve", source, str(self.port)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        _expect(self.process, "ready")

    def close(self):
        self.process.kill()
        self.process.wait()


def _answer(wire, source):
    with wire, open(source, "rb") as file:
        request = b""
        while b"\r\n\r\n" not in request:
            part = wire.recv(4096)
            if not part:
                return
            request += part
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, request.split(b" ")[1].lstrip(b"/"))
        wire.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % os.path.getsize(source))
        try:
            wire.sendfile(file)
        except OSError:
            pass  # whoever asked has had enough


def _serve(source, port):
    listener = socket.create_server(("", port))
    print("ready", flush=True)
    while True:
        wire, _ = listener.accept()
        threading.Thread(target=_answer, args=(wire, source), daemon=True).start()


class Libtorrent:
    """Debian's python3-libtorrent: each peer a process of its own (this file, run as a program), tuned for speed."""

    MODES = {
        "TCP plaintext": {"utp": False, "rc4": False, "version": 1},
        "TCP plaintext v2": {"utp": False, "rc4": False, "version": 2},
        "TCP RC4": {"utp": False, "rc4": True, "version": 1},
        "uTP RC4": {"utp": True, "rc4": True, "version": 1},
    }

    def __init__(self, work, source):
        self.work, self.source = work, source
        os.makedirs(work)
        for version in (1, 2):
            self._peer("make", version, source, self._torrent(version)).wait()

    def _torrent(self, version):
        return os.path.join(self.work, f"v{version}.torrent")

    def _peer(self, *words):
        # The interpreter that Debian's packages are for, whichever runs this.
        return subprocess.Popen(["/usr/bin/python3", os.path.abspath(__file__), *[str(word) for word in words]],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip

    def get(self, mode, peers):
        about = self.MODES[mode]
        size, running = os.path.getsize(self.source), []
        for number in range(peers + 1):
            place = os.path.dirname(self.source) if number == 0 else os.path.join(self.work, f"peer{number}")
            os.makedirs(place, exist_ok=True)
            running.append(self._peer("peer", number, self._torrent(about["version"]), place, int(about["utp"]),
                                      int(about["rc4"])))  # fmt: skip
        for each in running:
            _expect(each, "ready")
        start = time.monotonic()
        for each in running:
            _tell(each, "go")
        for each in running[1:]:
            _expect(each, "done")
        seconds, cpu = time.monotonic() - start, []
        for each in running:
            _tell(each, "end")
            cpu.append(float(each.stdout.readline()))
            each.wait()
        for number in range(1, peers + 1):
            os.unlink(os.path.join(self.work, f"peer{number}", os.path.basename(self.source)))
        return Sample(size * peers, seconds, cpu[0], sum(cpu[1:]))

    def close(self):
        pass


def _expect(process, word):
    line = process.stdout.readline().strip()
    if line != word:
        raise SystemExit(f"an anchor says {line!r} where {word!r} was expected")


def _tell(process, word):
    process.stdin.write(word + "\n")
    process.stdin.flush()


def _session(lt, port, utp, rc4):
    settings = lt.high_performance_seed()
    settings.update(
        enable_dht=False, enable_lsd=False, enable_upnp=False, enable_natpmp=False,
        allow_multiple_connections_per_ip=True, enable_incoming_utp=utp, enable_outgoing_utp=utp,
        enable_incoming_tcp=not utp, enable_outgoing_tcp=not utp, in_enc_policy=0 if rc4 else 2,
        out_enc_policy=0 if rc4 else 2, allowed_enc_level=2 if rc4 else 1, prefer_rc4=rc4, mixed_mode_algorithm=0,
        hashing_threads=2, aio_threads=2, listen_interfaces=f"127.0.0.1:{port}", send_buffer_watermark=3 << 20,
        max_out_request_queue=3000, unchoke_slots_limit=-1, connection_speed=200, send_socket_buffer_size=4 << 20,
        recv_socket_buffer_size=4 << 20, alert_mask=lt.alert.category_t.status_notification,
    )  # fmt: skip
    return lt.session(settings)


def _make(lt, version, source, torrent):
    storage = lt.file_storage()
    lt.add_files(storage, source)
    made = lt.create_torrent(storage, 1 << 20, lt.create_torrent.v1_only if version == 1 else lt.create_torrent.v2_only)
    lt.set_piece_hashes(made, os.path.dirname(source))
    with open(torrent, "wb") as out:
        out.write(lt.bencode(made.generate()))


def _run_peer(lt, number, torrent, place, utp, rc4):
    first_port = 16881
    session = _session(lt, first_port + number, utp, rc4)
    handle = session.add_torrent({"ti": lt.torrent_info(torrent), "save_path": place})
    handle.resume()
    states = lt.torrent_status
    while handle.status().state not in (states.downloading, states.seeding, states.finished):
        time.sleep(0.005)
    time.sleep(0.2)
    print("ready", flush=True)
    sys.stdin.readline()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for other in range(number):
        handle.connect_peer(("127.0.0.1", first_port + other))
    while number and not handle.status().is_finished:
        session.wait_for_alert(20)
        session.pop_alerts()
    if number:
        print("done", flush=True)
    sys.stdin.readline()
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, flush=True)
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(sys.argv[2], int(sys.argv[3]))
    import libtorrent

    if sys.argv[1] == "make":
        _make(libtorrent, int(sys.argv[2]), sys.argv[3], sys.argv[4])
    else:
        _run_peer(libtorrent, int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5] == "1", sys.argv[6] == "1")
