// A token that is revoked is gone, and with it whatever program used it: so that is asked before. (JupyterHub's own
// script revokes it; hub/templates/token.html.)
"use strict";

document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest?.(".revoke-token-btn");
    if (!button) return;
    const sentence = `${button.getAttribute("aria-label")}? What uses it stops working at once.`;
    if (!window.confirm(sentence)) event.stopImmediatePropagation();
  },
  { capture: true },
);
