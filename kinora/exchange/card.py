"""The card of a dataset: a README.md with the YAML head that the Hugging Face hub reads."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from kinora.exchange.card_facts import CardFacts

_CREATIVE_COMMONS = "by-2.0 by-2.5 by-3.0 by-4.0 by-sa-3.0 by-sa-4.0 by-nc-2.0 by-nc-3.0 by-nc-4.0 by-nd-4.0"
_NON_COMMERCIAL = "by-nc-nd-3.0 by-nc-nd-4.0 by-nc-sa-2.0 by-nc-sa-3.0 by-nc-sa-4.0"
_OTHERS = "apache-2.0 mit bsd-2-clause bsd-3-clause cc cc0-1.0 odbl odc-by pddl gfdl gpl-3.0 unlicense"
HUB_LICENCES = frozenset(
    [*_OTHERS.split(), *(f"cc-{name}" for name in f"{_CREATIVE_COMMONS} {_NON_COMMERCIAL}".split())]
)
"""Ids of licences that the hub knows, of those that data has."""
_SIZES = (
    (10**3, "n<1K"),
    (10**4, "1K<n<10K"),
    (10**5, "10K<n<100K"),
    (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"),
)
_MAX_LISTED = 20


def render_card(
    facts: CardFacts, *, title: str, licence: str = "", configs: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the card as Markdown.

    Args:
        licence: SPDX id of the whole; by default that of the sources, if all have the same.
        configs: `configs` of the head, which say what the folders of a Hugging Face export are.
    """
    head = yaml.safe_dump(_head(facts, title, licence, configs), sort_keys=False, allow_unicode=True)
    parts = [
        f"# {_text(title)}",
        _overview(facts),
        *_section("Sources and licences", _licences(facts, licence)),
        *_section("Sizes and durations", _sizes(facts)),
        *_section("Captions", _captions(facts)),
        *_section("Reviews", _reviews(facts)),
        *_section("Filters", _filters(facts)),
        *_section("Known limits", "\n".join(f"- {line}" for line in known_limits(facts))),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def licence_id(facts: CardFacts, licence: str = "") -> str:
    """Return the licence of the whole: the given one, that of all sources, `other` for several, `unknown`."""
    if licence:
        return licence.lower()
    known = {name.strip().lower().replace(" ", "-") for name in facts.licences if name}
    if not known:
        return "unknown"
    return known.pop() if len(known) == 1 and "" not in facts.licences else "other"


def known_limits(facts: CardFacts) -> list[str]:
    """Return what a user of the dataset should know, as sentences."""
    lines: list[str] = []
    if facts.without_caption:
        lines.append(f"{facts.without_caption} of {facts.clips} clips have no caption.")
    if unreviewed := facts.clips - sum(facts.reviews.values()):
        lines.append(
            f"{unreviewed} of {facts.clips} clips were not reviewed by people: their captions may be wrong "
            "in what they name, count or order."
        )
    if facts.disagreements:
        lines.append(f"Reviewers disagree on {facts.disagreements} clips.")
    if facts.stale:
        lines.append(f"The captions of {facts.stale} reviewed clips have changed since.")
    if unknown := facts.licences.get("", 0):
        lines.append(f"The licence of {unknown} of {facts.sources} sources is not known.")
    if "nsfw" not in facts.scores:
        lines.append("No scorer looked for content that is not safe for work.")
    if not facts.has_dedup:
        lines.append("No search for duplicates was run.")
    lines.append(
        "Clips are cut and encoded anew: they are no copies of the sources' bits, and have no sound."
    )
    return lines


def _head(facts: CardFacts, title: str, licence: str, configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    chosen = licence_id(facts, licence)
    head: dict[str, Any] = {"pretty_name": title}
    head["license"] = chosen if chosen in HUB_LICENCES | {"other", "unknown"} else "other"
    if head["license"] == "other":
        several = ", ".join(name for name in facts.licences if name)
        head["license_name"] = chosen if chosen != "other" else "several"
        head["license_details"] = several or chosen
    head["task_categories"] = ["text-to-video"] if facts.videos else ["text-to-image"]
    head["size_categories"] = [next((name for limit, name in _SIZES if facts.clips < limit), "n>10M")]
    head["tags"] = ["video", "captions", "kinora"] if facts.videos else ["image", "captions", "kinora"]
    if configs:
        head["configs"] = [dict(config) for config in configs]
    return head


def _overview(facts: CardFacts) -> str:
    counts = [f"{facts.videos} videos of {facts.seconds:.1f} s in all"] if facts.videos else []
    counts += [f"{facts.images} still{'s' * (facts.images > 1)}"] if facts.images else []
    what = " and ".join(counts) or "No clips"
    origin = f"Written by Kinora from commit {facts.commit} of a dataset."
    return f"{what}, from {facts.sources} sources, with captions. {origin}"


def _licences(facts: CardFacts, licence: str) -> str:
    rows = [(name or "not known", str(count)) for name, count in facts.licences.items()]
    whole = f"Licence of this export: {_text(licence)}.\n\n" if licence else ""
    text = whole + _table(("licence of the source", "sources"), rows)
    if facts.carried:
        names = ", ".join(f"{_code(name)} ({count})" for name, count in facts.carried.items())
        text += f"\n\nColumns of the source lists, in `carried`, with the number of sources: {names}."
    return text


def _sizes(facts: CardFacts) -> str:
    text = _table(("size", "clips"), [(name, str(count)) for name, count in facts.shapes.items()])
    if facts.durations:
        rows = [(name, str(count)) for name, count in facts.durations.items()]
        text += "\n\n" + _table(("duration", "videos"), rows)
    if facts.bucket_names:
        text += (
            f"\n\nBuckets of the last shard set (frames x height x width): {', '.join(facts.bucket_names)}."
        )
    return text


def _captions(facts: CardFacts) -> str:
    rows = [
        (
            _text(version),
            str(each.captions),
            str(each.counting),
            _text(each.captioner),
            _text(" ".join(filter(None, (each.model, each.revision)))),
        )
        for version, each in facts.versions.items()
    ]
    text = _table(("version", "captions", "clips it counts for", "captioner", "model and revision"), rows)
    for version, each in facts.versions.items():
        own = [_code(digest) for digest, prompt in each.prompts.items() if not prompt]
        if own:
            text += f"\n\nPrompts of {_text(version)} that are none of the built-in ones: {', '.join(own)}."
        for digest, prompt in each.prompts.items():
            if prompt:
                quoted = "\n".join(f"> {_text(line)}" for line in prompt.splitlines())
                text += f"\n\nPrompt {_code(digest)} of {_text(version)}:\n\n{quoted}"
    return text


def _reviews(facts: CardFacts) -> str:
    if not facts.reviews:
        return ""
    rows = [(_text(verdict), str(count)) for verdict, count in facts.reviews.items()]
    return _table(("verdict that stands", "clips"), rows)


def _filters(facts: CardFacts) -> str:
    limits = {name: value for name, value in facts.select.items() if value is not None}
    text = ", ".join(f"{_code(name)} {_text(str(value))}" for name, value in limits.items())
    text = f"Rules of the last selection: {text}." if text else "No selection was run."
    if facts.dropped:
        rows = [(_text(reason), str(count)) for reason, count in facts.dropped.items()]
        head = f"\n\nOf {facts.found} clips found in the whole dataset, dropped:\n\n"
        text += head + _table(("reason", "clips"), rows)
    if facts.scores:
        rows = [
            (_code(name), f"{low:.4g}", f"{median:.4g}", f"{high:.4g}", str(count))
            for name, (low, median, high, count) in facts.scores.items()
        ]
        text += "\n\n" + _table(("score", "minimum", "median", "maximum", "clips"), rows)
    return text


def _section(title: str, body: str) -> list[str]:
    return [f"## {title}", body] if body else []


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    shown = list(rows)
    lines = [_line(head), _line(["---"] * len(head)), *map(_line, shown[:_MAX_LISTED])]
    if len(shown) > _MAX_LISTED:
        lines.append(_line([f"{len(shown) - _MAX_LISTED} more", *[""] * (len(head) - 1)]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(text: str) -> str:
    """Return text of a dataset so that Markdown shows it as it is, on one line."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", plain)


def _code(text: str) -> str:
    """Return a name as code."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"
