/* Says when the session is about to end, and what the facility announces.
 *
 * Needs no module of JupyterLab, only commands, which every JupyterLab 4 has. When the session ends, and what
 * counts as use, is the server's to say: lab/benchtop_lab/session/extension.py.
 */
import { ask, MINUTE, own, SECOND } from "./server.js";

const KEEP = "benchtop:keep-running";

/** "at 14:35 (in 5 minutes)" */
const inWords = (moment, now) => {
  const clock = new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const minutes = Math.max(1, Math.round((moment - now) / MINUTE));
  return `at ${clock} (in ${minutes} minute${minutes === 1 ? "" : "s"})`;
};

/** A place for one notice: another one replaces it, none takes it away. The same again changes nothing. */
const place = (commands) => {
  let shown, id;
  return async (key, message, actions = []) => {
    if (key === shown) return;
    shown = key;
    if (id) await commands.execute("apputils:dismiss-notification", { id });
    id = key && (await commands.execute("apputils:notify", {
      message, type: "warning", options: { autoClose: false, actions },
    }));
  };
};

const activate = async (app) => {
  const notices = own(app, "notices");
  const [end, idle, news] = [place(app.commands), place(app.commands), place(app.commands)];
  let used = false; // has somebody touched this page since the server was told?
  let idleShown = false;
  let ahead; // the browser's clock before the server's, in ms: measured once, then both go on alike
  let timer;

  const tell = async ({ now, ends, warnings, idle_until: until, idle_warning: warning }) => {
    ahead ??= Date.now() - now * SECOND;
    const here = Date.now();
    const due = (moment, before) => moment && here >= moment * SECOND + ahead - before * SECOND;
    const latest = warnings.filter((before) => due(ends, before)).pop();
    await end(
      latest && `${ends} ${latest}`,
      `This session ends ${inWords(ends * SECOND + ahead, here)}, when its time limit is reached. ` +
        "Save now: files are kept, variables are lost.",
    );
    idleShown = due(until, warning);
    await idle(
      idleShown && `${until}`,
      `This session is idle and will be stopped ${inWords(until * SECOND + ahead, here)}. ` +
        "Files are kept, variables are lost.",
      [{ label: "Keep it running", commandId: KEEP, displayType: "accent" }],
    );
    const moments = [...warnings.map((before) => ends - before), until - warning];
    const next = moments.map((one) => one * SECOND + ahead - here).filter((left) => left > 0);
    return Math.max(SECOND, Math.min(MINUTE, ...next));
  };

  const look = async () => {
    clearTimeout(timer);
    const method = used ? "POST" : "GET";
    used = false;
    const [said, announced] = await Promise.all([ask(notices, method), ask("/announcement.json")]);
    const message = announced?.message;
    await news(message, message);
    timer = setTimeout(look, said ? await tell(said) : MINUTE);
  };

  const use = () => {
    used = true;
    if (idleShown) {
      idleShown = false; // one question is enough
      look();
    }
  };

  app.commands.addCommand(KEEP, { label: "Keep This Session Running", execute: use });
  await app.restored; // the commands that show a notice are there then
  for (const sign of ["pointerdown", "keydown", "wheel"]) {
    window.addEventListener(sign, use, { capture: true, passive: true });
  }
  await look();
};

export default () => ({ id: "benchtop:notices", autoStart: true, activate: (app) => void activate(app) });
