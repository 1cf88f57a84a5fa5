"""`poller checkpoint` on real stores: what it shows, what it refuses, and what it writes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.checkpoints import COPY, HOLDER, ONE, ORDERS, STREAM, THREE, TWO, Place, at
from support.valkey import Valkey, running

from poller.cli import main
from poller.config.event_source import default_uuid
from poller.core.model import Checkpoint, MappingId, ShardId, ShardState
from poller.core.shards import start_from

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path, aws_environment: dict[str, str]) -> Place:
    made = Place(tmp_path)
    made.enrol()
    return made


@pytest.fixture(params=["sqlite", "redis"])
def any_place(request: pytest.FixtureRequest, tmp_path: Path, aws_environment: dict[str, str]) -> Iterator[Place]:
    if request.param == "sqlite":
        made = Place(tmp_path)
        made.enrol()
        yield made
        return
    with running(Valkey(folder=tmp_path / "valkey", password="hunter2")) as server:
        made = Place(tmp_path, server.url)
        made.enrol()
        yield made


def poller(place: Place, *arguments: str) -> int:
    return main(["checkpoint", *arguments, "-c", place.config])


def states(place: Place, mapping: str = ORDERS) -> dict[ShardId, ShardState]:
    return place.run(lambda store: store.shards(MappingId(mapping)))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_without_an_action_it_says_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["checkpoint"]) == 2
    assert "export" in capsys.readouterr().err


def test_get_shows_each_shard_with_its_holder(any_place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    any_place.hold()
    any_place.finish()
    assert poller(any_place, "get", "orders") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["SHARD", "POSITION", "STATE"],
        [ONE, "100", "finished"],
        [TWO, "200", "held", "by", HOLDER],
    ]
    assert poller(any_place, "get", ORDERS, TWO, "-o", "json") == 0
    [only] = json.loads(capsys.readouterr().out)["shards"]
    assert only == {
        "shard": TWO,
        "position": "200",
        "start": None,
        "finished": False,
        "extra": {"memos": {"0": {"cuts": [["7", 1]]}}},
        "owner": HOLDER,
        "epoch": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["get", "order"], 2, "no mapping 'order', did you mean 'orders'?"),
        (["get", "zzz"], 2, "no mapping 'zzz'; there are: copy, orders, other"),
        (["get", "mails"], 3, "reads a queue, which keeps its own books"),
        (["get", "copy"], 3, "the store knows nothing of mapping copy: it has not run yet"),
        (["get", "orders", "shard-9"], 2, f"no shard 'shard-9'; there are: {ONE}, {TWO}"),
        (["set", "orders", THREE, "5"], 2, f"no shard '{THREE}', did you mean"),
        (["set", "orders", ONE, "nonsense"], 2, "'nonsense' is no position"),
        (["set", "orders", "all", "5"], 2, "a sequence number is of one shard"),
        (["export", "copy"], 3, "the store knows nothing of mapping copy"),
        (["import", "/no/such/file"], 2, "No such file"),
        (["reset", "copy", "--yes"], 3, "the store knows nothing of mapping copy"),
    ],
)
def test_what_cannot_be_is_told_with_what_can(
    arguments: list[str], code: int, said: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    before = states(place)
    assert poller(place, *arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert states(place) == before


def test_a_store_in_memory_cannot_be_looked_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(Place(tmp_path, "memory://"), "get", "orders") == 3
    assert "nobody else can look into it; set store.url" in capsys.readouterr().err


def test_a_store_that_is_not_there_is_not_made_by_looking(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(Place(tmp_path), "get", "orders") == 3
    assert "there is no store yet at" in capsys.readouterr().err
    assert not (tmp_path / "poller.db").exists()


def test_a_server_that_does_not_answer_is_told_without_its_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(Place(tmp_path, "redis://:hunter2@127.0.0.1:1"), "get", "orders") == 3
    err = capsys.readouterr().err
    assert err.startswith("poller checkpoint: error: store redis://***@127.0.0.1:1: mappings: ")
    assert "hunter2" not in err


# -------------------------------------------------------------------------------------------------------------------------- set


@pytest.mark.parametrize("number", [50, 200, 5_000])
def test_set_moves_forward_and_back_and_forgets_what_lanes_remember(
    number: int, any_place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poller(any_place, "set", "orders", TWO, str(number), "--expect", "200") == 0
    out, err = capsys.readouterr()
    assert out == f"orders {TWO}: 200 -> {number}\n"
    [audit] = lines(err)
    assert audit["by"]
    assert [audit[key] for key in ("event", "action", "shard", "before", "after", "outcome")] == [
        *("checkpoint_changed", "set", TWO, "200", str(number), "done")
    ]
    assert states(any_place)[TWO] == ShardState(checkpoint=at(number), epoch=1)
    assert states(any_place)[ONE] == ShardState(checkpoint=at(100))


def test_set_is_refused_where_the_position_is_another(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(place, "set", "orders", ONE, "150", "--expect", "99") == 1
    assert f"{ONE} is at 100, not at 99 as --expect says" in capsys.readouterr().err
    assert states(place)[ONE] == ShardState(checkpoint=at(100))


def test_set_is_refused_where_somebody_is_at_work_unless_forced(any_place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    any_place.hold()
    assert poller(any_place, "set", "orders", TWO, "TRIM_HORIZON") == 1
    assert f"{TWO} is at work, held by {HOLDER}" in capsys.readouterr().err
    assert poller(any_place, "set", "orders", TWO, "TRIM_HORIZON", "--force") == 0
    out, err = capsys.readouterr()
    assert out == f"orders {TWO}: 200 -> TRIM_HORIZON, taken from {HOLDER}\n"
    assert lines(err)[0]["fenced"] == HOLDER
    after = states(any_place)[TWO]
    assert (after.owner, after.epoch, start_from(after.checkpoint).type) == (None, 2, "TRIM_HORIZON")


def test_a_finished_shard_is_opened_again_only_by_force(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.finish()
    assert poller(place, "set", "orders", ONE, "50") == 1
    assert "is finished: all of it is done" in capsys.readouterr().err
    assert poller(place, "set", "orders", ONE, "50", "--force") == 0
    assert states(place)[ONE] == ShardState(checkpoint=at(50), epoch=2)


def test_all_shards_move_together_but_finished_ones_are_left_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.finish()
    assert poller(place, "set", "orders", "all", "AT_TIMESTAMP=2024-01-01T00:00:00Z") == 0
    out, err = capsys.readouterr()
    assert out == f"orders {TWO}: 200 -> AT_TIMESTAMP=2024-01-01T00:00:00.000Z\n"
    assert f"left alone, as they are finished: {ONE}" in err
    assert states(place)[ONE].finished
    assert poller(place, "set", "orders", "all", "TRIM_HORIZON", "--force") == 0
    assert not states(place)[ONE].finished


def test_all_or_none_of_the_shards_move(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.hold()
    before = states(place)
    assert poller(place, "set", "orders", "all", "TRIM_HORIZON") == 1
    assert HOLDER in capsys.readouterr().err
    assert states(place) == before


def test_a_shard_that_is_not_read_yet_can_be_given_a_position(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(place, "set", "orders", THREE, "5", "--new") == 0
    assert "it is read when all of its parents are finished" in capsys.readouterr().err
    assert states(place)[THREE] == ShardState(checkpoint=at(5), epoch=1)


def test_a_dry_run_changes_nothing_and_leaves_no_line(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = states(place)
    assert poller(place, "set", "orders", ONE, "107", "--dry-run", "-o", "json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "mapping": "orders",
        "uuid": ORDERS,
        "done": False,
        "changes": [{"shard": ONE, "before": "100", "after": "107", "fenced": None}],
    }
    assert err == ""
    assert states(place) == before


# ------------------------------------------------------------------------------------------------------------------------ reset


def test_reset_forgets_a_mapping_but_only_when_told_so(any_place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert poller(any_place, "reset", "orders") == 0
    assert "add --yes" in capsys.readouterr().err
    assert states(any_place)
    any_place.hold()
    assert poller(any_place, "reset", "orders", "--yes") == 1
    assert "Stop every poller that runs the mapping first" in capsys.readouterr().err
    assert poller(any_place, "reset", "orders", "--yes", "--force") == 0
    assert {line["after"] for line in lines(capsys.readouterr().err)} == {"nothing"}
    assert any_place.run(lambda store: store.mappings()) == {}


# ------------------------------------------------------------------------------------------------------------- export and import


def exported(place: Place, capsys: pytest.CaptureFixture[str], *arguments: str) -> Path:
    capsys.readouterr()
    assert poller(place, "export", *arguments) == 0
    path = place.folder / "checkpoints.json"
    path.write_text(capsys.readouterr().out)
    return path


def test_an_export_is_a_document_with_a_version(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.finish()
    assert json.loads(exported(place, capsys).read_text()) == {
        "version": 1,
        "mappings": [
            {
                "uuid": ORDERS,
                "name": "orders",
                "stream_arn": STREAM.arn,
                "created_at": STREAM.created_at,
                "shards": [
                    {"shard": ONE, "position": "100", "start": None, "finished": True},
                    {
                        "shard": TWO,
                        "position": "200",
                        "start": None,
                        "finished": False,
                        "extra": {"memos": {"0": {"cuts": [["7", 1]]}}},
                    },
                ],
            }
        ],
    }


def test_what_was_exported_comes_into_an_empty_store_as_it_was(
    any_place: Place, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poller(any_place, "set", "orders", THREE, "AT_TIMESTAMP=2024-01-01T00:00:00Z", "--new") == 0
    any_place.finish()
    path = exported(any_place, capsys)
    other = Place(tmp_path_factory.mktemp("other"))
    assert poller(other, "import", str(path)) == 0
    assert other.run(lambda store: store.mappings()) == {ORDERS: STREAM}
    found = {shard: (state.checkpoint, state.finished) for shard, state in states(other).items()}
    assert found == {shard: (state.checkpoint, state.finished) for shard, state in states(any_place).items()}
    assert len(found) == 3


def test_an_import_over_what_is_there_needs_force_and_is_then_an_exact_way_back(
    any_place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = exported(any_place, capsys)
    assert poller(any_place, "set", "orders", ONE, "150") == 0
    assert poller(any_place, "set", "orders", THREE, "5", "--new") == 0
    any_place.hold()
    capsys.readouterr()
    assert poller(any_place, "import", str(path)) == 1
    assert f"of 3 shards, and {HOLDER} is at work on it: --force writes over all of them" in capsys.readouterr().err
    assert poller(any_place, "import", str(path), "--force") == 0
    after = states(any_place)
    assert after[ONE].checkpoint == at(100)
    assert (after[TWO].checkpoint, after[TWO].owner) == (at(200, b'{"memos":{"0":{"cuts":[["7",1]]}}}'), None)
    assert after[THREE].checkpoint is None, "nobody had read it when the file was made"


def test_checkpoints_are_copied_to_another_mapping_of_the_stream(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(place, capsys, "orders")
    assert poller(place, "import", str(path), "--as", "copy", "--dry-run") == 0
    assert states(place, COPY) == {}
    assert poller(place, "import", str(path), "--as", "copy") == 0
    assert states(place, COPY)[ONE].checkpoint == at(100)
    audit = lines(capsys.readouterr().err)[-1]
    assert [audit[key] for key in ("event", "action", "mapping", "outcome")] == ["checkpoint_changed", "import", "copy", "done"]
    assert audit["by"]
    assert poller(place, "import", str(path), "--as", "other") == 1
    assert "mapping other reads " in capsys.readouterr().err
    assert len(json.loads(exported(place, capsys).read_text())["mappings"]) == 2
    assert poller(place, "import", str(path), "--as", "copy") == 2
    assert "--as needs a file with one mapping, it has 2" in capsys.readouterr().err


def test_checkpoints_of_a_mapping_that_was_renamed_can_still_be_had(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    former = default_uuid("former")
    place.run(lambda store: store.enroll(former, STREAM, {ONE: at(3)}))
    path = exported(place, capsys, "former")
    assert poller(place, "import", str(path)) == 1
    assert poller(place, "import", str(path), "--as", "copy") == 0
    assert states(place, COPY)[ONE].checkpoint == at(3)


def test_a_file_of_an_earlier_stream_of_the_name_is_refused(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(place, capsys)
    path.write_text(path.read_text().replace("1700000000.5", "1600000000.5"))
    assert poller(place, "import", str(path), "--force") == 1
    assert "or an earlier one of that name" in capsys.readouterr().err


def test_a_file_of_mappings_that_are_nowhere_is_refused_as_a_whole(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = exported(place, capsys)
    document = json.loads(path.read_text())
    stranger = document["mappings"][0] | {"uuid": "11111111-0000-4000-8000-000000000001", "name": "stranger"}
    path.write_text(json.dumps(document | {"mappings": [document["mappings"][0] | {"uuid": COPY}, stranger]}))
    assert poller(place, "import", str(path)) == 2
    assert "mapping stranger (11111111-" in capsys.readouterr().err
    assert states(place, COPY) == {}


SHARD_TOLD = {"shard": "s", "position": None, "start": None, "finished": False}
MAPPING_TOLD = {"uuid": ORDERS, "name": "orders", "stream_arn": STREAM.arn, "created_at": 1.0, "shards": []}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "no JSON"),
        ([], 'it has no "mappings"'),
        ({"version": 1}, 'it has no "mappings"'),
        ({"version": 2, "mappings": []}, "its version is 2, this poller reads 1"),
        ({"version": 1, "mappings": [7]}, r"mappings[0] is no object"),
        ({"version": 1, "mappings": [MAPPING_TOLD | {"uuid": None}]}, 'mappings[0]: "uuid" is missing'),
        ({"version": 1, "mappings": [MAPPING_TOLD | {"shards": [SHARD_TOLD, SHARD_TOLD]}]}, "a shard is there twice"),
        ({"version": 1, "mappings": [MAPPING_TOLD | {"shards": [SHARD_TOLD | {"position": "x"}]}]}, "shards[0].position: 'x'"),
        (
            {"version": 1, "mappings": [MAPPING_TOLD | {"shards": [SHARD_TOLD | {"start": {"type": "X", "timestamp": 1}}]}]},
            '"start" or "extra" is not what',
        ),
        ({"version": 1, "mappings": [MAPPING_TOLD | {"shards": [SHARD_TOLD | {"extra": 5}]}]}, '"start" or "extra" is not what'),
    ],
)
def test_a_file_that_is_no_export_changes_nothing(
    document: object, said: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place.folder / "bad.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    assert poller(place, "import", str(path), "--force") == 2
    assert said in capsys.readouterr().err
    assert states(place)[ONE] == ShardState(checkpoint=at(100))


def test_a_checkpoint_without_a_place_survives_the_way_out_and_in(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.run(lambda store: store.enroll(COPY, STREAM, {ONE: Checkpoint()}))
    path = exported(place, capsys, "copy")
    assert poller(place, "import", str(path), "--force") == 0
    assert start_from(states(place, COPY)[ONE].checkpoint).type == "TRIM_HORIZON"
