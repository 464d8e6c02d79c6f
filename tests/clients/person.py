"""The person with a browser, without the browser: the same as person.mjs, for the Python programs.

    python person.py AUTHORIZE_URL --user U --password P [--deny] [--visit]

Prints {location, sign_ins}; see person.mjs. It needs nothing but the standard library.
"""

import http.client
import json
import sys
from argparse import ArgumentParser
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

STEPS_AT_MOST = 10
TIMEOUT_SECONDS = 15


class NowhereError(Exception):
    """A page was shown that leads neither to sign-in nor to consent."""


@dataclass
class Form:
    """A form of the page: where it goes, and its hidden fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    asks_for_password: bool = False


class Page(HTMLParser):
    """The forms, the links by id and the plain text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text: list[str] = []
        self._open: Form | None = None
        self._unseen = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(named.get("action", ""))
            self.forms.append(self._open)
        elif tag == "input" and self._open is not None:
            if named.get("name") == "password":
                self._open.asks_for_password = True
            if named.get("type") == "hidden":
                self._open.fields[named.get("name", "")] = named.get("value", "")
        elif tag == "a" and "id" in named and "href" in named:
            self.links[named["id"]] = named["href"]
        elif tag in ("style", "script"):
            self._unseen += 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag in ("style", "script"):
            self._unseen -= 1

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.text.append(data)

    def plain_text(self) -> str:
        return " ".join(" ".join(self.text).split())[:300]


@dataclass
class Answer:
    """One answer, its redirect not followed."""

    status: int
    location: str | None
    text: str


class Person:
    """Signs in and decides; keeps cookies from one authorization to the next."""

    def __init__(self, username: str, password: str) -> None:
        self.username = username
        self.password = password
        self.sign_ins = 0
        self._cookies: dict[str, str] = {}

    def request(self, url: str, form: dict[str, str] | None = None) -> Answer:
        """GETs `url`, or POSTs `form` to it."""
        target = urlsplit(url)
        connect = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = connect(target.netloc, timeout=TIMEOUT_SECONDS)
        headers = {"Accept": "text/html,application/xhtml+xml", "User-Agent": "Mozilla/5.0 (person)"}
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"{target.scheme}://{target.netloc}"
        try:
            path = (target.path or "/") + (f"?{target.query}" if target.query else "")
            connection.request("GET" if form is None else "POST", path, body, headers)
            response = connection.getresponse()
            for cookie in response.headers.get_all("Set-Cookie") or []:
                self._keep(cookie)
            text = response.read().decode("utf-8", "replace")
            return Answer(response.status, response.headers.get("Location"), text)
        finally:
            connection.close()

    def _keep(self, cookie: str) -> None:
        pair, *rest = cookie.split(";")
        name, _, value = pair.strip().partition("=")
        if any(part.strip().lower().replace(" ", "") == "max-age=0" for part in rest):
            self._cookies.pop(name, None)
        else:
            self._cookies[name] = value

    def authorize(self, authorize_url: str, decision: str = "approve") -> str:
        """Goes from the authorization URL to the client's callback, and returns that URL without visiting it."""
        origin = urlsplit(authorize_url)[:2]
        url = authorize_url
        step = self.request(url)
        tried = False
        for _ in range(STEPS_AT_MOST):
            if 300 <= step.status < 400 and step.location:
                url = urljoin(url, step.location)
                # Only the authorization server's own pages are walked: anything else is the callback.
                if urlsplit(url)[:2] != origin:
                    return url
                step = self.request(url)
                continue
            page = Page(step.text)
            form = next((form for form in page.forms if form.asks_for_password), None)
            if step.status == 200 and decision in page.links:
                url = urljoin(url, page.links[decision])
                step = self.request(url)
            elif form is not None and not tried:
                tried = True
                self.sign_ins += 1
                url = urljoin(url, form.action)
                step = self.request(url, {**form.fields, "username": self.username, "password": self.password})
            else:
                path = urlsplit(url).path
                raise NowhereError(f"{path} answered {step.status} and led nowhere: {page.plain_text()}")
        raise NowhereError("the authorization never came to an end")


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--deny", action="store_true")
    parser.add_argument("--visit", action="store_true")
    options = parser.parse_args()
    person = Person(options.user, options.password)
    try:
        location = person.authorize(options.url, "deny" if options.deny else "approve")
        output: dict[str, object] = {"location": location, "sign_ins": person.sign_ins}
        if options.visit:
            output["callback_status"] = person.request(location).status
    except (NowhereError, OSError) as error:
        print(json.dumps({"error": str(error)}))
        sys.exit(1)
    print(json.dumps(output))


if __name__ == "__main__":
    main()
