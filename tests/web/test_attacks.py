"""Requests that no page of ours sends: each is refused or inert, and the campaign stays as it was."""

import gzip
import io
import re
import socket
import zipfile

import pytest
from starlette.testclient import TestClient

from wrlso.exceptions import ParameterError
from wrlso.web import make_app, serve
from wrlso.web.safety import MAX_BODY

BASE = "http://127.0.0.1:8765"
TOKEN = "a-token-of-the-test"
SCRIPT = "<script>alert(1)</script>"
POSTS = [
    "/batch/ask", "/batch/reject", "/note", "/cancel", "/results/check", "/results/tell", "/update",
    "/model/retrain", "/name",
]  # fmt: skip


@pytest.fixture
def client(camp):
    with TestClient(make_app(camp), base_url=BASE) as client:
        yield client


def secret_of(client):
    return re.search(r'name="secret" value="([^"]+)"', client.get("/results").text)[1]


@pytest.fixture(autouse=True)
def unchanged(camp):
    before = (camp / "journal.sqlite").read_bytes()
    yield
    assert (camp / "journal.sqlite").read_bytes() == before


HOSTS = ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example",
         "localhost.evil.example", "192.168.0.7:8765", "[::ffff:8.8.8.8]", "a/b", "[broken"]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_another_host_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765"])
def test_own_hosts_are_served(client, host):
    assert client.get("/settings", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("address", POSTS)
def test_a_change_without_the_secret_of_the_form_is_refused(client, address):
    data = {"n": "1", "id": "0", "text": "x", "value": "1", "reason": "x", "pasted": "id,y\n0,1"}
    assert client.post(address, data=data).status_code == 400
    assert client.post(address, data=data | {"secret": "guessed"}).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ],
)  # fmt: skip
def test_a_change_from_another_origin_is_refused(client, headers):
    data = {"secret": secret_of(client), "id": "0", "text": "x"}
    assert client.post("/note", data=data, headers=headers).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(client, method):
    assert client.request(method, "/note").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd",
        "/download/..%2f..%2fsetup.cfg", "/download/journal.sqlite", "/drawing/-1.svg",
        "/drawing/999999999999.svg", "/drawing/a.svg", "/point/99999999", "/journal.sqlite",
    ],
)  # fmt: skip
def test_paths_lead_nowhere(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("query", ["page=-1", "page=9999999999999999", "page=x", "sort=__class__", "page=²"])
def test_queries_are_inert(client, query):
    assert client.get(f"/explore?{query}").status_code == 200


def test_text_of_a_query_is_escaped(client):
    text = client.get("/explore", params={"q": f'"{SCRIPT}', "status": SCRIPT, "sort": SCRIPT}).text
    assert SCRIPT not in text
    assert "&lt;script&gt;" in text


def test_long_bodies_are_refused(client):
    data = {"secret": secret_of(client), "pasted": "1" * (MAX_BODY + 1)}
    assert client.post("/results/check", data=data).status_code == 413
    chunks = (b"a" * 100_000 for _ in range(MAX_BODY // 100_000 + 2))  # no length beforehand
    assert client.post("/results/check", content=chunks).status_code == 413


def test_packed_bodies_are_refused(client):
    body = gzip.compress(b"0" * 10_000_000)
    answer = client.post("/results/check", content=body, headers={"content-encoding": "gzip"})
    assert answer.status_code == 415


def test_too_many_rows_are_refused(client):
    data = {"secret": secret_of(client), "pasted": "id,y\n" + "\n" * 20_001 + "1,2"}
    assert "rows" in client.post("/results/check", data=data).text


def test_a_zip_is_no_table(client):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.csv", "0" * 10_000_000)
    files = {"file": ("../../evil.csv", packed.getvalue())}
    answer = client.post("/results/check", data={"secret": secret_of(client)}, files=files)
    assert answer.status_code in (400, 422)
    assert "evil" not in answer.text


def test_two_files_are_refused(client):
    files = [("file", ("a.csv", b"id,y\n0,1")), ("file", ("b.csv", b"id,y\n0,1"))]
    assert client.post("/results/check", data={"secret": secret_of(client)}, files=files).status_code == 400


@pytest.mark.parametrize("n", ["0", "-1", "501", "1e9", "", "٣", SCRIPT])
def test_odd_numbers_of_points_are_refused(client, n):
    answer = client.post("/batch/ask", data={"secret": secret_of(client), "n": n})
    assert answer.status_code == 400
    assert SCRIPT not in answer.text


@pytest.mark.parametrize("point", ["", "-1", "1;rm", SCRIPT, "9" * 40])
def test_odd_ids_are_refused(client, point):
    data = {"secret": secret_of(client), "id": point, "text": "x"}
    answer = client.post("/note", data=data)
    assert answer.status_code == 400
    assert SCRIPT not in answer.text


def test_a_draft_is_named_by_us_alone(client):
    data = {"secret": secret_of(client), "draft": "../../../etc/passwd"}
    assert client.post("/results/tell", data=data).status_code == 400


@pytest.mark.parametrize("address", POSTS)
def test_read_only_refuses_every_change(camp, address):
    with TestClient(make_app(camp, read_only=True), base_url=BASE) as client:
        assert client.post(address, data={}).status_code == 403
        assert '<form method="post"' not in client.get("/batch").text


def test_other_machines_need_the_token(camp):
    with pytest.raises(ParameterError, match="token"):
        make_app(camp, host="0.0.0.0")
    app = make_app(camp, host="0.0.0.0", token=TOKEN)
    with TestClient(app, base_url="http://10.0.0.5:8765") as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/?token=").status_code == 401
        assert client.get("/", headers={"cookie": "wrlso_token=wrong"}).status_code == 401
        assert client.get("/", headers={"host": "evil.example"}).status_code == 421
        assert client.get("/static/page.css").status_code == 401
        entered = client.get(f"/?token={TOKEN}", follow_redirects=False)
        assert entered.status_code == 303
        assert entered.headers["location"] == "/"
        assert {"HttpOnly", "SameSite=Strict"} <= set(entered.headers["set-cookie"].split("; "))
        assert client.get("/settings").status_code == 200


PAGES = ["/", "/batch", "/results", "/explore", "/model", "/history", "/settings", "/point/0", "/map"]


@pytest.mark.parametrize("page", PAGES)
def test_pages_run_nothing_inline_and_fetch_nothing_elsewhere(client, page):
    answer = client.get(page)
    policy = answer.headers["content-security-policy"]
    # "no-referrer" would make browsers send our own forms with the origin "null", which is refused
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<script(?![^>]*src=\"/static/)|\son\w+=|style=|javascript:", answer.text)
    assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", answer.text)


def test_an_address_in_use_is_an_error(camp):
    taken = socket.create_server(("127.0.0.1", 0))
    with taken, pytest.raises(ParameterError, match=r"port \d+: .*another --port"):
        serve(camp, port=taken.getsockname()[1], browser=False)
    with pytest.raises(ParameterError, match="cannot be served on no such host"):
        serve(camp, host="no such host", browser=False)
