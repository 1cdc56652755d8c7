"""The route of what the reviews say of the whole dataset, computed once for each commit."""

from threading import Lock

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from manifests.dataset import Dataset
from manifests.live_view import LiveView
from manifests.review.config import ReviewConfig
from manifests.review.desk import ReviewDesk, SelectionRules
from manifests.review.facts import dataset_figures
from manifests.review.quality import ReviewFigures
from manifests.review.web.typed_json import to_json


class QualityRoutes:
    """Estimates, agreement and comparisons of the newest commit."""

    def __init__(
        self, dataset: Dataset, desk: ReviewDesk, rules: SelectionRules | None, config: ReviewConfig
    ) -> None:
        self._dataset, self._desk, self._rules, self._config = dataset, desk, rules, config
        self._lock = Lock()
        self._computed: tuple[int, ReviewFigures] | None = None

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/api/quality", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """Commit what is recorded, and answer with the figures of the dataset."""
        figures = await to_thread.run_sync(self._figures)
        return JSONResponse(to_json(figures), headers={"cache-control": "no-store"})

    def _figures(self) -> ReviewFigures:
        self._desk.flush()
        with self._lock:
            self._dataset = self._dataset.refresh()
            if self._computed is None or self._computed[0] != self._dataset.number:
                figures = dataset_figures(LiveView(self._dataset), self._rules, self._config)
                self._computed = (self._dataset.number, figures)
            return self._computed[1]
