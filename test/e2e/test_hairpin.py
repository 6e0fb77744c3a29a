"""A server is a client of the VIP too, and may be balanced to itself.

    s1 -- sluice VIP -- s1, s2, s3
"""


def test_a_server_reaches_all_servers_itself_included(site, family):
    """Case 9: full NAT makes the connection of s1 to itself come from sluice."""
    site.serve()
    site.balance(*site.both_families("web"))
    assert set(site.get(family, requests=30, node="s1")) == {"web1", "web2", "web3"}
