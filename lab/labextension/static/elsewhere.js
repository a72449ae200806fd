/* Says when a document is open in another session of the same person: whoever saves last overwrites the other. */
import { ask, MINUTE, own, SECOND } from "./server.js";

/** The paths of all documents in the main area. */
const shown = (shell) => [...shell.widgets("main")].map((widget) => widget.context?.path).filter(Boolean);

const activate = async (app) => {
  await app.restored;
  const page = crypto.randomUUID();
  const told = new Set();
  let timer;

  const look = async () => {
    clearTimeout(timer);
    timer = setTimeout(look, MINUTE);
    const { elsewhere = {} } = (await ask(own(app, "open"), "POST", { page, paths: shown(app.shell) })) ?? {};
    for (const [path, sessions] of Object.entries(elsewhere)) {
      const key = `${path}\n${sessions}`;
      if (told.has(key)) continue;
      told.add(key);
      const message =
        `“${path}” is also open in your session on ${sessions.join(" and ")}. ` +
        "Each has a kernel of its own, and whoever saves last overwrites the other: close it in one of them.";
      await app.commands.execute("apputils:notify", { message, type: "warning", options: { autoClose: false } });
    }
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, SECOND);
  };
  app.shell.layoutModified?.connect(soon);
  app.shell.currentChanged?.connect(soon);
  await look();
};

export default () => ({ id: "benchtop:elsewhere", autoStart: true, activate: (app) => void activate(app) });
