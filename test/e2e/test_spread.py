"""Requests through the VIP reach every server, whatever the network looks like around sluice.

    client -- (router --) sluice VIP .10 -- s1, s2, s3        one-armed: all on one segment
                                                              two-armed: servers behind sluice's second NIC
"""

import pytest

EVERYONE = {"web1", "web2", "web3"}


@pytest.mark.parametrize("topology", ["one-armed", "two-armed"])
@pytest.mark.parametrize("routed_client", [False, True], ids=["near", "routed"])
def test_tcp_and_udp_reach_every_server(make_site, device, topology, routed_client):
    site = make_site(topology, device=device, routed_client=routed_client).serve(dns=True)
    site.balance(*site.both_families("web"), *site.both_families("dns", port=53, protocol="udp"))
    for family in (4, 6):
        assert site.get(family) == dict.fromkeys(EVERYONE, 10)
        # A query from a port that an earlier one came from belongs to that flow: the turns may shift a little.
        answers = site.resolve(family)
        assert sum(answers.values()) == 30 and all(abs(answers.get(name, 0) - 10) <= 2 for name in EVERYONE), answers


def test_the_kernel_answers_pings_of_the_vip(site):
    site.balance(*site.both_families("web"))
    assert site.ping(4) and site.ping(6)


@pytest.mark.parametrize("balance", ["source", "hash", "first", "leastconn", "random"])
def test_schedulers(make_site, balance):
    site = make_site().serve()
    site.balance(*site.both_families("web", balance=balance))
    for family in (4, 6):
        reached = set(site.get(family, requests=60))
        if balance in ("source", "hash"):  # of one client only one server
            assert len(reached) == 1
        elif balance == "first":
            assert reached == {"web1"}
        else:
            assert reached == EVERYONE


def test_a_server_with_weight_zero_gets_no_new_connection(make_site):
    site = make_site().serve()
    web = site.service("web")
    web["servers"][1]["weight"] = 0
    site.balance(web)
    assert set(site.get()) == {"web1", "web3"}


def test_what_is_shown_adds_up(site):
    site.serve()
    site.balance(*site.both_families("web"))
    site.get(requests=30)
    service = next(row for row in site.sluice.show("services") if row["name"] == "web")
    assert service["counters"]["connections_new"] == 30
    assert "web" in site.sluice.table("services")
    for what in ("servers", "ports", "drops", "workers", "flows", "info"):
        assert site.sluice.show(what) is not None and site.sluice.table(what).strip()
