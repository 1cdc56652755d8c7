"""The JSON interface of the review desk: one route for each of its methods."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from manifests.records import Choice
from manifests.review.agreement import win_rate
from manifests.review.desk import ReviewDesk
from manifests.review.media import is_id
from manifests.review.messages import BulkEdit, ConfirmNeeded, Conflict, DecisionRequest, QueueFilter, Saved
from manifests.review.web.errors import BadRequest
from manifests.review.web.session_routes import checked_reviewer, json_body
from manifests.review.web.typed_json import from_json, to_json

MAX_PAGE = 200
"""Most items of one answer."""

Values = dict[str, Any]
Work = Callable[[ReviewDesk, str, Values], Any]
"""Takes the desk, the reviewer, and the parameters or the body of the request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NextRequest:
    """Which queue, and after which media."""

    filter: QueueFilter = field(default_factory=QueueFilter)
    after: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRequest:
    """One media."""

    media_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AssignRequest:
    """Media for a reviewer."""

    reviewer: str
    count: int
    filter: QueueFilter = field(default_factory=QueueFilter)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnassignRequest:
    """A reviewer whose open media are taken back."""

    reviewer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoRequest:
    """A decision or an action to withdraw."""

    target: str
    review_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyRequest:
    """A preview to apply, as one action."""

    token: str
    action: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareRequest:
    """Two caption versions."""

    version: str
    other_version: str
    filter: QueueFilter | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class VoteRequest:
    """A vote on a pair."""

    pair_id: str
    choice: Choice
    review_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AdjudicateRequest:
    """The side that settles a disagreement."""

    media_id: str
    side: int
    saw: str
    review_id: str


def _queue(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    offset, limit = _page(values)
    names = ("stratum", "where", "search", "state", "reviewer")
    given: Values = {name: values[name] for name in names if name in values}
    if "seed" in values:
        given["seed"] = _number(values, "seed", 0)
    return desk.queue(from_json(QueueFilter, given), reviewer=reviewer, offset=offset, limit=limit)


def _search(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    offset, limit = _page(values)
    return desk.search(values.get("text", ""), reviewer=reviewer, offset=offset, limit=limit)


def _next(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(NextRequest, values)
    if asked.after:
        _checked(asked.after)
    return {"card": desk.next(asked.filter, reviewer=reviewer, after=asked.after)}


def _card(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    return desk.card(_checked(values["media_id"]), reviewer=reviewer, hold=values.get("hold") == "1")


def _release(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    desk.release(_checked(from_json(MediaRequest, values).media_id), reviewer=reviewer)
    return {}


def _assign(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(AssignRequest, values)
    name = checked_reviewer(asked.reviewer)
    return {"assigned": desk.assign(asked.filter, reviewer=name, count=asked.count)}


def _unassign(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    name = checked_reviewer(from_json(UnassignRequest, values).reviewer)
    return {"unassigned": desk.unassign(reviewer=name)}


def _decide(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    request = from_json(DecisionRequest, values, reviewer=reviewer)
    _checked(request.media_id)
    return desk.decide(request)


def _undo(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(UndoRequest, values)
    return desk.undo(asked.target, review_id=asked.review_id, reviewer=reviewer)


def _preview(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    return desk.preview_bulk(from_json(BulkEdit, values), reviewer=reviewer)


def _apply(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(ApplyRequest, values)
    return desk.apply_bulk(asked.token, action=asked.action, reviewer=reviewer)


def _compare_next(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(CompareRequest, values)
    pair = desk.compare_next(asked.version, asked.other_version, reviewer=reviewer, filter=asked.filter)
    return {"pair": pair}


def _compare_vote(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(VoteRequest, values)
    return desk.compare_vote(asked.pair_id, asked.choice, review_id=asked.review_id, reviewer=reviewer)


def _compare_votes(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    votes = desk.compare_votes(values.get("version", ""), values.get("other_version", ""))
    rate = win_rate(wins=votes.wins, losses=votes.losses, ties=votes.ties)
    return to_json(votes) | {"win_rate": rate.rate, "low": rate.interval.low, "high": rate.interval.high}


def _disagreements(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    offset, limit = _page(values)
    return {"disagreements": desk.disagreements(offset=offset, limit=limit)}


def _adjudicate(desk: ReviewDesk, reviewer: str, values: Values) -> Any:
    asked = from_json(AdjudicateRequest, values)
    return desk.adjudicate(
        _checked(asked.media_id), asked.side, saw=asked.saw, review_id=asked.review_id, reviewer=reviewer
    )


_GET: dict[str, Work] = {
    "/api/strata": lambda desk, _, __: {"strata": desk.strata()},
    "/api/queue": _queue,
    "/api/search": _search,
    "/api/cards/{media_id}": _card,
    "/api/versions": lambda desk, _, __: {"versions": desk.versions()},
    "/api/compare/votes": _compare_votes,
    "/api/disagreements": _disagreements,
    "/api/assigned": lambda desk, _, __: {"assigned": desk.assignments()},
    "/api/figures": lambda desk, _, __: desk.figures(),
}
_POST: dict[str, Work] = {
    "/api/next": _next,
    "/api/release": _release,
    "/api/assign": _assign,
    "/api/unassign": _unassign,
    "/api/decisions": _decide,
    "/api/undo": _undo,
    "/api/bulk/preview": _preview,
    "/api/bulk/apply": _apply,
    "/api/compare/next": _compare_next,
    "/api/compare/vote": _compare_vote,
    "/api/adjudicate": _adjudicate,
}


_KINDS: dict[type[Any], str] = {Saved: "saved", Conflict: "conflict", ConfirmNeeded: "confirm"}


def desk_routes(desk: ReviewDesk) -> list[Route]:
    """Return the routes of a desk."""
    read = [Route(path, _read(desk, work), methods=["GET"]) for path, work in _GET.items()]
    change = [Route(path, _change(desk, work), methods=["POST"]) for path, work in _POST.items()]
    return read + change


def _read(desk: ReviewDesk, work: Work) -> Any:
    async def endpoint(request: Request) -> Response:
        values: Values = {**request.query_params, **request.path_params}
        return _answered(await to_thread.run_sync(work, desk, request.state.session.reviewer, values))

    return endpoint


def _change(desk: ReviewDesk, work: Work) -> Any:
    async def endpoint(request: Request) -> Response:
        values = await json_body(request)
        return _answered(await to_thread.run_sync(work, desk, request.state.session.reviewer, values))

    return endpoint


def _answered(result: Any) -> Response:
    """Answer with a result; with 409 and its `kind` if nothing was recorded."""
    value = to_json(result)
    kind = next((name for each, name in _KINDS.items() if isinstance(result, each)), "")
    status = 409 if kind in ("conflict", "confirm") else 200
    return JSONResponse(value | {"kind": kind} if kind else value, status, {"cache-control": "no-store"})


def _checked(media_id: str) -> str:
    if not is_id(media_id):
        raise BadRequest("media_id: that is no id of a media")
    return media_id


def _page(values: Values) -> tuple[int, int]:
    return _number(values, "offset", 0), min(MAX_PAGE, max(1, _number(values, "limit", 50)))


def _number(values: Values, name: str, default: int) -> int:
    text = str(values.get(name, default))
    if not text.removeprefix("-").isdecimal() or len(text) > 15:
        raise BadRequest(f"{name}: {text[:30]!r} is no whole number")
    return int(text)
