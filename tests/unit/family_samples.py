"""Worlds of one family, their videos as drawn and after lossy coding, and what a judge says of them."""

from video.encode import mp4_bytes
from video.frames import read_clip

SIZES = [(64, 64), (114, 64), (64, 114)]


def worlds_of(family, count, size=(64, 64), num_frames=24):
    return [
        family.sample(seed, width=size[0], height=size[1], fps=12, num_frames=num_frames)
        for seed in range(count)
    ]


def as_drawn(frames_THWC):
    return frames_THWC


def reencoded(frames_THWC):
    return read_clip(mp4_bytes(frames_THWC, 12, crf=28))[0]


def verdicts(judge, attribute, worlds, found, pairs):
    """Return what `judge` says of each world's own video where it says anything, and of the videos of others
    where it should say no.

    Args:
        found: what was measured in the video of each world.
        pairs: (video, world) numbers.
    """
    own = [judge.compare(measured, world) for measured, world in zip(found, worlds, strict=True)]
    wrong = [
        (i, j)
        for i, j in pairs
        if judge.compare(judge.measured_truth(worlds[i]), worlds[j]).get(attribute) is False
    ]
    return (
        [said[attribute] for said in own if attribute in said],
        [judge.compare(found[i], worlds[j])[attribute] for i, j in wrong],
    )
