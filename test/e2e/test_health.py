"""A server that fails its health check gets no new connection until it is back.

    client -- sluice -- s1, s2 (nginx stopped and started), s3
"""


def test_stopped_server_leaves_and_returns(site):
    site.serve()
    check = {"type": "tcp", "interval": "200ms", "rise": 2, "fall": 2}
    site.balance(*site.both_families("web", check=check))
    site.servers["web2"].stop_nginx()
    for service in ("web", "web6"):
        site.sluice.wait_server(service, "web2", "down")
    assert set(site.get(4)) == set(site.get(6)) == {"web1", "web3"}
    site.servers["web2"].start_nginx()
    for service in ("web", "web6"):
        site.sluice.wait_server(service, "web2", "up")
    assert set(site.get(4)) == set(site.get(6)) == {"web1", "web2", "web3"}
