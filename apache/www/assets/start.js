// The Start page shows the sessions of its reader, on each cluster: asked of the hub that has this person, whichever
// that is (hub/benchtop_hub/pages/mine.py). A hub that is away delays no other, and the page works without.
"use strict";

(() => {
  const PATIENCE = 10000; // ms for an answer
  const SOON = 2000; // ms until a session that starts or stops is looked at again

  function made(kind, text, properties = {}) {
    const element = Object.assign(document.createElement(kind), properties);
    element.textContent = text;
    return element;
  }

  async function ask(address, options = {}) {
    const answer = await fetch(address, {
      ...options,
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE),
    });
    if (answer.type === "opaqueredirect") location.reload(); // the login has ended
    if (!answer.ok && answer.status !== 404) throw new Error(answer.statusText);
    return answer.json();
  }

  for (const card of document.querySelectorAll("[data-cluster]")) {
    const place = card.querySelector(".mine");
    const hub = `/jupyterhub/${card.dataset.cluster}/hub`;
    const told = []; // why sessions ended: the hub says it once, so this page keeps it
    let timer;

    async function stop(session, sign, button) {
      button.disabled = true;
      button.textContent = "Stopping…";
      const body = new URLSearchParams({ sign, server: session.name });
      try {
        const answer = await ask(`${hub}/mine`, { method: "POST", body });
        if (answer.message) told.push(answer.message);
      } catch {
        told.push(`${session.title} could not be stopped. Try again.`);
      }
      look();
    }

    function row(session, sign) {
      const item = made("li", "");
      const words = made("div", "");
      const where = session.node ? ` on ${session.node}` : "";
      const used = session.ready && session.used ? `, last used ${session.used}` : "";
      const state = session.state.charAt(0).toUpperCase() + session.state.slice(1);
      words.append(made("strong", session.title), made("span", `${state}${where}${used}`));
      const actions = made("div", "", { className: "actions" });
      const label = `${session.title} on ${card.querySelector("h2").textContent}`;
      if (session.state !== "stopping") {
        const open = made("a", session.ready ? "Open" : "Show progress", { className: "button" });
        open.href = session.ready ? session.address : session.progress;
        open.setAttribute("aria-label", `${open.textContent} ${label}`);
        const end = made("button", session.ready ? "Stop" : "Cancel start", { className: "button plain", type: "button" });
        end.setAttribute("aria-label", `${end.textContent} ${label}`);
        end.addEventListener("click", () => stop(session, sign, end));
        actions.append(open, end);
      }
      item.append(words, actions);
      return item;
    }

    function show({ sessions, ended, sign }) {
      told.push(...ended);
      const parts = told.map((sentence) => made("p", sentence, { className: "told" }));
      if (sessions.length) {
        const list = made("ul", "", { className: "sessions" });
        list.append(...sessions.map((session) => row(session, sign)));
        parts.push(list);
      }
      const focused = place.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
      place.replaceChildren(...parts);
      if (focused) place.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
      card.classList.toggle("used", sessions.length > 0);
      if (sessions.some((session) => !session.ready)) timer = setTimeout(look, SOON);
    }

    async function look() {
      clearTimeout(timer);
      try {
        show(await ask(`${hub}/mine`));
      } catch {
        const sentence = "The hub does not answer at the moment. Sessions there keep running.";
        place.replaceChildren(made("p", sentence, { className: "told away" }));
        timer = setTimeout(look, PATIENCE);
      }
    }

    async function showFree() {
      try {
        card.querySelector(".free").textContent = (await ask(`${hub}/mine/free`)).free;
      } catch {
        // a wish, not a need
      }
    }

    look();
    showFree();
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") look();
    });
  }
})();
