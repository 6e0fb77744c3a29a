"""How long clients are without service when the virtual IP moves, and what becomes of their connections.

    client, a connection every 10 ms --+-- lb1, priority 90: dies, stops, or loses a part; comes back
                                       `-- lb2, priority 80: takes over
"""

import pytest

from capture import Capture
from conftest import tell, wait_for
from pair import ECHO, Pair, now
from testbed.outage import Beats

DEVICES = ["af_xdp", "af_packet"]


@pytest.fixture
def make_pair(make_site):
    def make(device="af_xdp", **settings):
        return Pair(make_site("pair", device=device, servers=2), **settings).start()

    return make


def measure(pair, happen, over, protocol, what):
    """Something happens to lb1; until it is over, no client is without service for longer than the protocol takes,
    a tenth of a second, and what this machine is late."""
    with Beats(pair.lab, pair.lab.vip4) as beats:
        start = now()
        happen()
        wait_for(over, f"{what}; {pair.told()}", 60)
    outage = beats.outage(start)
    tell(f"  {pair.lab.device:10} {pair.settings['advert_int']:6} {what:26} {outage:7.3f} s without service (the protocol's share: {protocol:.3f} s)")
    assert outage <= protocol + 0.1 + pair.late.seconds(), f"{what}: {outage:.3f} s; {pair.told()}"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("advert", ["1s", "10ms"])
def test_takes_over_in_the_protocols_time(make_pair, device, advert):
    pair = make_pair(device, advert_int=advert)
    one, two = pair.hosts
    moved = lambda: two.holds() and pair.flows()
    measure(pair, one.die, moved, pair.master_down(80), "host dies")
    measure(pair, one.rise, pair.is_settled, 0, "host is back")
    measure(pair, one.stop, moved, pair.skew(80), "sluice is stopped")
    measure(pair, one.start, pair.is_settled, 0, "sluice is started")
    measure(pair, lambda: one.kill("sluice-dp"), moved, pair.skew(80), "its data plane is killed")
    assert pair.log_disorder() == []


@pytest.mark.parametrize("device", DEVICES)
def test_open_connections_are_reset_not_left_hanging(make_pair, device, tmp_path):
    """The first segment that a client sends after the take-over is answered with a RST."""
    pair, number = make_pair(device), 5
    lab, heir = pair.lab, pair.two.mac()
    logs = [f"peer-client-{n}.log" for n in range(number)]
    with Capture(lab, "client", tmp_path, only=f"arp or tcp port {ECHO}") as capture:
        clients = [pair.site.peer("client", "until-reset", lab.vip4, ECHO, log=log) for log in logs]
        wait_for(lambda: all("open" in lab.read(log) for log in logs), "open connections")
        pair.one.die()
        for client in clients:
            client.wait(timeout=60)
    assert [lab.read(log).split()[1:] for log in logs] == [["ECONNRESET"]] * number
    rows = capture.rows("frame.time_epoch", "eth.src", "arp.src.proto_ipv4", "tcp.srcport", "tcp.dstport", "tcp.flags.reset")
    taken = min(float(when) for when, mac, announced, *_ in rows if mac == heir and announced == lab.vip4)
    later = [(float(when), *row) for when, mac, announced, *row in rows if float(when) > taken and not announced]
    ports = {source for _, source, target, _ in later if target == str(ECHO)}
    assert len(ports) == number
    for port in ports:
        sent = [when for when, source, *_ in later if source == port]
        reset = [when for when, _, target, flag in later if target == port and flag in ("1", "True")]
        assert len(reset) == 1 and len([when for when in sent if when < reset[0]]) == 1, later
        tell(f"  {device:10} open connection: next segment {sent[0] - taken:.3f} s after the take-over, RST {(reset[0] - sent[0]) * 1000:.2f} ms later")
