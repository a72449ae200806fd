// The waiting page follows the start as the hub tells of it: hub/templates/spawn_pending.html. That page works
// without this script as well; it then loads itself anew every two seconds.
"use strict";

(() => {
  const part = (id) => document.getElementById(id);
  const page = part("waiting");
  const began = performance.now() - 1000 * Number(page.dataset.waited);
  const source = new EventSource(page.dataset.progress);
  let stopping = false;

  function tick() {
    const seconds = Math.floor((performance.now() - began) / 1000);
    part("elapsed").textContent =
      seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  const clock = setInterval(tick, 1000);
  tick();

  function show(percent, sentence) {
    part("progress").setAttribute("aria-valuenow", percent);
    part("bar").style.width = `${percent}%`;
    const now = part("stage");
    if (!sentence || sentence === now.textContent) return;
    const before = document.createElement("li");
    before.textContent = now.textContent;
    part("stages").append(before);
    part("before").hidden = false;
    now.textContent = sentence;
  }

  function fail(event) {
    clearInterval(clock);
    const words = "Your session could not start";
    part("heading").textContent = words;
    document.title = words;
    part("going").hidden = true;
    part("end")?.remove();
    part("again").hidden = false;
    part("failure").hidden = false;
    if (event.html_message) part("failure").innerHTML = event.html_message; // escaped by the hub
    else part("failure").textContent = event.message.replace(/^Spawn failed: /, "");
    const without = part("without"); // what in the home may be the cause: hub/benchtop_hub/sessions/failure.py
    if (without && part("failure").querySelector("[data-without-settings]")) without.hidden = false;
  }

  // The page as the hub has it now: the session, what became of the start, or this page again. While the
  // hub is away, there is no page to go to.
  async function reload() {
    source.close();
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (answer.status < 502) location.reload(); // 0: it leads elsewhere
      else throw new Error(answer.statusText);
    } catch {
      if (stopping) return;
      part("stage").textContent = "The hub is not answering; still trying.";
      setTimeout(reload, 2000);
    }
  }

  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    if (event.ready) {
      show(100, "The session is ready.");
      reload();
    } else if (event.failed && event.message === "Spawn cancelled") {
      if (!stopping) reload(); // stopped elsewhere
    } else if (event.failed) {
      source.close();
      fail(event);
    } else if (event.progress) {
      show(event.progress, event.message); // 0 is JupyterHub's own "Server requested", at each connection
    }
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !stopping) reload(); // else the browser connects again
  };

  part("end")?.addEventListener("submit", () => {
    stopping = true;
    part("stop").textContent = "Cancelling…";
    setTimeout(() => (part("stop").disabled = true)); // a disabled button would not be sent
  });
})();
