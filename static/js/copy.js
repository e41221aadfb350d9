// Copying: the key is fetched by a POST at the moment of the click and goes to the clipboard, never into the page.
(() => {
  "use strict";

  const announce = (text) => {
    const announcer = document.getElementById("announcer");
    announcer.textContent = "";
    requestAnimationFrame(() => { announcer.textContent = text; });
  };

  const confirmOn = (button) => {
    const label = button.querySelector("span");
    button.classList.add("copied");
    if (label) label.textContent = "Copied";
    announce("Copied");
    setTimeout(() => {
      button.classList.remove("copied");
      if (label) label.textContent = "Copy";
    }, 2000);
  };

  const showForCopying = (button, text) => {
    const dialog = document.getElementById("copy-dialog");
    const input = dialog.querySelector("[data-copy-text]");
    input.value = text;
    dialog.addEventListener("close", () => { input.value = ""; button.focus(); }, { once: true });
    dialog.showModal();
    input.select();
  };

  const fetchKey = async (button) => {
    const body = new FormData(button.form);
    body.append("page", location.pathname + location.search);
    const response = await fetch(button.formAction, { method: "POST", body, headers: { Accept: "application/json" } });
    const isJson = (response.headers.get("Content-Type") || "").startsWith("application/json");
    const answer = isJson ? await response.json() : {};
    if (answer.sign_in) location.assign(answer.sign_in);
    if (response.redirected) location.reload();
    if (!answer.key) throw new Error(answer.error || "The key could not be copied. Reload the page and try again.");
    return answer.key;
  };

  const copyKey = async (button) => {
    if (button.disabled) return;
    button.disabled = true;
    const key = fetchKey(button);
    try {
      // Safari lets a page write to the clipboard only within the click: it is given a promise of the text.
      if (window.ClipboardItem && navigator.clipboard && navigator.clipboard.write) {
        const blob = key.then((text) => new Blob([text], { type: "text/plain" }));
        await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
      } else {
        await navigator.clipboard.writeText(await key);
      }
      confirmOn(button);
    } catch {
      try {
        showForCopying(button, await key);
      } catch (error) {
        announce(error.message);
        button.setAttribute("data-tip", error.message);
        button.classList.add("tip");
      }
    } finally {
      button.disabled = false;
      button.focus();
    }
  };

  const copyText = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
      confirmOn(button);
    } catch {
      showForCopying(button, text);
    }
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy-key]");
    if (button) {
      event.preventDefault();
      copyKey(button);
    }
    const plain = event.target.closest("[data-copy-plain]");
    if (plain) copyText(plain, plain.dataset.copyPlain);
    const field = event.target.closest("[data-copy-field]");
    if (field) copyText(field, field.parentElement.querySelector("input").value);
    const selectable = event.target.closest("[data-select]");
    if (selectable) selectable.select();
  });

  const reveal = (root) => root.querySelectorAll("[data-copy-plain], [data-copy-field]").forEach((button) => { button.hidden = false; });
  reveal(document);
  document.addEventListener("htmx:load", (event) => reveal(event.target));
})();
