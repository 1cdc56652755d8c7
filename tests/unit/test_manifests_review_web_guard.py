"""Who is answered: hosts, sessions, tokens, CSRF, limits, paths; and what is written down of it."""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from review_dataset import write_dataset
from review_pages import FakePictures, Page, running
from starlette.routing import Route

from manifests.dataset import Dataset
from manifests.review.app import PageConfig, make_app
from manifests.review.desk import ReviewDesk
from manifests.review.web.desk_routes import desk_routes
from manifests.web.headers import POLICY, SECURITY_HEADERS
from manifests.web.hosts import HostCheck, is_loopback
from manifests.web.limits import Limits, RateLimit
from manifests.web.server import listen
from manifests.web.tokens import TokenStore

OTHER_ADDRESS = PageConfig(address="0.0.0.0", limits=Limits(login_burst=3))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("page")
    config = PageConfig(limits=Limits(requests_per_s=1e6, burst=10**6))
    with running(Dataset.create(folder / "d"), folder / "state", config=config) as page:
        page.open_session()
        yield page


def audit(page: Page) -> list[dict]:
    return [json.loads(line) for line in (page.state / "audit.jsonl").read_text().splitlines()]


def test_every_answer_has_the_security_headers(page: Page) -> None:
    for path in ("/", "/static/main.js", "/api/session", "/media/none", "/nothing"):
        answer = page.get(path)
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value, (path, name)
        assert "server" not in answer.headers
    page.host = "evil.example"
    assert page.get("/").headers["content-security-policy"] == POLICY
    page.host = ""
    assert "unsafe" not in POLICY


def test_other_names_of_the_server_are_refused(page: Page) -> None:
    for host in ("evil.example", f"evil.example:{page.port}", "localhost.evil.example", "", "192.0.2.7"):
        page.host = host or " "
        assert page.get("/").status == 421, host
        assert page.get("/api/session").status == 421, host
    for host in ("localhost", f"LOCALHOST:{page.port}", "127.0.0.1:1", "[::1]:80"):
        page.host = host
        assert page.get("/").status == 200, host
    page.host = ""


def test_a_literal_address_is_a_host_elsewhere_but_a_name_is_not() -> None:
    check = HostCheck("0.0.0.0", ["review.example"])
    assert check("192.0.2.7:8420")
    assert check("[2001:db8::1]:8420")
    assert check("Review.Example")
    assert not check("evil.example")
    assert [is_loopback(a) for a in ("127.0.0.1", "127.9.9.9", "::1", "localhost", "0.0.0.0", "::", "x")] == [
        *[True] * 4,
        *[False] * 3,
    ]


def test_nothing_is_answered_without_a_session(page: Page) -> None:
    assert page.request("GET", "/", session=False).status == 200
    for path in ("/media/abc", "/media/abc/poster", "/api/strata", "/anything"):
        assert page.request("GET", path, session=False).status == 401, path
    cookie = page.request("GET", "/api/session", session=False).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}


def test_a_change_needs_the_csrf_token_and_the_same_site(page: Page) -> None:
    name = {"reviewer": "Ada"}
    assert page.post("/api/session", name).json["reviewer"] == "Ada"
    assert page.post("/api/session", name, **{"x-csrf-token": ""}).status == 403
    assert page.post("/api/session", name, **{"x-csrf-token": "é" * 9}).status == 403
    assert page.post("/api/session", name, origin="http://evil.example").status == 403
    assert page.post("/api/session", name, **{"sec-fetch-site": "cross-site"}).status == 403
    assert page.get("/api/session", **{"sec-fetch-site": "cross-site"}).status == 403
    own = f"http://localhost:{page.port}"
    assert page.post("/api/session", name, origin=own, **{"sec-fetch-site": "same-origin"}).status == 200
    assert page.post("/api/session", name, **{"content-type": "text/plain"}).status == 400
    for wrong in ([], {"reviewer": ""}, {"reviewer": 5}, {"reviewer": "a\nb"}, {"reviewer": "<b>"}, {}):
        assert page.post("/api/session", wrong).status == 400, wrong
    assert page.post("/api/session", {"reviewer": "Ångström Ø. O'Neil-2"}).status == 200


def test_bodies_and_addresses_have_a_size(page: Page) -> None:
    fields = {"content-type": "application/json", "x-csrf-token": page.csrf}
    limit = Limits().max_body_bytes
    assert page.request("POST", "/api/session", b"{" + b" " * limit, **fields).status == 413
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (limit + 1, b" " * (limit + 1))
    assert _chunked(page, chunks, fields) == 413
    assert page.get("/api/session?" + "x" * 9000).status == 414


def _chunked(page: Page, body: bytes, fields: dict[str, str]) -> int:
    head = [f"POST /api/session HTTP/1.1\r\nHost: localhost\r\nCookie: {page.cookie}\r\n"]
    head += [f"{name}: {value}\r\n" for name, value in fields.items()]
    head += ["Transfer-Encoding: chunked\r\n\r\n"]
    with socket.create_connection(("127.0.0.1", page.port)) as client:
        client.sendall("".join(head).encode() + body)
        return int(client.recv(1000).split()[1])


def path_like_ids() -> list[str]:
    """Two hundred ids that look like paths, in many spellings."""
    targets = ("etc/hostname", "a.tar", "_log/00000000.json", "media/x.tar", "audit.jsonl")
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "....//",
        "%252e%252e%252f",
        "..%c0%af",
        "./",
    )
    found = [up * depth + target for up in ups for depth in (1, 3, 6) for target in targets]
    found += ["/" + target for target in targets] + ["%2f" + target for target in targets]
    found += [f"file:%2f%2f%2f{target}" for target in targets] + [f"a%00{target}" for target in targets]
    found += [f"s3:%2f%2fbucket%2f{target}" for target in targets]
    found += [quote(sign, safe="") for sign in "~$%&*|;'\"`<>?#[]{}^ \n\t"] + [
        "a" * 129,
        "-a",
        "a-",
        "%c3%a9",
        "%ff",
    ]
    return found


def test_ids_that_look_like_paths_read_no_file(page: Page) -> None:
    forms = path_like_ids()
    assert len(forms) >= 200
    opened: list[str] = []
    watching = True

    def watch(event: str, args: tuple) -> None:
        if watching and event == "open" and isinstance(args[0], str | bytes | Path):
            opened.append(str(args[0]))

    sys.addaudithook(watch)
    try:
        for form in forms:
            for path in (f"/media/{form}", f"/media/{form}/poster", f"/static/{form}", f"/api/cards/{form}"):
                answer = page.get(path.replace(" ", "%20").replace("\\", "%5C"))
                assert answer.status in (400, 404), (path, answer.status)
                assert b"root:" not in answer.body
    finally:
        watching = False
    assert [name for name in opened if "audit.jsonl" not in name] == []


def test_no_folder_is_listed(page: Page) -> None:
    for path in (
        "/static",
        "/static/",
        "/media",
        "/media/",
        "/api",
        "/api/",
        "/static/..",
        "//",
        "/static//",
    ):
        assert page.get(path).status == 404, path


def test_another_address_asks_for_the_token(tmp_path: Path) -> None:
    tokens = TokenStore(tmp_path / "state")
    token = tokens.create()
    stored = [path for path in (tmp_path / "state").iterdir() if token in path.read_text()]
    assert stored == []
    assert [path.stat().st_mode & 0o77 for path in (tmp_path / "state").iterdir()] == [0]
    with running(
        Dataset.create(tmp_path / "d"), tmp_path / "state", config=OTHER_ADDRESS, tokens=tokens
    ) as page:
        assert page.get("/api/session").json == {"needs_token": True}
        assert "set-cookie" not in page.get("/api/session").headers
        assert page.get("/media/abc").status == 401
        assert page.post("/api/session", {"token": "wrong"}).status == 401
        right = page.post("/api/session", {"token": token, "reviewer": "Ada"})
        assert (right.status, right.json["reviewer"]) == (200, "Ada")
        page.cookie = right.headers["set-cookie"].partition(";")[0]
        assert page.get("/media/abc").status == 404
        page.cookie = ""
        answers = [page.post("/api/session", {"token": "wrong"}) for _ in range(3)]
        assert answers[-1].status == 429
        assert "too many attempts" in answers[-1].json["error"]
        assert [entry["status"] for entry in audit(page)][:3] == [401, 401, 200]
        assert token not in (page.state / "audit.jsonl").read_text()
    assert not tokens.matches("")
    tokens.create()
    assert not tokens.matches(token)
    assert not TokenStore(tmp_path / "none").matches("")


def test_requests_have_a_rate(tmp_path: Path) -> None:
    now = [0.0]
    rate = RateLimit(2.0, 3, lambda: now[0])
    assert [rate.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.wait_s("b") == 0
    now[0] = 1.0
    assert [rate.wait_s("a") for _ in range(3)] == [0, 0, 0.5]
    config = PageConfig(limits=Limits(requests_per_s=0.01, burst=2))
    with running(Dataset.create(tmp_path / "d"), tmp_path / "state", config=config) as page:
        assert [page.get("/").status for _ in range(3)] == [200, 200, 429]
        assert int(page.get("/").headers["retry-after"]) > 50


def test_changes_and_refusals_are_in_the_audit_log(page: Page) -> None:
    before = len(audit(page))
    page.post("/api/session", {"reviewer": "Grace"})
    page.get("/static/main.js")
    page.request("GET", "/media/abc", session=False)
    entries = audit(page)[before:]
    assert [(entry["path"], entry["status"]) for entry in entries] == [
        ("/api/session", 200),
        ("/media/abc", 401),
    ]
    assert entries[0]["reviewer"] == "Grace"
    assert page.csrf not in (page.state / "audit.jsonl").read_text()


def test_two_datasets_in_one_browser_keep_their_sessions(tmp_path: Path) -> None:
    """Browsers send the cookies of a host to all of its ports."""
    one, other = Dataset.create(tmp_path / "one"), Dataset.create(tmp_path / "other")
    with running(one, tmp_path / "s1") as first, running(other, tmp_path / "s2") as second:
        jar: dict[str, str] = {}
        for page in (first, second):
            page.open_session()
            name, _, value = page.cookie.partition("=")
            jar[name] = value
        for page in (first, second):
            page.cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
            answer = page.get("/api/session")
            assert (answer.status, answer.json["csrf"]) == (200, page.csrf)


def test_an_error_of_the_server_is_answered_as_json(tmp_path: Path) -> None:
    dataset = Dataset.create(tmp_path / "d")

    async def fail(request: object) -> None:
        raise RuntimeError("secret detail")

    app = make_app(dataset, tmp_path / "s", FakePictures(), PageConfig(), api=[Route("/api/fail", fail)])
    with running(dataset, tmp_path / "s", app=app) as page:
        page.open_session()
        answer = page.get("/api/fail")
        assert (answer.status, answer.headers["content-type"]) == (500, "application/json")
        assert "RuntimeError" in answer.json["error"]
        assert "secret" not in answer.json["error"]
        assert answer.headers["content-security-policy"] == POLICY
        assert page.get("/api/session").status == 200


@pytest.mark.parametrize(
    ("address", "port", "message"),
    [
        ("127.0.0.1", 70000, "--port 70000: must be 0 to 65535"),
        ("127.0.0.1", -1, "--port -1: must be 0 to 65535"),
        ("no.such.name.invalid", 0, "choose another --host"),
        ("203.0.113.7", 0, "choose another --host"),
    ],
)
def test_an_address_that_cannot_be_listened_at_is_named(address: str, port: int, message: str) -> None:
    with pytest.raises((OSError, ValueError), match=message):
        listen(address, port)


def test_what_no_store_can_hold_is_a_bad_request(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, 4)
    with ReviewDesk(dataset.uri, tmp_path / "desk") as desk:
        app = make_app(dataset, tmp_path / "s", FakePictures(), PageConfig(), api=desk_routes(desk))
        with running(dataset, tmp_path / "s", app=app) as page:
            page.open_session()
            media_id = page.get("/api/queue").json["items"][0]["media_id"]
            span = {"review_id": "ab" * 8, "media_id": media_id, "verdict": "span", "saw": "", "start_s": 0}
            bad: list[tuple[str, dict]] = [
                ("/api/next", {"filter": {name: "a \ud800"}})
                for name in ("stratum", "where", "search", "reviewer")
            ]
            bad += [
                ("/api/undo", {"target": "\ud800", "review_id": "ab" * 8}),
                ("/api/compare/next", {"version": "\ud800", "other_version": "b"}),
                ("/api/assign", {"reviewer": "bob", "count": 10**30}),
                ("/api/next", {"filter": {"seed": -(10**30)}}),
                ("/api/decisions", span | {"end_s": 10**400}),
                ("/api/decisions", span | {"end_s": 1, "note": {"\ud800": 1}}),
            ]
            for path, value in bad:
                answer = page.post(path, value)
                assert (answer.status, "error" in answer.json) == (400, True), (path, value)
            assert desk.figures().uncommitted == 0
