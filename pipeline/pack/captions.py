"""Which caption, and which of its texts, a sample gets: `pack --captions`. Pure functions.

    latest-ok[:LENGTH]                   of each media the caption that counts (manifests/caption_order.py)
    VERSION[:LENGTH]                     of each media its caption of one version
    mix:VERSION[:LENGTH]=SHARE,…         drawn for each media by a hash of its id
    reviewed[:LENGTH]                    latest-ok[:LENGTH], with the edits of reviewers laid over
    reviewed+POLICY                      any of the first three, with the edits of reviewers laid over

A LENGTH (short, medium or dense) fixes the text. Without one, a sample offers all texts of its caption.
`reviewed` also leaves out what reviewers flagged or disagree about (`pack --reviews`).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from manifests.arrow import combine, pc
from manifests.records import LENGTHS
from pipeline.config import LATEST_CAPTIONS as LATEST
from pipeline.config import REVIEWED_CAPTIONS as REVIEWED

_MIX = "mix:"
_USAGE = (
    f"use {LATEST}[:LENGTH], VERSION[:LENGTH] or {_MIX}VERSION[:LENGTH]=SHARE,…, for captions as they are, "
    f"or {REVIEWED}[:LENGTH] or {REVIEWED}+POLICY for edited ones; the lengths are {', '.join(LENGTHS)}"
)
_KEY = b"kinora pack --captions"
"""Key of the hash that draws a mix; a change gives every mix another draw."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionOption:
    """One source of texts."""

    version: str
    length: str = ""
    """Empty if the policy fixes no length."""
    share: float = 1.0

    @property
    def name(self) -> str:
        """Name as in the policy: `VERSION` or `VERSION:LENGTH`."""
        return f"{self.version}:{self.length}" if self.length else self.version


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionChoice:
    """The caption of each media that gets one."""

    rows: pa.Table
    """The chosen rows of `candidates`, with `text_length` and `fixed_length`, in the order of the media."""
    left_out: Mapping[str, int]
    """Number of media without a caption, by reason."""
    redrawn: Mapping[str, int]
    """Number of media that lack the caption drawn for them, by that caption and the one they got."""


def split_reviewed(policy: str) -> tuple[bool, str]:
    """Return whether a policy lays reviews over captions, and the policy that chooses these captions.

    Raises ValueError, with the accepted forms, for a `reviewed` with anything but a length or a policy.
    """
    if policy.startswith(f"{REVIEWED}+"):
        base = policy.removeprefix(f"{REVIEWED}+")
        if base == REVIEWED or base.startswith((f"{REVIEWED}+", f"{REVIEWED}:")):
            raise ValueError(f"captions {policy!r}: lays reviews over reviews; {_USAGE}")
        if not base:
            raise ValueError(f"captions {policy!r}: names no policy after the +; {_USAGE}")
        return True, base
    name, _, length = policy.partition(":")
    if name != REVIEWED:
        return False, policy
    if policy != name and length not in LENGTHS:
        raise ValueError(f"captions {policy!r}: {length!r} is no length; {_USAGE}")
    return True, policy.replace(REVIEWED, LATEST, 1)


def parse_policy(policy: str) -> tuple[CaptionOption, ...]:
    """Return the options of a policy without `reviewed` (`split_reviewed`), none for `latest-ok`.

    Raises ValueError, with the accepted forms, for any other text, and for shares that do not sum to 1.
    """
    if policy == LATEST:
        return ()
    if policy.startswith(f"{LATEST}:") and policy.removeprefix(f"{LATEST}:") in LENGTHS:
        return (CaptionOption(version=LATEST, length=policy.removeprefix(f"{LATEST}:")),)
    if not policy.startswith(_MIX):
        return (_option(policy, 1.0, policy),)
    parts = re.findall(r"(.+?)=([^,=]*)(?:,|$)", policy.removeprefix(_MIX))
    if not parts or ",".join(f"{name}={share}" for name, share in parts) != policy.removeprefix(_MIX):
        raise ValueError(f"captions {policy!r}: not a mix; {_USAGE}")
    options = tuple(_option(name, _share(share, policy), policy) for name, share in parts)
    names = [option.name for option in options]
    if len(set(names)) != len(names):
        raise ValueError(f"captions {policy!r}: names one caption twice; give each once")
    if abs((total := sum(option.share for option in options)) - 1) > 1e-3:
        raise ValueError(f"captions {policy!r}: the shares sum to {total:g}; make them sum to 1")
    return options


def _option(name: str, share: float, policy: str) -> CaptionOption:
    version, _, length = name.rpartition(":")
    if length not in LENGTHS or not version:
        version, length = name, ""
    if not version or version != version.strip(" ,") or version == LATEST or "=" in version:
        raise ValueError(f"captions {policy!r}: {name!r} names no caption version; {_USAGE}")
    return CaptionOption(version=version, length=length, share=share)


def _share(text: str, policy: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ValueError(f"captions {policy!r}: the share {text!r} is not a number above 0 and at most 1")
    return share


def check_versions(
    options: Sequence[CaptionOption], counts: Mapping[str, Mapping[str, int]], policy: str
) -> None:
    """Raise ValueError, with what there is, for a version or length that no caption has.

    Args:
        counts: for each version the number of OK captions (`ok`) and of those that have each length.
    """
    for option in options:
        if option.version == LATEST:
            continue
        found = counts.get(option.version)
        if found is None:
            versions = ", ".join(f"{name} ({each['ok']} ok)" for name, each in sorted(counts.items()))
            raise ValueError(
                f"captions {policy!r}: there is no caption version {option.version!r}; "
                f"this dataset has {versions or 'no captions'}; {_USAGE}"
            )
        if option.length and found["ok"] and not found.get(option.length):
            lengths = ", ".join(length for length in LENGTHS if found.get(length))
            raise ValueError(
                f"captions {policy!r}: no caption of {option.version} has a {option.length} text; "
                f"they have {lengths}"
            )


def length_bits(captions: pa.Table, columns: Mapping[str, str]) -> pa.Array:
    """Return which lengths each caption has: bit i is set if it has a text of `LENGTHS[i]`.

    Args:
        columns: column of the text of each length.
    """
    bits_N = np.zeros(captions.num_rows, np.int64)
    for bit, length in enumerate(LENGTHS):
        bits_N |= captions[columns[length]].is_valid().to_numpy().astype(np.int64) << bit
    return pa.array(bits_N)


def choose(
    media_id: pa.ChunkedArray, candidates: pa.Table, options: Sequence[CaptionOption]
) -> CaptionChoice:
    """Choose the caption of each media.

    A mix draws by a hash of the media id, so that the same dataset gives the same draw on every machine, and
    each option its share in expectation. Media that lack the option drawn get one of those they have, in the
    proportion of the shares.

    Args:
        candidates: OK captions, with the columns `media_id`, `version` and `lengths` (`length_bits`); one of
            each media and version, or, without options, one of each media.
    """
    if not options:
        return _choose_only(media_id, candidates)
    row_KN = np.stack([_rows_of(option, media_id, candidates) for option in options])
    has_KN = row_KN >= 0
    share_K = np.array([option.share for option in options])
    drawn_N = _draw(media_id, np.ones_like(has_KN), share_K)
    got_N = _draw(media_id, has_KN, share_K)
    chosen_N = has_KN.any(0)
    moved_N = chosen_N & (drawn_N != got_N)
    moves = zip(drawn_N[moved_N].tolist(), got_N[moved_N].tolist(), strict=True)
    redrawn = Counter(f"{options[drawn].name} -> {options[got].name}" for drawn, got in moves)
    row_N = row_KN[got_N, np.arange(len(got_N))][chosen_N]
    fixed = np.array([option.length for option in options])[got_N][chosen_N]
    reason = f"no OK caption of {options[0].name}" if len(options) == 1 else "no OK caption of the mix"
    missing = int((~chosen_N).sum())
    return CaptionChoice(
        rows=_with_lengths(candidates.take(pa.array(row_N)), fixed),
        left_out={reason: missing} if missing else {},
        redrawn=dict(sorted(redrawn.items())),
    )


def _choose_only(media_id: pa.ChunkedArray, candidates: pa.Table) -> CaptionChoice:
    index = pc.index_in(media_id, value_set=combine(candidates["media_id"]))
    rows = candidates.take(index.drop_null())
    missing = len(media_id) - rows.num_rows
    return CaptionChoice(
        rows=_with_lengths(rows, np.full(rows.num_rows, "")),
        left_out={"no OK caption": missing} if missing else {},
        redrawn={},
    )


def _rows_of(option: CaptionOption, media_id: pa.ChunkedArray, candidates: pa.Table) -> np.ndarray:
    """Return the row of `candidates` that `option` gives each media, -1 if it gives none."""
    wanted_N = pc.or_(pc.equal(candidates["version"], option.version), option.version == LATEST).to_numpy()
    if option.length:
        wanted_N &= (candidates["lengths"].to_numpy() >> LENGTHS.index(option.length) & 1).astype(bool)
    row_M = np.flatnonzero(wanted_N)
    if not len(row_M):
        return np.full(len(media_id), -1)
    index_N = pc.index_in(media_id, value_set=combine(candidates["media_id"].take(pa.array(row_M))))
    index_N = pc.fill_null(index_N, -1).to_numpy()
    return np.where(index_N < 0, -1, row_M[index_N])


def _draw(media_id: pa.ChunkedArray, has_KN: np.ndarray, share_K: np.ndarray) -> np.ndarray:
    """Return the option drawn for each media among those it has; any if it has none."""
    upto_KN = np.cumsum(share_K[:, None] * has_KN, axis=0)
    drawn_N = (upto_KN <= _uniform(media_id) * upto_KN[-1]).sum(0)
    last_N = len(share_K) - 1 - has_KN[::-1].argmax(0)
    return np.minimum(drawn_N, last_N)


def _uniform(media_id: pa.ChunkedArray) -> np.ndarray:
    """Return a number in [0, 1) for each media, a hash of its id."""
    digests = [blake2b(name.encode(), digest_size=8, key=_KEY).digest() for name in media_id.to_pylist()]
    hash_N = np.frombuffer(b"".join(digests), ">u8")
    return (hash_N >> np.uint64(11)) * 2.0**-53


def _with_lengths(rows: pa.Table, fixed_N: np.ndarray) -> pa.Table:
    """Append the length of the chosen text (else the shortest there is), and whether the policy fixed it."""
    shortest = [next((name for bit, name in enumerate(LENGTHS) if bits >> bit & 1), "") for bits in range(8)]
    length_N = np.where(fixed_N == "", np.array(shortest)[rows["lengths"].to_numpy()], fixed_N)
    rows = rows.append_column("text_length", pa.array(length_N.tolist(), pa.string()))
    return rows.append_column("fixed_length", pa.array((fixed_N != "").tolist(), pa.bool_()))
