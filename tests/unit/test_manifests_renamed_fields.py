"""Old field names work in flags, YAML files and stored configurations, and digests do not change."""

from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

from kinora.cli.main import main
from manifests import renamed_fields
from manifests.dataset import Commit, Dataset
from manifests.renamed_fields import RENAMED, field_types, old_keys, rename_keys
from manifests.renamed_flags import rename_args
from pipeline.config import _VERSIONS, AnalyzeConfig, CutConfig, DedupConfig, PackConfig, config_digest
from pipeline.planning.history import History
from pipeline.planning.last_config import build, last

LEGACY = Path(__file__).parents[1] / "golden" / "legacy" / "data"


@dataclass(frozen=True, kw_only=True)
class Pool:
    max_tasks: int = 0
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Base:
    pool: Pool = field(default_factory=Pool)
    keep_all: bool = False


@dataclass(frozen=True, kw_only=True)
class Config(Base):
    rate: float = 1.0


class Module:
    def __init__(self, base: Base | None, speed: int = 1) -> None: ...


@pytest.fixture(autouse=True)
def table(monkeypatch):
    names = {"Pool.most": "max_tasks", "Base.again": "keep_all", "Module.pace": "speed"}
    table = {f"{__name__}.{old}": new for old, new in names.items()}
    monkeypatch.setattr(renamed_fields, "RENAMED", table)
    renamed_fields._class_renames.cache_clear()
    yield
    renamed_fields._class_renames.cache_clear()


@pytest.mark.parametrize(
    ("args", "expected", "warning"),
    [
        (["--pool.most", "2"], ["--pool.max_tasks", "2"], "`--pool.most` is now `--pool.max-tasks`; the old"),
        (["--pool.most=2"], ["--pool.max_tasks=2"], "`--pool.most` is now"),
        (["--again"], ["--keep_all"], "`--again` is now `--keep-all`"),
        (["--pool", "{most: 2}"], ["--pool", "{max_tasks: 2}"], "`most` is now `max_tasks`"),
        (["--rate", "most"], ["--rate", "most"], ""),
        (["--most", "2"], ["--most", "2"], ""),
    ],
)
def test_old_flags_become_new_ones_with_a_warning(args, expected, warning, capsys):
    assert rename_args(args, Config) == expected
    err = capsys.readouterr().err
    assert (warning in err and err.count("\n") == 1) if warning else not err


def test_old_keys_of_a_file_are_renamed_at_any_depth_and_values_are_untouched(tmp_path, capsys):
    path = tmp_path / "old.yaml"
    path.write_text("rate: 1e-3  # a comment\nagain: true\npool: {label: most, most: 2}\n")
    renamed = "rate: 1e-3  # a comment\nkeep_all: true\npool: {label: most, max_tasks: 2}\n"
    assert rename_args(["--config", str(path)], Config) == ["--config", renamed]
    assert rename_args([f"--config={path}"], Config) == [f"--config={renamed}"]
    assert f"`pool.most` in {path} is now `pool.max_tasks`" in capsys.readouterr().err


def test_a_file_in_new_names_is_passed_on_by_its_path(tmp_path, capsys):
    path = tmp_path / "new.yaml"
    path.write_text("pool: {max_tasks: 2}\n")
    assert rename_args(["--config", str(path)], Config) == ["--config", str(path)]
    assert not capsys.readouterr().err


def test_groups_of_flags_may_be_named_by_a_mapping(capsys):
    groups = {"model": Module}
    nodes = {**groups, "fit": groups}
    assert rename_args(["fit", "--model.pace", "2", "--model.base.again=true"], nodes) == [
        "fit", "--model.speed", "2", "--model.base.keep_all=true",
    ]  # fmt: skip
    assert rename_args(["--config", "fit: {model: {pace: 2}}"], nodes)[1] == "fit: {model: {speed: 2}}"


@pytest.mark.parametrize(
    "args",
    [
        ["--pool.most", "2", "--pool.max_tasks=3"],
        ["--pool.max-tasks=3", "--pool.most", "2"],
        ["--config", "pool: {most: 2, max_tasks: 3}"],
    ],
)
def test_a_field_given_by_both_names_is_refused(args):
    with pytest.raises(ValueError, match="one field"):
        rename_args(args, Config)


def test_a_flag_overrides_a_file_whatever_name_each_uses():
    args = ["--config", "pool: {most: 2}", "--pool.max_tasks", "3"]
    assert rename_args(args, Config)[1:] == ["pool: {max_tasks: 2}", "--pool.max_tasks", "3"]


def test_stored_names_are_read_and_written_back():
    stored = {"again": True, "pool": {"most": 2, "label": ""}, "rate": 1.0}
    now = {"keep_all": True, "pool": {"max_tasks": 2, "label": ""}, "rate": 1.0}
    assert rename_keys(Config, stored) == now == rename_keys(Config, now)
    assert old_keys(Config, now) == stored == old_keys(Config, stored)


def test_a_command_takes_old_flags_and_files_and_refuses_both_names(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renamed_fields, "RENAMED", {"kinora.commands.captions_sample.Config.number": "n"})
    renamed_fields._class_renames.cache_clear()
    Dataset.create(tmp_path / "d").commit(Commit(stage="test"))
    command = ["captions", "sample", "--dataset", str(tmp_path / "d")]
    assert main([*command, "--number", "2"]) == 3
    assert "`--number` is now `--n`" in capsys.readouterr().err
    (tmp_path / "c.yaml").write_text("number: 2\n")
    assert main([*command, "--config", str(tmp_path / "c.yaml")]) == 3
    assert "`number` in " in capsys.readouterr().err
    assert main([*command, "--number", "2", "--n", "2"]) == 2
    assert "`--n`" in capsys.readouterr().err


def test_a_digest_is_that_of_the_old_name_and_the_log_is_read(tmp_path, monkeypatch):
    digest = config_digest(CutConfig(crf=20))
    stored = Commit(stage="cut", config={"crf": 20, "clips_per_tar": 7}, config_digest=digest)
    Dataset.create(tmp_path / "d").commit(stored)

    @dataclass(frozen=True, kw_only=True)
    class Renamed:
        quality: int = 18

    Renamed.__name__ = "CutConfig"  # config_digest names the class
    monkeypatch.setattr(renamed_fields, "RENAMED", {f"{__name__}.{Renamed.__qualname__}.crf": "quality"})
    renamed_fields._class_renames.cache_clear()
    dataset = Dataset.open(tmp_path / "d")
    assert last(dataset, "cut", Renamed) == Renamed(quality=20)
    assert old_keys(Renamed, {"quality": 20}) == {"crf": 20}
    assert "crf" not in History(dataset.commits, "cut").change(digest, Renamed(quality=21))
    assert "quality 20 -> 21" in History(dataset.commits, "cut").change(digest, Renamed(quality=21))


@pytest.mark.parametrize("key", RENAMED)
def test_every_entry_of_the_table_names_a_field_that_is_and_one_that_was(key):
    owner, old = key.rsplit(".", 1)
    module, name = owner.rsplit(".", 1)
    cls = getattr(import_module(module), name)
    names = {f.name for f in fields(cls)} if is_dataclass(cls) else field_types(cls).keys()
    assert RENAMED[key] in names
    assert old not in names
    assert not {f"{owner}.{RENAMED[key]}"} & RENAMED.keys()


@pytest.mark.parametrize("config", [AnalyzeConfig, CutConfig, DedupConfig, PackConfig])
def test_an_older_dataset_has_the_digests_of_today(config, monkeypatch):
    monkeypatch.setattr(renamed_fields, "RENAMED", RENAMED)
    renamed_fields._class_renames.cache_clear()
    for name, version in {"AnalyzeConfig": 7, "DedupConfig": 1}.items():  # those of the old dataset
        monkeypatch.setitem(_VERSIONS, name, version)
    stage = config.__name__.removesuffix("Config").lower()
    commits = [c for c in Dataset.open(LEGACY).commits if c.stage == stage]
    assert commits
    assert {config_digest(build(config, c.config)) for c in commits} == {c.config_digest for c in commits}
