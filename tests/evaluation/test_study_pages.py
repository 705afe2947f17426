"""The pages of a study: what a voter sees, which votes count, and which requests are rejected."""

import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from ppcartoon.evaluation.user_study.material import read
from ppcartoon.evaluation.user_study.pages import create_app
from ppcartoon.evaluation.user_study.votes import Votes, load
from tests.helpers.studies import COLORS, STYLES, choices, images, method_shown, write_study


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path / "study")


@pytest.fixture
def votes(study):
    votes = Votes(study / "votes.sqlite", read(study)[0])
    yield votes
    votes.close()


@pytest.fixture
def app(study, votes):
    return create_app(read(study)[0], votes, 4, ["localhost", "127.0.0.1", "[::1]"])


@pytest.fixture
def voter(app):
    return new_voter(app)


def visitor(app):
    """A browser that has not been here before."""
    return TestClient(app, "http://localhost", follow_redirects=False)


def new_voter(app):
    """The browser of a new voter, at the first set."""
    client = visitor(app)
    assert client.post("/start").headers["Location"] == "/?started"
    return client


def media_type(answer):
    return answer.headers["Content-Type"].partition(";")[0]


def page(client):
    return client.get("/").text


def vote(client, token):
    return client.post("/vote", data={"choice": token})


def test_voter_goes_from_the_start_page_through_all_sets_to_the_thanks_page(app, study):
    client = visitor(app)
    assert 'action="/start"' in page(client) and "4 times" in page(client)
    client.post("/start")
    for number in range(1, 5):
        text = page(client)
        assert re.search(rf"\b{number} of 4\b", text) and len(choices(text)) == 3
        (token,) = (t for t in choices(text) if method_shown(client.get(f"/image/{t}").content) == "CartoonGAN")
        answer = vote(client, token)
        assert answer.status_code == 303 and answer.headers["Location"] == "/"
    assert "Thank you" in page(client)
    client.post("/start")  # does not start again as another voter
    assert "Thank you" in page(client)
    assert [v.method for v in load(study / "votes.sqlite")[1]] == ["CartoonGAN"] * 4


def test_reload_keeps_the_order_of_images_and_other_voters_see_other_orders(app, voter):
    assert page(voter) == page(voter)
    orders, tokens = Counter(), set()
    for _ in range(40):
        client = new_voter(app)
        shown = choices(page(client))
        orders[tuple(method_shown(client.get(f"/image/{token}").content) for token in shown)] += 1
        tokens |= set(shown)
    assert len(orders) == 6 and max(orders.values()) < 20 and len(tokens) == 120


@pytest.fixture
def tiff_outputs(study):
    """Stores the outputs of one method in another format, with metadata."""
    for path in study.rglob("CycleGAN/*.png"):
        Image.open(path).save(path.with_suffix(".tiff"), description="CycleGAN")
        path.unlink()


def test_page_and_responses_do_not_reveal_the_method_of_an_image(tiff_outputs, voter, study):
    text = page(voter)
    answers = [voter.get(address) for address in images(text)]
    everything = text + "".join(str(answer.headers) for answer in answers)
    assert len(answers) == 4
    assert not [name for name in (*COLORS, *STYLES, "photos/", str(study)) if name in everything]
    assert len({tuple((k, v) for k, v in a.headers.items() if k != "content-length") for a in answers}) == 1
    for answer in answers:
        image = Image.open(io.BytesIO(answer.content))
        assert image.format == "PNG" and image.size == (36, 24) and not image.info


def test_repeated_votes_on_a_set_count_once(voter, votes):
    first, *others = choices(page(voter))
    assert {vote(voter, token).status_code for token in (first, first, *others, first)} == {303}
    assert votes.count() == 1 and "2 of 4" in page(voter)


@pytest.mark.parametrize("kind", ["another voter's", "the photo's", "made up", "none", "a file's"])
def test_token_that_the_voter_was_not_shown_is_rejected(app, voter, votes, study, kind):
    text = page(voter)
    token = {
        "another voter's": choices(page(new_voter(app)))[0],
        "the photo's": images(text)[0].rpartition("/")[2],
        "made up": "0" * 32,
        "none": "",
        "a file's": "shinkai/CycleGAN/0.png",
    }[kind]
    answer = vote(voter, token)
    assert answer.status_code == 400 and "not shown this image" in answer.text and votes.count() == 0
    assert vote(visitor(app), choices(text)[0]).status_code == 400  # without the cookie
    assert voter.post("/vote").status_code == 400 and votes.count() == 0


def test_cookie_and_security_headers(voter, app):
    cookie = visitor(app).post("/start").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=" in cookie
    text = voter.get("/")
    assert text.headers["Cache-Control"] == "no-store"
    policy = dict(part.strip().split(" ", 1) for part in text.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert {policy[kind] for kind in ("img-src", "style-src", "script-src", "form-action")} == {"'self'"}
    assert not re.search(r"<script>|style=|\son\w+=|https?:", text.text)  # forbidden by the policy
    image = voter.get(images(text.text)[0])
    assert "private" in image.headers["Cache-Control"] and "no-store" not in image.headers["Cache-Control"]
    assert "Set-Cookie" not in image.headers
    for name, kind in (("study.css", "text/css"), ("study.js", "text/javascript")):
        assert f'"/{name}"' in text.text and media_type(voter.get(f"/{name}")) == kind


def test_voter_whose_browser_rejects_the_cookie_is_told(app):
    client = visitor(app)
    assert "allow cookies" not in page(client)
    address = client.post("/start").headers["Location"]
    client.cookies.clear()
    assert "allow cookies" in client.get(address).text


def test_forged_cookie_leads_to_the_start_page(app, voter, votes):
    photo = images(page(voter))[0].rpartition("/")[2]
    assert "Set-Cookie" not in voter.post("/start").headers
    ((name, value),) = voter.cookies.items()
    number, _, signature = value.partition(".")
    of_a_token = f"{number}/{votes.current_set(number, 4).id}/.{photo}"
    for forged in (number, f"{number}.", f"{number}.{signature[:-3]}AAA", f"{number}0.{signature}", of_a_token):
        stranger = visitor(app)
        stranger.cookies.set(name, forged)
        assert 'action="/start"' in page(stranger)
    stranger.cookies.set(name, value)
    assert "1 of 4" in page(stranger)


@pytest.mark.parametrize(
    "host, code", [("evil.example", 400), ("localhost:8000", 200), ("127.0.0.1:81", 200), ("[::1]:8", 200)]
)
def test_other_host_names_are_rejected_on_loopback(app, host, code):
    answer = visitor(app).get("/", headers={"Host": host})
    assert answer.status_code == code and ("Start" in answer.text) == (code == 200)


def test_any_host_name_is_accepted_without_a_list_of_hosts(study, votes):
    client = visitor(create_app(read(study)[0], votes, 4))
    assert client.get("/", headers={"Host": "study.example"}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/votes.sqlite", "/image/votes.sqlite", "/image/../votes.sqlite", "/image/..%2fvotes.sqlite", "/image/%00",
        "/image/%2e%2e/%2e%2e/votes.sqlite", "/static/study.css", "/../templates/base.html", "/image//etc/passwd",
        "/photos/0.png", "/shinkai/CycleGAN/0.png", "/study.css/../pages.py", "/..%5cvotes.sqlite", "/image/",
    ],
)  # fmt: skip
def test_no_path_opens_a_file(voter, path):
    page(voter)
    answer = voter.get(path)
    assert answer.status_code == 404 and media_type(answer) == "text/html" and b"SQLite" not in answer.content


def test_too_large_request_is_rejected(voter, votes):
    assert vote(voter, "x" * 20_000).status_code == 413
    assert voter.post("/vote", files={"choice": b"x" * 20_000}).status_code == 413
    assert votes.count() == 0


def test_vote_that_cannot_be_saved_is_reported_to_the_voter_and_logged(voter, votes, caplog):
    token = choices(page(voter))[0]
    votes.close()
    answer = vote(voter, token)
    assert answer.status_code == 503 and "not saved" in answer.text
    assert [record.getMessage() for record in caplog.records] == ["/vote: Cannot operate on a closed database."]


def test_unexpected_error_gives_a_page(app, voter, monkeypatch):
    monkeypatch.setattr(Votes, "count", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # for the server, which logs it
        page(voter)
    answer = TestClient(app, "http://localhost", raise_server_exceptions=False, cookies=voter.cookies).get("/")
    assert answer.status_code == 500 and "Something went wrong" in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_images_keep_their_pixels_and_transparency(study, voter):
    rgba = np.random.default_rng(0).integers(0, 256, (24, 36, 4), np.uint8)
    rgba[..., 3] |= 1  # colors under fully transparent pixels are not kept
    for path in [*study.glob("*/*/*.png"), *study.glob("photos/*.png")]:
        Image.fromarray(rgba).save(path)
    for address in images(page(voter)):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(voter.get(address).content))), rgba)


def test_large_images_are_all_reduced_to_the_same_size(tmp_path):
    study = write_study(tmp_path, 1, ("shinkai",), ("CycleGAN", "AnimeGAN"), height=20, width=2000)
    votes = Votes(study / "votes.sqlite", read(study)[0])
    client = new_voter(create_app(read(study)[0], votes, 20))
    text = page(client)
    assert "1 of 1" in text
    assert {Image.open(io.BytesIO(client.get(a).content)).size for a in images(text)} == {(1600, 16)}
    votes.close()
