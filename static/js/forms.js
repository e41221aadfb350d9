// Forms: unsaved changes, double submits, dialogs, messages, and the plain-words review of permissions.
(() => {
  "use strict";

  // Leaving a form with unsaved changes asks first, and only then.
  const state = (form) => new URLSearchParams([...new FormData(form)].filter(([name]) => name !== "csrfmiddlewaretoken")).toString();
  const initial = new Map();
  let leaving = false;
  document.querySelectorAll("[data-form]").forEach((form) => initial.set(form, state(form)));
  addEventListener("beforeunload", (event) => {
    const changed = [...initial].some(([form, before]) => form.isConnected && state(form) !== before);
    if (changed && !leaving) event.preventDefault();
  });
  addEventListener("pageshow", () => {
    leaving = false;
    document.querySelectorAll("[data-busy]").forEach((button) => button.removeAttribute("data-busy"));
  });

  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    const form = event.target;
    if (form.hasAttribute("data-once") || form.hasAttribute("data-form")) {
      if (form.querySelector("[data-busy]")) return event.preventDefault();
      const button = event.submitter || form.querySelector("button:not([type=button])");
      if (button && form.contains(button)) button.setAttribute("data-busy", "");
    }
    if (form.hasAttribute("data-form")) leaving = true;
  });

  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog) {
      event.preventDefault();
      dialog.showModal();
      dialog.addEventListener("close", () => opener.focus(), { once: true });
    }
    const closer = event.target.closest("[data-close]");
    if (closer && closer.closest("dialog")) {
      event.preventDefault();
      closer.closest("dialog").close();
    }
    const dismiss = event.target.closest("[data-dismiss]");
    if (dismiss) dismiss.closest(".message").remove();
    if (event.target instanceof HTMLDialogElement) event.target.close();
  });

  // A dialog that htmx brought opens by itself, and gives the focus back to where the step was asked for.
  document.addEventListener("htmx:afterSwap", (event) => {
    const dialog = event.target.querySelector("dialog[data-opened]:not([open])");
    if (!dialog) return;
    const asked = event.detail.requestConfig.elt;
    dialog.showModal();
    dialog.addEventListener("close", () => { dialog.remove(); asked.focus(); }, { once: true });
  });

  // Menus close on Esc, on a click elsewhere, and when focus leaves; arrows walk through them.
  const closeMenus = (except) => document.querySelectorAll("[data-menu][open]").forEach((menu) => { if (menu !== except) menu.open = false; });
  document.addEventListener("click", (event) => closeMenus(event.target.closest("[data-menu]")));
  document.addEventListener("focusin", (event) => closeMenus(event.target.closest("[data-menu]")));
  document.addEventListener("keydown", (event) => {
    const menu = document.activeElement && document.activeElement.closest("[data-menu][open]");
    if (!menu) return;
    if (event.key === "Escape") {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const items = [...menu.querySelectorAll("summary, a.menu-item, button")];
      const step = event.key === "ArrowDown" ? 1 : -1;
      items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
    }
  });

  const prepare = (root) => root.querySelectorAll("[data-dismiss]").forEach((button) => { button.hidden = false; });
  prepare(document);
  document.addEventListener("htmx:oobAfterSwap", () => prepare(document));

  const focusFirst = document.querySelector("[data-autofocus]");
  if (focusFirst) focusFirst.focus();

  // What the chosen permissions allow, and what they do not, in plain words.
  const review = document.querySelector("[data-review]");
  if (!review) return;
  const permissions = [...document.querySelectorAll("[data-permission]")];
  const chosen = (fieldset) => (fieldset.querySelector(":checked") || { value: "none" }).value;
  const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
  const named = (access) => permissions.filter((fieldset) => chosen(fieldset) === access).map((fieldset) => fieldset.dataset.permission.toLowerCase());
  const paragraph = (text) => Object.assign(document.createElement("p"), { textContent: text });
  const describe = () => {
    const [write, read, none] = ["write", "read", "none"].map(named);
    const lines = [];
    if (write.length) lines.push(`This key can read and change ${list(write)}.`);
    if (read.length) lines.push(`It can read ${list(read)}, and change nothing there.`);
    if (none.length && none.length < permissions.length) lines.push(`It cannot touch ${list(none)}.`);
    if (none.length === permissions.length) lines.push("This key can do nothing but say who it is. Choose what it needs.");
    review.replaceChildren(...lines.map(paragraph));
  };
  review.hidden = false;
  document.querySelector("[data-presets]").hidden = false;
  document.addEventListener("change", (event) => { if (event.target.closest("[data-permission]")) describe(); });
  document.addEventListener("click", (event) => {
    const preset = event.target.closest("[data-preset]");
    if (!preset) return;
    const grants = new Map(preset.dataset.preset.split(" ").filter(Boolean).map((grant) => grant.split(":")));
    permissions.forEach((fieldset) => {
      const radios = [...fieldset.querySelectorAll("input")];
      const wanted = grants.get(radios[0].name.replace("permission_", "")) || "none";
      (radios.find((radio) => radio.value === wanted) || radios[0]).checked = true;
    });
    describe();
  });
  describe();
})();
