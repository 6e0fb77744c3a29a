#!/usr/bin/python3
"""5,000 checks a second by the real process: what they cost it, and how late they begin.

    sudo test/bench/cp_checks.py [--seconds N] [--phase NAME…]

sluice runs in a lab (tools/lab) with its data plane; 100 services of 50 servers each, addresses that are all
local to its kernel, where one process listens, checked by `tcp` every second. Measured for N seconds each
(default 65: what is shown is of the last minute, and the start is not to be in it):

    idle     nothing else happens
    shows    somebody looks at all servers ten times a second through cp-read.sock
    waits    20 clients wait for servers to be drained that will not be
    changes  200 servers go down and come up again, every 5 s

For each: the share of a core of sluice-cp (/proc/PID/stat), checks begun a second, and how much later than due they
began, which sluice-cp tells of its last minute; it is started anew for each phase. Prints, asserts nothing.
"""

import argparse
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from testbed import balancer  # noqa: E402
from testbed.lab import Lab, wait_for  # noqa: E402

SERVICES, PER_SERVICE = 100, 50
PORT, FLAPPING_PORT, FLAPPING = 8000, 8001, 200
WARM_UP = 5
LISTENER = f"""
import select, signal, socket
# A check that is not reset before the kernel's delayed ACK becomes a connection, which must be accepted: else the
# queue is full one day.
listeners, wanted = [], True
def listen(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port)); s.listen(4096); s.setblocking(False); listeners.append(s)
def flap(*_):
    global wanted
    wanted = not wanted
listen({PORT}); listen({FLAPPING_PORT})
signal.signal(signal.SIGUSR1, flap)
print("listening", flush=True)
while True:
    if wanted and len(listeners) == 1: listen({FLAPPING_PORT})
    if not wanted and len(listeners) > 1: listeners.pop().close()
    for s in select.select(listeners, [], [], 0.1)[0]:
        try: s.accept()[0].close()
        except OSError: pass
"""


def configuration(lab):
    services, flapping = [], FLAPPING
    for s in range(SERVICES):
        servers = []
        for i in range(PER_SERVICE):
            n = s * PER_SERVICE + i
            port = FLAPPING_PORT if flapping > 0 and i < 4 else PORT
            flapping -= port == FLAPPING_PORT
            servers.append({"name": f"server{i}", "address": f"10.77.{n // 250}.{n % 250 + 1}", "port": port})
        services.append({"name": f"service{s}", "vip": lab.vip4, "port": 10_000 + s, "servers": servers})
    check = {"type": "tcp", "interval": "1s"}
    return {"ports": balancer.ports_for(lab), "defaults": {"check": check}, "services": services}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Asking:
    """Threads that ask sluice until the end of the `with` block: nobody's answer is parsed here, to save the CPU."""

    def __init__(self, threads, path, request, pause):
        self.path, self.request, self.pause, self.answers, self.ending = str(path), request, pause, 0, threading.Event()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(threads)]

    def ask(self):
        while not self.ending.is_set():
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(900)
                s.connect(self.path)
                s.sendall(self.request.encode() + b"\n")
                while not self.ending.is_set():
                    piece = s.recv(1 << 20)
                    if not piece or piece.endswith(b"\n"):
                        break
            self.answers += 1
            self.ending.wait(self.pause)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()


class Flapping:
    """Lets the servers on FLAPPING_PORT go and come."""

    def __init__(self, listener):
        self.listener, self.ending, self.answers = listener, threading.Event(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.ending.wait(5):
            self.listener.send_signal(10)
            self.answers += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join()
        if self.answers % 2:
            self.listener.send_signal(10)


class Nothing:
    answers = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def measure(lab, name, load_of, seconds):
    sluice = balancer.Balancer(lab, configuration(lab))
    sluice.launch()
    wait_for(lambda: sluice.order("show", "info", check=False).returncode == 0, "sluice-cp to answer", 60)
    wait_for(lambda: sluice.show("info")["servers_up"] == SERVICES * PER_SERVICE, "all servers to be up", 60, every=1)
    time.sleep(WARM_UP)
    pid = sluice.child("sluice-cp")
    with load_of(sluice) as load:
        began, cpu = time.monotonic(), cpu_seconds(pid)
        time.sleep(seconds)
        spent = time.monotonic() - began
        share = 100 * (cpu_seconds(pid) - cpu) / spent
        info = sluice.show("info")
    checks, late = info["checks"], {k: v / 1000 for k, v in info["checks"]["late_us"].items()}
    print(f"{name:8} cp {share:5.1f} % of a core, {1000 * checks['begun'] / checks['over_ms']:5.0f} checks/s, "
          f"late by ms: p50 {late['p50']:.2f}, p99 {late['p99']:.2f}, max {late['max']:.2f}"
          f"  ({load.answers} requests or changes, {info['servers_up']} servers up)", flush=True)
    sluice.stop()


def main():
    phases = {
        "idle": lambda sluice, _: Nothing(),
        "shows": lambda sluice, _: Asking(1, sluice.runtime / "cp-read.sock", '{"op":"show","what":"servers"}', 0.1),
        "waits": lambda sluice, _: Asking(20, sluice.runtime / "cp-read.sock",
                                          '{"op":"wait","service":"service7","server":"*","for":"drained","timeout_ms":600000}', 1),
        "changes": lambda _, listener: Flapping(listener),
    }
    options = argparse.ArgumentParser(description="5,000 checks a second by sluice-cp: cost and lateness")
    options.add_argument("--seconds", type=int, default=65)
    options.add_argument("--phase", nargs="*", choices=phases, default=list(phases))
    options = options.parse_args()
    lab = Lab.up("one-armed", device="af_packet", prefix="cpbench", servers=1)
    try:
        lab.run("lb", "sysctl", "-qw", "net.core.somaxconn=4096")
        lab.run("lb", "ip", "route", "add", "local", "10.77.0.0/16", "dev", "lo")
        listener = lab.start("lb", "/usr/bin/python3", "-c", LISTENER, stdout=subprocess.PIPE, text=True)
        listener.stdout.readline()
        for name in options.phase:
            measure(lab, name, lambda sluice: phases[name](sluice, listener), options.seconds)
    finally:
        lab.down()


if __name__ == "__main__":
    main()
