"""`sluice show metrics`: what Prometheus' own parser reads of it is what the other commands show.

    client -- sluice -- s1, s2, s3 (nginx); one VRRP instance
"""

import collections
import os
import signal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import wait_for
from testbed import balancer
from vrrp_peers import instance

CHECK = {"type": "tcp", "interval": "500ms", "rise": 2, "fall": 2}


@pytest.fixture(scope="module")
def site(make_shared_site):
    site = make_shared_site(device="af_xdp").serve()
    config = {"dataplane": {"workers": 2}, "ports": balancer.ports_for(site.lab), "services": [site.service("web", check=CHECK)],
              "vrrp": [instance(site.lab, version=3, advert_int="100ms", track_interface=[{"interface": "aside", "weight": -10}])]}
    for words in (("add", "aside", "type", "veth", "peer", "name", "beside"), ("set", "beside", "up"), ("set", "aside", "up")):
        site.lab.run("lb", "ip", "link", *words)
    site.sluice = balancer.Balancer(site.lab, config).start()
    wait_for(lambda: vrrp(site)["state"] == "MASTER", "it to be master of nobody else")
    site.get()
    return site


def vrrp(site):
    return site.sluice.show("vrrp")["instances"][0]


def metrics(site):
    """(name, labels without those that tell instances of VRRP) → value, of an exposition that is correct."""
    text = site.sluice.order("show", "metrics").stdout
    values, families = {}, collections.Counter()
    for family in text_string_to_metric_families(text):
        families[family.name] += 1
        assert family.documentation and family.type in ("counter", "gauge"), family
        for sample in family.samples:
            assert family.type != "counter" or sample.name == f"{family.name}_total", sample
            labels = {name: value for name, value in sample.labels.items() if name not in ("instance", "interface", "vrid")}
            key = (sample.name, *sorted(labels.items()))
            assert key not in values, f"{key} is there twice"
            values[key] = sample.value
    assert text.endswith("\n") and set(families.values()) == {1}, families
    return values


def of(values, name, **labels):
    return values[(name, *sorted(labels.items()))]


def test_metrics_agree_with_what_is_shown(site):
    # Nothing moves: no request is under way, and what the health checks do is not counted here.
    before, values, after = site.sluice.show("services")[0], metrics(site), site.sluice.show("services")[0]
    assert before["counters"] == after["counters"] and before["counters"]["connections_new"] >= 30
    for way in ("in", "out"):
        assert of(values, "sluice_service_packets_total", service="web", direction=way) == before["counters"][f"packets_{way}"]
        assert of(values, "sluice_service_bytes_total", service="web", direction=way) == before["counters"][f"bytes_{way}"]
    assert of(values, "sluice_service_connections_total", service="web") == before["counters"]["connections_new"]
    assert of(values, "sluice_service_servers_active", service="web") == before["servers_active"] == 3
    for (_, name), server in site.sluice.servers().items():
        labels = {"service": "web", "server": name}
        assert of(values, "sluice_server_connections_total", **labels) == server["counters"]["connections_new"] > 0
        assert of(values, "sluice_server_up", **labels) == of(values, "sluice_server_usable", **labels) == 1
        assert of(values, "sluice_server_check_status", status="L4OK", **labels) == 1
        assert of(values, "sluice_server_source_ports", **labels) == server["ports_total"] > 0
    for worker in site.sluice.show("workers"):
        assert of(values, "sluice_worker_flows_max", worker=str(worker["id"])) == worker["flows_max"]
    for port in site.sluice.show("ports"):
        assert of(values, "sluice_port_up", port=port["name"]) == 1
        assert 0 < of(values, "sluice_port_rx_packets_total", port=port["name"]) <= port["rx_packets"]
    for reason, packets in site.sluice.drops().items():
        assert of(values, "sluice_dropped_packets_total", reason=reason) <= packets

    first, values, then = vrrp(site), metrics(site), vrrp(site)
    assert of(values, "sluice_vrrp_priority", kind="configured") == of(values, "sluice_vrrp_priority", kind="effective") == 100
    assert first["adverts_sent"] <= of(values, "sluice_vrrp_adverts_sent_total") <= then["adverts_sent"]
    assert first["state_ms"] / 1000 <= of(values, "sluice_vrrp_state_seconds") <= then["state_ms"] / 1000
    assert of(values, "sluice_vrrp_transitions_total", state="MASTER") == first["became_master"] == 1
    assert of(values, "sluice_vrrp_realtime") == 1


def test_a_trouble_is_a_metric_while_it_lasts(site):
    site.lab.run("lb", "ip", "link", "set", "aside", "down")
    trouble = {"tracker": "interface"}
    wait_for(lambda: metrics(site).get(("sluice_vrrp_trouble", ("tracker", "interface"))) == 1, "the trouble to be a metric")
    assert of(metrics(site), "sluice_vrrp_priority", kind="effective") == vrrp(site)["effective_priority"] == 90
    site.lab.run("lb", "ip", "link", "set", "aside", "up")
    wait_for(lambda: of(metrics(site), "sluice_vrrp_trouble", **trouble) == 0, "it to be over")
    assert of(metrics(site), "sluice_vrrp_troubles_total", **trouble) == vrrp(site)["trouble_counts"][0]["times"] == 1
    assert of(metrics(site), "sluice_vrrp_priority", kind="effective") == 100


@pytest.mark.parametrize("frozen, told", [
    (("vrrp",), {"cp": 1, "dp": 1, "vrrp": 0}), (("cp",), {"cp": 0, "vrrp": 1}), (("dp",), {"cp": 1, "dp": 0, "vrrp": 1}), (("cp", "vrrp"), None)],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "")
def test_who_does_not_answer_is_told_of(site, frozen, told):
    """What the others say is there all the same. Of the data plane only the control plane knows."""
    pids = [site.sluice.child(f"sluice-{process}") for process in frozen]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        if told is None:
            failed = site.sluice.order("show", "metrics", check=False)
            assert failed.returncode == 1 and failed.stdout == "" and "(sluice-cp) does not answer" in failed.stderr
            return
        values = metrics(site)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert {key[1][1]: value for key, value in values.items() if key[0] == "sluice_up"} == told
    names = {key[0] for key in values}
    assert ("sluice_vrrp_state" in names) == ("vrrp" not in frozen)
    assert ("sluice_server_up" in names) == ("cp" not in frozen)
    assert ("sluice_server_connections_current" in names) == (frozen == ("vrrp",))


def test_it_has_no_other_format(site):
    refused = site.sluice.order("show", "metrics", "--json", check=False)
    assert refused.returncode == 2 and "--json" in refused.stderr
