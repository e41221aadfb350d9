// Passkeys: a button asks the browser for one, puts the answer into a field of its form, and sends the form.
(() => {
  "use strict";

  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const known = (list) => (list || []).map((credential) => ({ ...credential, id: bytes(credential.id) }));

  const ask = {
    get: (options) => navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) } }),
    create: (options) => navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: bytes(options.challenge),
        user: { ...options.user, id: bytes(options.user.id) },
        excludeCredentials: known(options.excludeCredentials),
        // A passkey is kept where it is made and asks for its owner: it can stand for the name and the password.
        authenticatorSelection: { ...options.authenticatorSelection, residentKey: "required", requireResidentKey: true, userVerification: "required" },
      },
    }),
  };

  const answer = (credential) => {
    const { response } = credential;
    const told = { clientDataJSON: text(response.clientDataJSON) };
    ["attestationObject", "authenticatorData", "signature", "userHandle"].forEach((name) => { if (response[name]) told[name] = text(response[name]); });
    return JSON.stringify({
      id: credential.id,
      rawId: text(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: told,
    });
  };

  const optionsOf = async (button) => {
    if (button.dataset.passkeyOptions) return JSON.parse(button.dataset.passkeyOptions);
    const response = await fetch(button.form.action, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error("This was tried too often. Wait a minute, then try again.");
    return (await response.json()).request_options;
  };

  const REASONS = {
    NotAllowedError: "No passkey was used: it was cancelled, or it took too long.",
    InvalidStateError: "This device already has a passkey for your account.",
    SecurityError: "Passkeys do not work at this address. Open the console by its host name.",
  };
  const tell = (button, message) => {
    let note = button.parentElement.querySelector("[data-passkey-note]");
    if (!note) {
      note = Object.assign(document.createElement("p"), { className: "field-errors" });
      note.dataset.passkeyNote = "";
      note.setAttribute("role", "alert");
      button.after(note);
    }
    note.textContent = message;
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-passkey]");
    if (!button || button.disabled) return;
    button.disabled = true;
    try {
      const options = await optionsOf(button);
      const credential = await ask[button.dataset.passkey](options.publicKey);
      button.form.elements[button.dataset.passkeyField].value = answer(credential);
      button.form.submit();
    } catch (error) {
      tell(button, REASONS[error.name] || error.message);
      button.disabled = false;
      button.focus();
    }
  });

  const show = (root) => {
    if (window.PublicKeyCredential) root.querySelectorAll("[data-passkey]").forEach((button) => { button.hidden = false; });
  };
  show(document);
  document.addEventListener("htmx:load", (event) => show(event.target));
})();
