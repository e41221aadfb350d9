// Single-key shortcuts. Ignored while typing; loaded only for people who have them on.
(() => {
  "use strict";

  let prefix = "";
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const current = () => document.activeElement && document.activeElement.closest("[data-row]");
  const click = (selector, root = document) => {
    const target = root && root.querySelector(selector);
    if (target) target.click();
    return Boolean(target);
  };

  const move = (step) => {
    const all = rows();
    if (!all.length) return false;
    const at = all.indexOf(current());
    const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[next].querySelector(".row-link").focus();
    all[next].scrollIntoView({ block: "nearest" });
    return true;
  };

  const actions = {
    "/": () => { const search = document.querySelector("[data-search]"); if (search) { search.focus(); search.select(); } return Boolean(search); },
    j: () => move(1),
    k: () => move(-1),
    c: () => click("[data-copy-key]", current()),
    n: () => click("[data-new]"),
    ".": () => { const menu = current() && current().querySelector("[data-menu]"); if (menu) { menu.open = true; menu.querySelector("a, button").focus(); } return Boolean(menu); },
    "g m": () => click("[data-shortcut='g m']"),
    "?": () => { document.getElementById("shortcuts-dialog").showModal(); return true; },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
    const name = prefix ? `${prefix} ${event.key}` : event.key;
    prefix = event.key === "g" ? "g" : "";
    const action = actions[name];
    if (action && action()) event.preventDefault();
  });
})();
