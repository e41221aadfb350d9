"""Watches everything that a browser profile does, and tells what should not have happened.

The content security policy, the scripts and the pages are judged in every test: a violation of the policy, a page
without it or with anything inline, an error in a script, a request to another host or a server error fails whichever
test brought it about.
"""

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

POLICY = {
    "base-uri 'none'",
    "default-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
}
# Chromium reports each answer from 400 on in the console; refusals (4xx) are part of what is tested.
REFUSED = "Failed to load resource: the server responded with a status of 4"
# Runs before the page's own scripts, which might set styles in ways that the policy allows. Pages that Chromium makes
# itself are no pages of the product.
FIND_INLINE = """addEventListener("DOMContentLoaded", () => {
    if (location.protocol === "chrome-error:") return;
    const isInline = ({name, value}) =>
        name === "style" || name.startsWith("on") || value.trim().toLowerCase().startsWith("javascript:");
    for (const element of document.querySelectorAll("*")) {
        const isCode = element.matches("style, script:not([src], [type='application/json'])");
        if (isCode || [...element.attributes].some(isInline)) {
            console.error(`Inline: ${element.outerHTML.slice(0, 120)}`);
        }
    }
});"""


class Witness:
    def __init__(self, url: str, context: BrowserContext) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self.requested: list[str] = []
        context.add_init_script(FIND_INLINE)
        context.on("console", self.hear)
        context.on("weberror", self.see_error)
        context.on("request", self.see_request)
        context.on("response", self.see_response)

    def expect(self, text: str) -> None:
        """A complaint that contains `text` is what the test is about."""
        self.expected.append(text)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(REFUSED):
            self.complain(f"console {message.type}: {message.text}")

    def see_error(self, error: WebError) -> None:
        self.complain(f"error in a script: {error.error}")

    def see_request(self, request: Request) -> None:
        self.requested.append(request.url)
        if not request.url.startswith(f"{self.url}/"):
            self.complain(f"request to another host: {request.url}")

    def see_response(self, response: Response) -> None:
        if response.status >= 500:
            self.complain(f"{response.status} of {response.url}")
        is_page = response.headers.get("content-type", "").startswith("text/html")
        policy = response.headers.get("content-security-policy", "")
        if is_page and set(policy.split("; ")) != POLICY:
            self.complain(f"policy of {response.url}: {policy or 'none'}")

    def complain(self, complaint: str) -> None:
        if not any(text in complaint for text in self.expected):
            self.complaints.append(complaint)
