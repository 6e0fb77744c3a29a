"""`sluice replay` as a stranger would use it: captures by scapy in, captures and lines out. No network, no lab.

    client 10.9.0.1 --[ 02:..:01 ] sluice, VIP 10.1.0.1:80 -- s1 10.1.0.100:8080, s2 10.1.0.101:8080
"""

import json
import subprocess

import pytest
from scapy.all import ICMP, IP, TCP, Ether, IPv6, Raw, UDP, defragment, fragment, rdpcap, wrpcap

from testbed.balancer import BUILD

CLIENT, PORT, SERVER = "02:00:00:00:01:01", "02:00:00:00:00:01", "02:00:00:00:02:01"
CONFIG = """{
  "ports": [{ "name": "lan", "device": "af_xdp:ens6" }],
  "services": [
    { "name": "web", "vip": "10.1.0.1", "port": 80,
      "servers": [{ "name": "s1", "address": "10.1.0.100", "port": 8080 }, { "name": "s2", "address": "10.1.0.101", "port": 8080 }] },
    { "name": "dns", "vip": "10.1.0.1", "port": 53, "protocol": "udp",
      "servers": [{ "name": "s1", "address": "10.1.0.100", "port": 5353 }] },
    { "name": "dns6", "vip": "2001:db8::1", "port": 53, "protocol": "udp",
      "servers": [{ "name": "s1", "address": "2001:db8::100", "port": 53 }] },
  ],
}"""


class Bench:
    """Captures and a configuration in a directory of their own."""

    def __init__(self, directory):
        self.directory, self.config = directory, directory / "sluice.json"
        self.config.write_text(CONFIG)
        self.frames = []

    def add(self, when, packet):
        packet.time = 1_700_000_000 + when
        self.frames.append(packet)

    def replay(self, *words, json_lines=True):
        wrpcap(str(self.directory / "in.pcap"), self.frames)
        command = [BUILD / "tools" / "sluice" / "sluice", "replay", "-c", self.config, "--in", self.directory / "in.pcap",
                   "--out", self.directory / "out.pcap", *(["--json"] if json_lines else []), *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if not json_lines:
            return done.stdout
        *lines, last = map(json.loads, done.stdout.splitlines())
        return lines, last["summary"]

    def sent(self):
        return list(rdpcap(str(self.directory / "out.pcap")))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def from_client(flags, port=40000, **tcp):
    return Ether(src=CLIENT, dst=PORT) / IP(src="10.9.0.1", dst="10.1.0.1") / TCP(sport=port, dport=80, flags=flags, **tcp)


def from_server(address, local, flags, **tcp):
    return Ether(src=SERVER, dst=PORT) / IP(src=address, dst="10.1.0.1") / TCP(sport=8080, dport=local, flags=flags, **tcp)


def port_of(endpoint):
    return int(endpoint.rpartition(":")[2])


def right(packet):
    """The same packet with checksums made anew by scapy is the same."""
    fresh = packet.copy()
    for layer in (IP, TCP, UDP):
        if layer in fresh:
            del fresh[layer].chksum
    return bytes(Ether(bytes(fresh))) == bytes(packet)


def test_a_connection_and_its_end(bench):
    bench.add(0, from_client("S", seq=1000))
    (first,), _ = bench.replay()
    assert first["verdict"] == "forward" and first["service"] == "web" and first["server"] == "s1"
    local = port_of(first["out"]["source"])
    bench.add(0.01, from_server("10.1.0.100", local, "SA", seq=7000, ack=1001))
    bench.add(0.02, from_client("A", seq=1001, ack=7001))
    bench.add(0.03, from_client("PA", seq=1001, ack=7001) / Raw(b"GET / HTTP/1.0\r\n\r\n"))
    bench.add(7200, from_client("PA", seq=1019, ack=7001) / Raw(b"late"))
    lines, summary = bench.replay()
    assert [(line["kind"], line["verdict"], line.get("state")) for line in lines] == [
        ("frame", "forward", "syn_sent"), ("frame", "forward", "syn_received"), ("frame", "forward", "established"),
        ("frame", "forward", "established"), ("own", "forward", None), ("own", "forward", None), ("frame", "answer", None)]
    ends = [line["time_ns"] / 1e9 for line in lines if line["kind"] == "own"]
    assert all(3600 <= end < 3602 for end in ends), "an hour after the last segment, as timeouts.client has it"
    assert lines[-1]["reason"] == "reset_sent"
    assert summary == {"frames": 5, "sent": 7, "flows": 1, "flows_at_end": 0, "verdicts": {"forward": 4, "answer": 1},
                       "reasons": {"reset_sent": 1}}
    sent = bench.sent()
    assert [(packet[IP].src, packet[IP].dst) for packet in sent[:2]] == [("10.1.0.1", "10.1.0.100"), ("10.1.0.1", "10.9.0.1")]
    assert sent[1].dst == CLIENT and sent[1].src == PORT
    assert bytes(sent[3][TCP].payload) == b"GET / HTTP/1.0\r\n\r\n"
    assert all(map(right, sent))


def test_workers_agree(bench):
    """However many workers there are: the same servers' shares, and each connection whole."""
    for number in range(100):
        bench.add(number / 100, from_client("S", port=30000 + number, seq=number))
    first, _ = bench.replay("--workers", 4)
    for line in first:
        bench.add(1 + line["number"] / 100, from_server(line["out"]["destination"].rpartition(":")[0], port_of(line["out"]["source"]), "SA",
                                                        seq=1, ack=line["number"]))
    lines, summary = bench.replay("--workers", 4)
    assert summary["verdicts"] == {"forward": 200} and summary["flows"] == 100
    assert {line["state"] for line in lines[100:]} == {"syn_received"}
    assert {line["worker"] for line in lines} == {0, 1, 2, 3} and any(line.get("handed_over") for line in lines)
    shares = [line["server"] for line in lines[:100]]
    assert 40 <= shares.count("s1") <= 60
    assert lines == bench.replay("--workers", 4)[0], "twice the same"
    assert lines != bench.replay("--workers", 4, "--seed", 5)[0]


def test_text_says_the_same(bench):
    bench.add(0, from_client("S"))
    bench.add(1.5, Ether(src=CLIENT, dst=PORT) / IP(src="10.9.0.1", dst="10.1.0.1") / ICMP())
    bench.add(2, Ether(src=CLIENT, dst=PORT) / IPv6(src="2001:db8:9::1", dst="2001:db8::1") / UDP(sport=5000, dport=53) / Raw(b"?"))
    text = bench.replay(json_lines=False)
    first, ping, query, *_ = text.splitlines()
    assert first.split()[:8] == ["1", "0.000000", "lan", "forward", "web/s1", "to_server", "flow", "1"]
    assert "10.9.0.1:40000 > 10.1.0.1:80 tcp SYN => 10.1.0.1:" in first and first.endswith("> 10.1.0.100:8080 tcp SYN by lan")
    assert ping.split()[:4] == ["2", "1.500000", "lan", "kernel"]
    assert "[2001:db8:9::1]:5000 > [2001:db8::1]:53 udp => " in query
    assert text.splitlines()[-4:] == ["frames    3 read, 2 sent", "flows     2 begun, 2 at the end", "verdicts  forward 2, kernel 1", "reasons   -"]


def test_fragments_wait_for_their_first(bench):
    """A datagram in three fragments, the first one last, at another worker than its flow's."""
    whole = IP(src="10.9.0.1", dst="10.1.0.1", id=77) / UDP(sport=5000, dport=53) / Raw(bytes(4000))
    whole[UDP].chksum = UDP(bytes(IP(bytes(whole))[UDP])).chksum
    pieces = fragment(whole, fragsize=1480)
    for number, piece in enumerate(reversed(pieces)):
        bench.add(number / 1000, Ether(src=CLIENT, dst=PORT) / piece)
    bench.add(20, Ether(src=CLIENT, dst=PORT) / IP(src="10.9.0.1", dst="10.1.0.1", id=78, frag=185, proto=17) / Raw(bytes(100)))
    bench.add(30, from_client("S"))
    lines, summary = bench.replay("--workers", 3)
    assert [(line["kind"], line["number"], line["verdict"], line.get("reason")) for line in lines] == [
        ("frame", 1, "keep", None), ("frame", 2, "keep", None), ("frame", 3, "forward", None), ("kept", 1, "forward", None),
        ("kept", 2, "forward", None), ("frame", 4, "keep", None), ("kept", 4, "drop", "fragment_timeout"), ("frame", 5, "forward", None)]
    assert lines[0]["in"]["fragment"] == "2960+1048 last id 77" and lines[2]["in"]["fragment"] == "0+1480 id 77"
    assert {line["flow"] for line in lines[2:5]} == {1} and lines[3]["server"] == "s1"
    assert 25 <= lines[6]["time_ns"] / 1e9 < 25.1
    sent = bench.sent()[:3]
    assert len({packet[IP].id for packet in sent}) == 1
    (joined,) = defragment([packet[IP] for packet in sent])
    assert right(Ether(src=PORT, dst=SERVER) / joined) and joined[UDP].dport == 5353 and len(joined[UDP].payload) == 4000
    assert summary["reasons"] == {"fragment_timeout": 1}


def test_what_is_too_big_is_fragmented(bench):
    bench.add(0, Ether(src=CLIENT, dst=PORT) / IP(src="10.9.0.1", dst="10.1.0.1", id=7) / UDP(sport=5000, dport=53) / Raw(bytes(1400)))
    (line,), summary = bench.replay("--mtu", 800)
    assert line["verdict"] == "forward" and line["further_fragments"] == 1 and summary["sent"] == 2
    (joined,) = defragment([packet[IP] for packet in bench.sent()])
    assert len(joined[UDP].payload) == 1400
    assert "and 1 more fragment" in bench.replay("--mtu", 800, json_lines=False)


def test_output_that_cannot_be_written_is_an_error(bench):
    bench.add(0, from_client("S"))
    wrpcap(str(bench.directory / "in.pcap"), bench.frames)
    command = [BUILD / "tools" / "sluice" / "sluice", "replay", "-c", bench.config, "--in", bench.directory / "in.pcap", "--out", bench.directory / "out.pcap"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(list(map(str, command)), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and done.stderr == "standard output cannot be written: No space left on device\n"
    assert not list(bench.directory.glob("out.pcap*"))


WRONG = {
    "no capture": (lambda bench: (bench.directory / "in.pcap").write_text("what is this"), [],
                   'capture "in.pcap": is neither a pcap nor a pcapng capture: write one by `tcpdump -w` or `dumpcap`'),
    "cut off": (lambda bench: (bench.directory / "in.pcap").write_bytes((bench.directory / "in.pcap").read_bytes()[:-3]), [],
                'capture "in.pcap": record 1: says that it has 54 bytes, but the file ends after 51: cut it off there (`editcap`), or capture anew'),
    "port": (lambda bench: None, ["--port-of", f"{PORT}=lam"], 'port "lam": the configuration has none of that name (did you mean "lan"?)'),
    "neighbours": (lambda bench: (bench.directory / "n.txt").write_text("10.1.0.100 lan\n"), ["--neighbours", "n.txt"],
                   "n.txt:1: expected ADDRESS MAC PORT [vlan ID [ID]] [mtu BYTES], or PREFIX via ADDRESS"),
    "configuration": (lambda bench: bench.config.write_text(CONFIG.replace('"port": 80', '"port": 0')), [],
                      'sluice.json:4:49: service "web": port: 0 is out of range: from 1 to 65535'),
}


@pytest.mark.parametrize("case", WRONG)
def test_says_what_is_wrong_and_writes_nothing(bench, case, monkeypatch):
    spoil, words, told = WRONG[case]
    monkeypatch.chdir(bench.directory)
    bench.add(0, from_client("S"))
    wrpcap(str(bench.directory / "in.pcap"), bench.frames)
    spoil(bench)
    command = [str(BUILD / "tools" / "sluice" / "sluice"), "replay", "-c", "sluice.json", "--in", "in.pcap", "--out", "out.pcap"]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert told in done.stderr, done.stderr
    assert not list(bench.directory.glob("out.pcap*"))
