"""What `kinora caption` prints."""

from dataclasses import replace

from kinora.commands.caption import describe
from pipeline.caption.usage import COST
from pipeline.jobs.caption import usage
from pipeline.jobs.report import CaptionReport


def test_a_run_with_nothing_to_do_says_that_its_version_counts_now():
    report = CaptionReport(version="facts-1a2b", media=5, already_done=5)
    assert "version facts-1a2b, whose captions now count" in str(describe(report, "data"))


def test_a_text_that_many_clips_share_is_a_warning():
    report = CaptionReport(version="v", media=100, already_done=0, ok=100, shared=(40, "c7"))
    assert "40 clips have the same text, as clip c7" in str(describe(report, "data"))
    report = CaptionReport(version="v", media=1000, already_done=0, ok=1000, shared=(40, "c7"))
    assert "same text" not in str(describe(report, "data"))


def test_a_run_that_stopped_says_what_is_left_and_what_it_cost():
    counts = {"ok": 3, "left no more credit": 2, "input tokens": 7000, "output tokens": 700, COST: 14_000}
    report = replace(CaptionReport(version="v", media=5, already_done=0, ok=3), **usage(counts))
    text = str(describe(report, "data"))
    assert "stopped: no more credit; 2 clips are left, the same command goes on" in text
    assert "7700 tokens (7000 read, 700 written), cost 0.0140" in text
