"""Everywhere that a browser can keep something of a page, and what stands there."""

import json

from playwright.sync_api import Error, Page

# What a script of the page can reach. htmx would keep pages in the session's storage, scripts in databases and caches.
# A page that Chromium makes itself, for an answer that it has not kept, has no such places.
REACH = """async () => JSON.stringify({
    html: document.documentElement.outerHTML,
    values: [...document.querySelectorAll("input, textarea")].map((field) => field.value),
    history: history.state,
    name: window.name,
    address: location.href,
    title: document.title,
    ...(location.protocol === "http:" && {
        session: {...sessionStorage},
        local: {...localStorage},
        databases: await indexedDB.databases(),
        caches: await caches.keys(),
        workers: (await navigator.serviceWorker.getRegistrations()).length,
        cookies: document.cookie,
    }),
})"""


def traces(page: Page) -> str:
    """All of it as one text, with the cookies that no script can reach and the addresses that were asked for."""
    kept = page.context.storage_state(indexed_db=True)
    return reached(page) + json.dumps(kept) + "\n".join(page.context.witness.requested)


def reached(page: Page) -> str:
    """What a script reaches; where the page is just being left, on the one that comes."""
    while True:
        try:
            return page.evaluate(REACH)
        except Error as error:
            if "Execution context was destroyed" not in str(error):
                raise
            page.wait_for_load_state()


def is_nowhere(secret: str, page: Page) -> bool:
    """Whether no piece of a key, beyond what its mask shows, is left in this browser."""
    hidden = secret.removeprefix("sk_live_").removeprefix("sk_test_")
    pieces = [hidden[start : start + 8] for start in range(len(hidden) - 7)]
    found = traces(page)
    return not any(piece in found for piece in pieces)
