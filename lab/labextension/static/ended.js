/* Says why the session is gone, in place of "Server unavailable or unreachable", and leads to the next one.
 *
 * The hub knows why (hub/benchtop_hub/pages/ending.py), and is asked with the person's own login. JupyterLab's
 * own plugin for this is turned off in lab/config/jupyter/labconfig/page_config.json.
 */
import { ask, own, SECOND, wait } from "./server.js";

const EVERY = 2 * SECOND;
const PATIENCE = 20; // questions to a hub that takes the session for running: it looks every five seconds
const UNHEARD = 3; // … and to one that does not answer

/** What the hub says of this session. */
export const ending = (urls) => {
  const name = urls.hubServerName ? `/${encodeURIComponent(urls.hubServerName)}` : "";
  return ask(`${urls.hubPrefix}ending${name}`);
};

/** Go there: in this tab, unless something here is not saved, which the next session can still do. */
export const go = (app, address) => {
  if (app.status.isDirty) window.open(address, "_blank");
  else window.location.assign(address);
};

/** What the hub says once the session is no longer running; undefined where it says nothing, null where all is well. */
const whatBecameOfIt = async (app, urls) => {
  let told;
  for (let asked = 0, unheard = 0; asked < PATIENCE && unheard < UNHEARD; asked += 1) {
    told = await ending(urls);
    if (told && told.state !== "running") return told;
    unheard = told ? 0 : unheard + 1;
    if (await ask(own(app, "status"))) return null;
    await wait(EVERY);
  }
  return told;
};

/** Title, text and buttons. */
const words = (told, urls, buttons) => {
  const kept = "Your files are kept, variables are lost. What you had not saved is still on this page.";
  if (told?.state === "stopped") {
    const reason = told.reason || "Your session was stopped, or shut down from JupyterLab.";
    const next = told.more ? buttons.ok("Start again with more memory", told.more) : buttons.ok("Start again", told.start);
    return ["Your session has ended", `${reason} ${kept}`, [next]];
  }
  if (told?.state === "starting" || told?.state === "stopping") {
    const doing = told.state === "starting" ? "starting again" : "being stopped";
    return ["Your session is not there", `Your session is ${doing}. ${kept}`, [buttons.ok("Show my sessions", `${urls.hubPrefix}home`)]];
  }
  const unknown = "The session does not answer, and the reason is not known yet. JupyterLab keeps trying.";
  return ["Server unavailable or unreachable", unknown, [buttons.ok("Show my sessions", `${urls.hubPrefix}home`)]];
};

export default async ({ load }) => {
  const [{ Dialog, showDialog }, { ConnectionLost, IConnectionLost, JupyterFrontEnd }] = await Promise.all([
    load("@jupyterlab/apputils"),
    load("@jupyterlab/application"),
  ]);

  const activate = (app, paths) => {
    const { urls } = paths;
    if (!urls.hubPrefix) return ConnectionLost;
    let looking = false;
    const lost = async () => {
      if (looking) return;
      looking = true;
      try {
        const told = await whatBecameOfIt(app, urls);
        if (told === null) return;
        const leads = new Map();
        const ok = (label, address) => {
          leads.set(label, address);
          return Dialog.okButton({ label });
        };
        const [title, body, buttons] = words(told, urls, { ok });
        // another dialogue would keep this one waiting, and asks for something that is gone
        if (told?.state === "stopped") Dialog.flush();
        const stay = Dialog.cancelButton({ label: "Stay on this page" });
        const { button } = await showDialog({ title, body, buttons: [stay, ...buttons] });
        if (button.accept) go(app, leads.get(button.label));
        else await wait(60 * SECOND); // who stays is not asked again at once
      } finally {
        looking = false;
      }
    };
    window.addEventListener("benchtop:silent", lost); // status.js: sooner than JupyterLab's own polls
    return lost;
  };
  return {
    id: "benchtop:ended",
    autoStart: true,
    requires: [JupyterFrontEnd.IPaths],
    provides: IConnectionLost,
    activate,
  };
};
