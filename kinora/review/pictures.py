"""Pictures and short videos of frames for the review page, made in the sandbox."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from kinora.review.strips import media_strip, source_strip, source_video
from manifests.review.pictures import PictureError, Side, SourceSpan
from pipeline.sources.fetch import local_copy
from pipeline.sources.stat import stat_source
from video.config import SandboxConfig
from video.sandbox import Sandbox

LIMITS = SandboxConfig(wall_s=20.0, wall_s_per_mb=0.5, output_mb=64, max_fetch_mb=512)
"""Limits of one strip. Sources on S3 above the size to fetch are not shown around their clips."""


class SandboxPictures:
    """Decodes in one child process, one request after another."""

    def __init__(self, limits: SandboxConfig = LIMITS) -> None:
        self._limits = limits
        self._sandbox = Sandbox(limits)
        self._thread = ThreadPoolExecutor(1, "pictures")  # a sandbox belongs to one thread

    def media_strip(self, content: bytes, indices: Sequence[int]) -> bytes:
        return self._run(partial(media_strip, content, tuple(indices)), "the clip")

    def source_strip(self, span: SourceSpan, side: Side) -> bytes:
        return self._around(source_strip, span, side)

    def source_video(self, span: SourceSpan, side: Side) -> bytes:
        return self._around(source_video, span, side)

    def _around(self, make: Callable[..., bytes], span: SourceSpan, side: Side) -> bytes:
        """Run `make` on the source of a span, if it is still the file that was analysed."""
        unit_s = span.time_base_num / span.time_base_den

        def work() -> bytes:
            now = stat_source(span.uri)
            if now.source_key != span.source_key:
                raise PictureError(
                    f"{span.uri}: the source was moved, changed or deleted since it was analysed; put it "
                    "back to see what lies around the clip. The clip itself is not affected"
                )
            with local_copy(now.uri, now.size_bytes, now.etag, self._limits) as path:
                task = partial(make, path, span.start_pts, span.end_pts, unit_s, before=side == "before")
                return self._sandbox.call(task, path)

        return self._thread.submit(_translated, work, span.uri).result()

    def close(self) -> None:
        """End the child process."""
        self._thread.submit(self._sandbox.close).result()
        self._thread.shutdown()

    def _run(self, task: Callable[[], bytes], name: str) -> bytes:
        return self._thread.submit(_translated, lambda: self._sandbox.call(task, ""), name).result()


def _translated(work: Callable[[], bytes], name: str) -> bytes:
    """Run `work`; raise what goes wrong with a file as PictureError."""
    try:
        return work()
    except PictureError:
        raise
    except (ValueError, OSError, IndexError) as error:  # VideoError is a ValueError
        raise PictureError(str(error) or f"{name}: cannot be decoded") from error
