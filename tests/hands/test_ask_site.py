"""What the doctor hears when he asks the update site: one sentence for each kind of network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.hands.web import LOGIN_PAGE, Page, Web, serve
from updater.hands.channel import ask_site
from updater.heads.doctor import Site
from updater.heads.vendor import Vendor


def test_a_site_that_answers_also_says_what_time_it_is(vendor: Vendor, web: Web) -> None:
    answer, why, time = ask_site(vendor)

    assert (answer, why) == (Site.ANSWERS, "")
    assert time is not None
    assert abs(time - datetime.now(UTC)) < timedelta(minutes=1)
    assert [request.path for request in web.asked] == ["/metadata/timestamp.json"]


def test_a_login_page_is_told_from_a_site(vendor: Vendor, web: Web) -> None:
    web.everywhere = LOGIN_PAGE

    assert ask_site(vendor)[0] is Site.LOGIN_PAGE


def test_a_site_in_trouble_does_not_answer(vendor: Vendor, web: Web) -> None:
    web.everywhere = Page(b"", status=503)

    answer, why, time = ask_site(vendor)

    assert (answer, time) == (Site.NO_ANSWER, None)
    assert "HTTP 503" in why


def test_a_site_that_is_not_there_does_not_answer(vendor: Vendor) -> None:
    with serve() as gone:
        url = gone.url

    answer, why, _ = ask_site(msgspec.structs.replace(vendor, repository=url))

    assert answer is Site.NO_ANSWER
    assert "cannot be reached" in why


def test_a_proxy_that_leads_nowhere_is_named(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as gone:
        monkeypatch.setenv("https_proxy", gone.url)

    answer, why, _ = ask_site(msgspec.structs.replace(vendor, repository="https://updates.example.com/"))

    assert answer is Site.PROXY
    assert "proxy" in why
