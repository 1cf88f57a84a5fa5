"""Where the URLs of Redis stores lead: databases, users, sockets, TLS, Sentinels; and which URLs are refused."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from contract.store_world import MAPPING, SHARD, STREAM, A, B, acquired, at, enrolled
from support.servers import free_port
from support.valkey import Valkey, running, until

from poller.errors import ConfigError, LeaseLost, Unavailable
from poller.stores.redis import RedisStore, key
from poller.stores.redis_servers import servers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from poller.core.model import Lease

LONG = 600.0
PASSWORD = "p@ss:w/rd?#1"
ESCAPED = "p%40ss%3Aw%2Frd%3F%231"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with running(Valkey(folder=tmp_path / "valkey")) as started:
        yield started


async def answers(url: str) -> None:
    """A store at this URL works."""
    async with RedisStore(url) as store:
        await enrolled(store)
        assert await store.stream(MAPPING) == STREAM


async def unavailable(url: str) -> Unavailable:
    """A store at this URL does not."""
    async with RedisStore(url) as store:
        with pytest.raises(Unavailable) as caught:
            await store.stream(MAPPING)
        return caught.value


# ------------------------------------------------------------------------------------------------------------------ ordinary


async def test_the_path_of_a_url_is_the_number_of_a_database(server: Valkey) -> None:
    await answers(f"{server.url}/3")
    async with RedisStore(server.url) as store:
        assert await store.stream(MAPPING) is None
    with server.admin() as client:
        client.select(3)
        assert client.keys() == [key(MAPPING)]


async def test_a_password_may_hold_any_character(tmp_path: Path) -> None:
    with running(Valkey(folder=tmp_path / "valkey")) as server, server.admin() as client:
        client.config_set("requirepass", PASSWORD)
        await answers(f"redis://:{ESCAPED}@127.0.0.1:{server.port}")
        await answers(f"redis://default:{ESCAPED}@127.0.0.1:{server.port}/0")


async def test_a_server_can_be_reached_over_its_socket(tmp_path: Path) -> None:
    socket = tmp_path / "valkey.sock"
    with running(Valkey(folder=tmp_path / "valkey", settings={"unixsocket": str(socket)})):
        await answers(f"unix://{socket}?db=2")
        async with RedisStore(f"unix://{socket}") as store:
            assert await store.stream(MAPPING) is None


# ------------------------------------------------------------------------------------------------------------------------- TLS


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself; its key beside it."""
    path = tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=poller -addext subjectAltName=IP:127.0.0.1"
    files = ["-out", str(path), "-keyout", str(path.with_suffix(".key"))]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return path


@asynccontextmanager
async def behind_tls(server: Valkey, certificate: Path, *, clients: Path | None = None) -> AsyncIterator[int]:
    """A port where the server is reached through TLS; `clients`: whose certificate they must show."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.TaskGroup() as both:
            both.create_task(carry(reader, inner[1]))
            both.create_task(carry(inner[0], writer))

    async with await asyncio.start_server(serve, "127.0.0.1", port := free_port(), ssl=context):
        yield port


async def test_rediss_is_tls_and_the_certificate_must_be_right(server: Valkey, certificate: Path) -> None:
    async with behind_tls(server, certificate) as port:
        await answers(f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={certificate}")
        await answers(f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none")
        await answers(f"rediss://localhost:{port}?ssl_ca_certs={certificate}&ssl_check_hostname=false")
        for wrong in (f"127.0.0.1:{port}", f"localhost:{port}?ssl_ca_certs={certificate}"):
            said = await unavailable(f"rediss://{wrong}")
            assert said.kind == "connection"
            assert "certificate" in str(said)


async def test_a_client_can_show_a_certificate_of_its_own(server: Valkey, certificate: Path) -> None:
    mine = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={certificate.with_suffix('.key')}"
    async with behind_tls(server, certificate, clients=certificate) as port:
        await answers(f"rediss://127.0.0.1:{port}?{mine}")
        assert (await unavailable(f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}")).kind == "connection"


# ------------------------------------------------------------------------------------------------------------------- Sentinels


def replica_of(master: Valkey, folder: Path) -> Valkey:
    settings = {"replicaof": f"127.0.0.1 {master.port}", "masterauth": master.password or '""'}
    return Valkey(folder=folder, password=master.password, settings=settings)


def watching(master: Valkey, folder: Path, *, password: str = "") -> Valkey:
    """A Sentinel of the service `orders`, which decides alone, and soon."""
    settings = {"sentinel monitor": f"orders 127.0.0.1 {master.port} 1"}
    settings |= {"sentinel down-after-milliseconds": "orders 300", "sentinel failover-timeout": "orders 3000"}
    if master.password:
        settings["sentinel auth-pass"] = f"orders {master.password}"
    return Valkey(folder=folder, sentinel=True, settings=settings, password=password)


@pytest.mark.parametrize("its_own", ["", "hunter2"], ids=["open Sentinel", "Sentinel with the password"])
async def test_sentinels_are_asked_for_the_master_with_the_password_or_without(tmp_path: Path, its_own: str) -> None:
    with (
        running(Valkey(folder=tmp_path / "master", password="hunter2")) as master,
        running(watching(master, tmp_path / "sentinel", password=its_own)) as sentinel,
    ):
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}"  # the first is down
        await answers(f"redis+sentinel://:hunter2@{hosts}/orders/2")
        said = await unavailable(f"redis+sentinel://:hunter2@{hosts}/payments")
        assert (said.kind, str(said)) == ("connection", "stream: No master found for 'payments'")


async def test_after_a_failover_the_replica_goes_on_with_the_leases_and_checkpoints(tmp_path: Path) -> None:
    with (
        running(Valkey(folder=tmp_path / "master")) as master,
        running(replica_of(master, tmp_path / "replica")) as replica,
        running(watching(master, tmp_path / "sentinel")) as sentinel,
        replica.admin() as admin,
        sentinel.admin() as eye,
    ):
        async with RedisStore(f"redis+sentinel://127.0.0.1:{sentinel.port}/orders") as store:
            await enrolled(store, at(1))
            lease = await store.acquire(MAPPING, SHARD, A, LONG)
            assert lease is not None
            assert await store.advance(lease, at(2))
            await until(lambda: admin.hget(key(MAPPING), f"{SHARD}/position") == at(2).position.encode(), "it is replicated")
            await until(
                lambda: "slave0" in eye.info("sentinel") or eye.sentinel_slaves("orders"), "the Sentinel knows the replica"
            )
            master.kill()
            await _advances_again(store, lease)
            assert (await store.shards(MAPPING))[SHARD].checkpoint == at(3)


async def _advances_again(store: RedisStore, lease: Lease) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(Unavailable):
                assert await store.advance(lease, at(3))
                return
            await asyncio.sleep(0.05)


async def test_a_lease_that_the_promoted_replica_never_saw_is_fenced_though_its_epoch_comes_again(tmp_path: Path) -> None:
    with (
        running(Valkey(folder=tmp_path / "master")) as master,
        running(replica_of(master, tmp_path / "replica")) as replica,
        replica.admin() as admin,
    ):
        async with RedisStore(master.url) as before, RedisStore(replica.url) as after:
            await enrolled(before, at(1))
            await until(lambda: admin.exists(key(MAPPING)), "it is replicated")
            admin.replicaof("NO", "ONE")  # from here on it misses what the master confirms
            lost = await acquired(before, A)
            assert await before.advance(lost, at(9))
            heir = await acquired(after, B)
            assert heir.epoch == lost.epoch
            for write in (after.renew(lost, LONG), after.advance(lost, at(10)), after.finish(lost)):
                with pytest.raises(LeaseLost):
                    await write
            assert await after.load(heir) == at(1)  # what came after is done again, and none of it is lost


# --------------------------------------------------------------------------------------------------------------- refused URLs


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "store http://h: it must begin with one of redis, rediss, redis+sentinel, rediss+sentinel, unix"),
        ("redis:///0", "store redis:///0: a host is missing, or its port is no number: in a password write %40 for @"),
        ("redis://h,i", "store redis://h,i: a host is missing, or its port is no number"),
        ("redis://h:x", "store redis://h:x: a host is missing, or its port is no number"),
        ("redis://u:pa/ss@h:1", "store redis://***@h:1: a host is missing, or its port is no number"),
        ("redis://u:p?a@h:1", "store redis://***@h:1: a host is missing, or its port is no number"),
        ("redis://u:pa#ss@h:1", 'store redis://***@h:1: it cannot hold "#"'),
        ("redis://u:pa[ss@h:1", "store redis://***@h:1: this is no URL"),
        ("redis://h/orders", "store redis://h/orders: the database must be a number"),
        ("redis://h?password=pass", "store redis://h: only rediss://, which is TLS, takes parameters"),
        ("rediss://h?password=pass", "store rediss://h: its parameters can be ssl_ca_certs, ssl_certfile, "),
        ("rediss://h?ssl_ca_certs=/no/ca", "store rediss://h: ssl_ca_certs: there is no file /no/ca"),
        ("rediss://h?ssl_cert_reqs=maybe", "store rediss://h: ssl_cert_reqs must be none, optional or required"),
        ("rediss://h?ssl_check_hostname=0", "store rediss://h: ssl_check_hostname must be true or false"),
        ("redis+sentinel://h:1,h:2", "store redis+sentinel://h:1,h:2: which master the Sentinels are asked for is missing"),
        ("redis+sentinel://h:1,/orders", "store redis+sentinel://h:1,/orders: a host is missing"),
        ("redis+sentinel://h/orders/x", "store redis+sentinel://h/orders/x: the database must be a number"),
        ("unix://run/x.sock", "store unix://run/x.sock: write unix:///PATH"),
        ("unix:///run/x.sock?mode=1", "store unix:///run/x.sock: write unix:///PATH"),
    ],
)
async def test_a_url_that_can_never_work_is_refused_with_what_to_do(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await RedisStore(url).__aenter__()
    assert str(caught.value).startswith(said)
    assert "pa" not in str(caught.value).replace("parameters", "").replace("in a password write", "").replace("path", "")


@pytest.mark.parametrize(
    ("url", "host", "port", "database"),
    [
        ("redis://h", "h", 6379, 0),
        ("redis://h/", "h", 6379, 0),
        ("redis://h:7000/12", "h", 7000, 12),
        ("redis://[::1]:7000", "::1", 7000, 0),
        ("rediss://h", "h", 6379, 0),
    ],
)
def test_hosts_ports_and_databases_have_defaults(url: str, host: str, port: int, database: int) -> None:
    made = servers(url).pool.connection_kwargs
    assert (made["host"], made["port"], made["db"]) == (host, port, database)
