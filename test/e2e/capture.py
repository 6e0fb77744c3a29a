"""Captures at the nodes of a lab, and what tshark thinks of the checksums in them."""

import collections
import re
import signal
import subprocess

from testbed.lab import LabError, wait_for

FIELDS = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"]
CHECKING = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"]
# tshark complains of a TCP checksum 0xffff where 0 is the sum. Both mean the same in one's complement, and Linux writes
# the former whenever it computes checksums in software, as the hosts of a lab do.
SAME_AS_ZERO = "tcp.checksum.ffff"
VERDICTS = {"0": "bad", "1": "good", "2": "unverified", "3": "not present"}


class Capture:
    """tcpdump at a node for as long as the `with` block lasts. `only`: a filter in its language."""

    def __init__(self, lab, node, directory, nic="eth0", only="ip or ip6"):
        self.lab, self.node, self.nic, self.only = lab, node, nic, only
        self.file = directory / f"{lab.name}-{node}.pcap"
        self.log = f"tcpdump-{node}.log"

    def __enter__(self):
        # Immediate mode: what has arrived is in the file by the time tcpdump is told to end.
        self.process = self.lab.start(self.node, "tcpdump", "-i", self.nic, "-n", "--immediate-mode", "-B", "131072", "-s", "2048", "-Z", "root",
                                      "-w", self.file, self.only, log=self.log)
        wait_for(lambda: "listening on" in self.lab.read(self.log), f"tcpdump at {self.node}")
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)

    def _tshark(self, *words):
        options = [word for name in CHECKING for word in ("-o", f"{name}:TRUE")]
        done = subprocess.run(
            ["tshark", "-r", self.file, "-n", *options, "-o", "tcp.desegment_tcp_streams:FALSE", "-o",
             "tcp.analyze_sequence_numbers:FALSE", "--disable-protocol", "http", *words],
            capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise LabError(f"tshark could not read {self.file}: {done.stderr.strip()}")
        return done.stdout.splitlines()

    def packets(self):
        """The packets in tshark's words."""
        return self._tshark()

    def rows(self, *fields):
        """The values of these fields of each packet, as text; an empty one for what it does not have."""
        return [line.split("\t") for line in self._tshark("-T", "fields", *[word for name in fields for word in ("-e", name)])]

    def checksums(self):
        """How many checksums of each protocol tshark found good and bad, as {("tcp", "good"): 1234, …}."""
        found = collections.Counter()
        for line in self._tshark("-T", "fields", *[word for name in [*FIELDS, SAME_AS_ZERO] for word in ("-e", name)]):
            *statuses, same_as_zero = line.split("\t")
            if same_as_zero:
                found["tcp", "good"] += 1
                continue
            for name, values in zip(FIELDS, statuses):
                for value in re.findall(r"\d", values):
                    found[name.split(".")[0], VERDICTS[value]] += 1
        return found

    def bad_packets(self):
        """The first packets whose checksum is bad, in tshark's words."""
        bad = " or ".join(f"{name} == 0" for name in FIELDS)
        return self._tshark("-Y", f"({bad}) and not {SAME_AS_ZERO}")[:20]

    def forget(self):
        self.file.unlink(missing_ok=True)
