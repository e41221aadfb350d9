// Grids: an API key pasted into a search is cut down to its mask before it can reach an address or a log.
(() => {
  "use strict";

  const KEY = /\b(sk_(?:live|test)_[0-9A-Za-z]{4})[0-9A-Za-z]{4,}([0-9A-Za-z]{4})\b/g;
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-search]")) return;
    const masked = event.target.value.replace(KEY, "$1••••••$2");
    if (masked !== event.target.value) event.target.value = masked;
  }, { capture: true });

  // The address says only what is set, and keeps the order that was chosen since the form was drawn.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.target.matches("[data-filters]")) return;
    const parameters = event.detail.parameters;
    parameters.sort = new URLSearchParams(location.search).get("sort") || "";
    Object.keys(parameters).forEach((name) => { if (parameters[name] === "") delete parameters[name]; });
  });

  // A grid that could not be loaded says so where the eye is, and offers to try again.
  const failed = (event) => {
    const path = event.detail.pathInfo.finalRequestPath;
    const messages = document.getElementById("messages");
    // What asks each second fails each second, and is told of once.
    if (event.detail.elt.id === "proof" && messages.querySelector("[data-unanswered=proof]")) return;
    const message = Object.assign(document.createElement("div"), { className: "message message-error" });
    const text = Object.assign(document.createElement("p"), { textContent: "The console did not answer. What you see may be out of date." });
    const retry = Object.assign(document.createElement("button"), { type: "button", className: "button button-small", textContent: "Retry" });
    retry.addEventListener("click", () => {
      message.remove();
      if (event.detail.requestConfig.verb === "get" && document.getElementById("grid")) htmx.ajax("GET", path, { target: "#grid", swap: "outerHTML" });
      else location.reload();
    });
    message.dataset.unanswered = event.detail.elt.id;
    message.append(text, retry);
    messages.replaceChildren(message);
  };
  document.addEventListener("htmx:afterOnLoad", (event) => {
    const message = document.querySelector("[data-unanswered=proof]");
    if (message && event.detail.requestConfig.elt.id === "proof") message.remove();
  });
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);

  // After a page turn, a sort or a filter that was taken away the form shows what the address says. After a request of
  // its own it does already, or is ahead of it: what was chosen in the meantime must not be taken back.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== "grid" || event.detail.requestConfig?.elt.matches("[data-filters]")) return;
    const filters = document.querySelector("[data-filters]");
    const query = new URLSearchParams(location.search);
    [...filters.elements].forEach((field) => {
      if (field.name && field !== document.activeElement && field.type !== "hidden") field.value = query.get(field.name) || "";
    });
  });

  // A row that was changed from its menu keeps the focus.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.matches(".row-changed")) event.target.querySelector("summary").focus();
  });
})();
