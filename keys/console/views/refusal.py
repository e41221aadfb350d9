"""The proof that a key or an account is refused: on its page, and as the part that asks anew until it is settled."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

from keys.proof import Proof

# What the part says of itself when it asks again while somebody has not answered.
WAITING = "waiting"


def part(request: HttpRequest, told: Proof | None) -> HttpResponse:
    """The part alone. Who waited for the answers is told of them; before and after, nothing is said aloud."""
    announced = told is not None and told.is_settled and WAITING in request.GET
    return varied(render(request, "keys/_proof.html", {"proof": told, "announced": announced}))


def varied(response: HttpResponse) -> HttpResponse:
    """One address has the page and the part: whoever keeps them has to tell them apart."""
    patch_vary_headers(response, ["HX-Request"])
    return response
