"""Which network addresses nothing of ours may speak to: there, clouds hand out credentials to whoever asks.

A URL that is right today may lead there tomorrow, by a record of the DNS, so the rule is about addresses, not names.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

METADATA: Final = tuple(
    ip_network(each)
    for each in (
        "169.254.169.254/32",  # instance metadata of AWS, Azure, Google Cloud and most others
        "169.254.170.0/24",  # credentials of ECS tasks and EKS pods
        "fd00:ec2::/32",  # both of AWS, over IPv6
        "fd20:ce::254/128",  # Google Cloud, over IPv6
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure's host agent
    )
)
LINK_LOCAL: Final = (ip_network("169.254.0.0/16"), ip_network("fe80::/10"))
EMBEDDING: Final = ip_network("64:ff9b::/96")
"""IPv6 addresses that stand for IPv4 ones behind a translator (NAT64)."""


def forbidden(address: str, *, allow_link_local: bool = False) -> str:
    """Why an address may not be spoken to; empty where it may. What is no IP address is a name: empty too."""
    try:
        known = _plain(ip_address(address))
    except ValueError:
        return ""
    if any(known in network for network in METADATA):
        return f"{address} belongs to the metadata service of a cloud"
    if not allow_link_local and any(known in network for network in LINK_LOCAL):
        return f"{address} is link-local"
    return ""


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address inside of an IPv6 one, if there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address in EMBEDDING:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
