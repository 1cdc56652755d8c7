"""SQL from people: what it reads, what it is refused, and what its errors say."""

import os
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from small_dataset import VERSIONS, write_dataset

from manifests.dataset import Dataset, DatasetError
from manifests.live_view import LARGE_COLUMNS, LiveView
from manifests.sandboxed_sql import QueryError, SandboxedSql, sandboxed
from manifests.view_schemas import VIEWS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return write_dataset(tmp_path_factory.mktemp("sql"))


@pytest.fixture
def sql(dataset):
    with sandboxed(LiveView(dataset), timeout_s=5) as connection:
        yield connection


def one(sql: SandboxedSql, statement: str):
    [row] = sql.query(statement).to_pylist()
    return row


def test_a_statement_reads_the_live_rows(sql):
    assert one(sql, "SELECT count(*) AS n FROM clips") == {"n": 4}
    rows = sql.query("SELECT version, outcome, count(*) AS n FROM caption_attempts GROUP BY ALL ORDER BY ALL")
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        (VERSIONS[0], "ok", 3),
        (VERSIONS[1], "ok", 2),
        (VERSIONS[1], "refused", 1),
    ]
    assert one(sql, "SELECT count(*) AS n FROM clips WHERE motion > 0.15 AND brightness < 0.35") == {"n": 1}
    assert one(sql, "WITH c AS (SELECT * FROM clips) SELECT max(brightness) AS b FROM c") == {"b": 0.7}
    assert one(sql, "FROM commits SELECT count(*) AS n WHERE stage = 'caption'") == {"n": 2}


def test_every_view_has_the_columns_that_it_describes(sql, dataset):
    for name in VIEWS:
        columns = sql.columns(name)
        assert columns
        assert not {*columns} & {*LARGE_COLUMNS}
        assert sql.query(f"SELECT * FROM {name}").column_names == [*columns]


def test_views_equal_those_of_the_live_view(sql, dataset):
    view = LiveView(dataset)
    for name in ("sources", "clips", "gaps", "selections", "media", "failures"):
        columns = [each for each in sql.columns(name) if each != "_commit"]
        expected = sorted(map(str, view.read(name, columns).to_pylist()))
        got = sql.query(f"SELECT * EXCLUDE (_commit) FROM {name}").to_pylist()
        assert sorted(map(str, got)) == expected


def test_captioned_has_a_row_for_each_media(sql):
    rows = sql.query("SELECT * FROM captioned ORDER BY short").to_pylist()
    assert [row["short"] for row in rows] == [
        "A box over green.",
        "A box over red.",
        "A white box moves right over blue.",
    ]
    assert {row["reason"] for row in rows} == {"kept"}
    assert [row["brightness"] for row in rows] == [0.4, 0.3, 0.2]


def test_only_the_columns_of_a_statement_are_read(dataset):
    view = LiveView(dataset)
    with sandboxed(view) as sql:
        sql.query("SELECT count(*) FROM captions WHERE outcome = 'ok'")
        assert "text" not in view._loaded["captions"].column_names
        sql.query("SELECT text FROM captions")
        assert "text" in view._loaded["captions"].column_names


def test_matching_gives_the_media_of_a_condition(sql):
    all_media = sql.query("SELECT media_id FROM media ORDER BY media_id")["media_id"].to_pylist()
    assert sql.matching("true") == all_media
    assert len(sql.matching("short ILIKE '%green%' -- a comment")) == 1
    assert sql.matching("num_frames > 1000") == []
    with pytest.raises(QueryError, match="is empty"):
        sql.matching(" ")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT (SELECT count(*) FROM read_parquet('{file}')) FROM clips",
        "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/a.csv')",
        "COPY (SELECT 1) TO '{new}'",
        "COPY clips TO '{new}'",
        "EXPORT DATABASE '{new}'",
        "ATTACH '{new}' AS other",
        "ATTACH ':memory:' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA threads = 64",
        "PRAGMA database_list",
        "CREATE TABLE t AS SELECT 1",
        "CREATE MACRO f(a) AS a",
        "CREATE SECRET s (TYPE s3)",
        "INSERT INTO clips VALUES (1)",
        "UPDATE clips SET kind = 'x'",
        "DELETE FROM captions",
        "DROP VIEW clips",
        "CALL pragma_version()",
        "EXPLAIN ANALYZE SELECT 1",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "USE memory",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM memory.main.clips",
        "SELECT current_setting('secret_directory')",
        "SELECT 1; SELECT 2",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM sandbox",
        "",
    ],
)
def test_other_statements_are_refused_and_touch_no_file(sql, tmp_path, statement):
    secret, new = tmp_path / "secret.csv", tmp_path / "new"
    secret.write_text("word\nxyzzy\n")
    opened = watch_files(tmp_path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(QueryError) as refused:
        sql.query(statement.format(file=secret, folder=tmp_path, new=new))
    assert "xyzzy" not in str(refused.value)
    assert sorted(os.listdir(tmp_path)) == before
    assert opened() == []


def watch_files(folder: Path):
    """Return a function that lists the files below `folder` that this process holds or has read since."""
    paths = [path for path in folder.iterdir() if path.is_file()]
    for path in paths:
        os.utime(path, ns=(0, path.stat().st_mtime_ns))  # the next read sets a later time of access
    relevant = [path for path in paths if _notes_access(path)]

    def opened() -> list[str]:
        read = [str(path) for path in relevant if path.stat().st_atime_ns > 0]
        links = Path("/proc/self/fd").iterdir() if sys.platform == "linux" else ()
        held = [os.readlink(link) for link in links if link.exists()]
        return [*read, *(name for name in held if name.startswith(str(folder)))]

    return opened


def _notes_access(path: Path) -> bool:
    """Return whether the file system notes the time of a read, and reset it."""
    stat = path.stat()
    path.read_bytes()
    noted = path.stat().st_atime_ns > 0
    os.utime(path, ns=(0, stat.st_mtime_ns))
    return noted


def test_the_connection_itself_is_locked(sql, tmp_path):
    """The second barrier holds without the first."""
    import duckdb

    for statement in (
        f"SELECT * FROM read_csv('{tmp_path}/x.csv')",
        f"COPY (SELECT 1) TO '{tmp_path}/x.csv'",
        f"ATTACH '{tmp_path}/x.db'",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "SET temp_directory = '/tmp'",
        "SET lock_configuration = false",
    ):
        with pytest.raises(duckdb.Error, match=r"disabled|locked|permission"):
            sql._connection.execute(statement)
    assert os.listdir(tmp_path) == []


def test_errors_name_the_column_and_what_exists(sql):
    with pytest.raises(QueryError, match=r"no column 'captionr'; did you mean captioner\? captions has"):
        sql.query("SELECT captionr FROM captions")
    with pytest.raises(QueryError, match=r"no column 'zz'"):
        sql.query("SELECT m.zz FROM media m")
    with pytest.raises(QueryError, match=r"no view 'caption'; did you mean captions\?.*sources"):
        sql.query("SELECT * FROM caption")
    with pytest.raises(QueryError, match=r"cannot be parsed: .*selec"):
        sql.query("selec 1")
    with pytest.raises(QueryError, match="No function matches") as refused:
        sql.query("SELECT short + 1 FROM captions")
    assert "LINE" not in str(refused.value)


def test_a_statement_has_a_limit_of_time_and_of_memory(dataset):
    with sandboxed(LiveView(dataset), timeout_s=0.3) as sql:
        with pytest.raises(QueryError, match=r"longer than 0.3 s"):
            sql.query("SELECT sum(range) FROM range(1000000000000)")
        assert one(sql, "SELECT 1 AS n") == {"n": 1}
    with sandboxed(LiveView(dataset), memory_limit="32MB") as sql:
        with pytest.raises(QueryError, match="more than 32MB of memory"):
            sql.query("SELECT list(hash(range) || repeat('x', 500)) FROM range(1000000)")
        assert one(sql, "SELECT count(*) AS n FROM clips") == {"n": 4}


def test_max_rows_and_batches(sql):
    assert sql.query("SELECT * FROM range(50000)", max_rows=7).num_rows == 7
    sizes = [table.num_rows for table in sql.batches("SELECT * FROM range(50000)")]
    assert sum(sizes) == 50000
    assert max(sizes) < 50000
    [empty] = sql.batches("SELECT clip_id FROM clips WHERE false")
    assert empty.schema.names == ["clip_id"]
    assert isinstance(empty, pa.Table)


def test_a_damaged_part_is_named(tmp_path):
    dataset = write_dataset(tmp_path)
    [part] = dataset.parts("gaps")
    path = Path(dataset.uri) / part.path
    path.write_bytes(path.read_bytes()[:100])
    with sandboxed(LiveView(Dataset.open(dataset.uri))) as sql:
        with pytest.raises(DatasetError, match=part.path):
            sql.query("SELECT * FROM gaps")
        assert one(sql, "SELECT count(*) AS n FROM clips") == {"n": 4}
