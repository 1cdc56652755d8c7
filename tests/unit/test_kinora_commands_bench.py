"""`kinora bench`: which benchmarks there are, and what --before adds."""

import json

import pytest

from kinora.bench.before import Comparison
from kinora.bench.figures import Figures
from kinora.cli.main import main
from kinora.commands import bench


def test_an_unknown_benchmark_is_refused_with_the_known_ones(capsys):
    assert main(["bench", "nosuch"]) == 2
    assert "there are: caption, captions, curate, dedup" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"), [(["--turns", "5"], "is for --before"), (["--turns", "0"], "1 or more")]
)
def test_turns_without_a_comparison_are_refused(capsys, flags, message):
    assert main(["bench", "worlds", *flags]) == 2
    assert message in capsys.readouterr().err


def test_the_last_line_of_json_holds_figures_of_both_builds(monkeypatch, capsys):
    def compare(root, name, rev, *, turns, arguments):
        assert (root / "kinora").is_dir()
        assert (name, rev, turns, arguments) == ("worlds", "main", 3, ["--quick", "--seed", "7"])
        figures = {"fps": 100.0, "cpu_s": 4.0}
        return Comparison(
            rev=rev, commit="c" * 40, turns=turns, before=figures, now={"fps": 110.0, "cpu_s": 3.0}
        )

    monkeypatch.setattr(bench, "checkout", lambda root: root)
    monkeypatch.setattr(bench, "compare", compare)
    flags = ["--before", "main", "--turns", "3", "--quick", "--seed", "7", "--json"]
    assert main(["bench", "worlds", *flags]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["figures"] == {"fps": 110.0, "cpu_s": 3.0, "over_before": 0.75}
    assert data["before"] == {"rev": "main", "hash": "c" * 40, "figures": {"fps": 100.0, "cpu_s": 4.0}}
    assert data["over_before"] == {"fps": 1.1, "cpu_s": 0.75}
    assert (data["bench"], data["turns"], data["seed"], data["quick"]) == ("worlds", 3, 7, True)


def test_without_a_comparison_figures_are_those_of_the_benchmark(monkeypatch, capsys):
    module = type("module", (), {"bench": lambda *, quick, seed: Figures(figures={"x": 1.0}, text="x is 1")})
    monkeypatch.setattr(bench, "import_module", lambda name: module)
    assert main(["bench", "worlds", "--json"]) == 0
    data = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert data["figures"] == {"x": 1.0}
    assert "before" not in data


def test_flags_of_a_model_are_for_benchmarks_of_a_model(capsys):
    assert main(["bench", "worlds", "--row", "text", "--samples", "4"]) == 2
    assert "--row, --samples: for" in capsys.readouterr().err
    assert main(["bench", "sora", "--before", "main"]) == 2
    assert "trained model" in capsys.readouterr().err


def test_an_unknown_row_or_model_is_refused(capsys, tmp_path):
    assert main(["bench", "sora", "--model", str(tmp_path)]) == 2
    assert "model.json" in capsys.readouterr().err
    assert main(["bench", "sora", "--model", str(tmp_path), "--row", "text,nosuch"]) == 2
    assert "no row nosuch: there are text, animate" in capsys.readouterr().err
