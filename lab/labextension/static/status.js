/* Shows in the status bar, all the time: time left, memory used of what was asked for, where and in what it runs. */
import { ask, MINUTE, own, SECOND } from "./server.js";

const EVERY = 5 * SECOND;
const SHORT = 10 * MINUTE; // of time left, from here on marked
const NEARLY = 0.85; // of the memory, likewise
const SILENT = 2; // questions without an answer until somebody looks why

/** "2 h 5 min", "3 min" */
const lasting = (time) => {
  const minutes = Math.max(0, Math.floor(time / MINUTE));
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const megabytes = (bytes) => Math.round(bytes / 2 ** 20);

/** What the bar says: text, what it is, and whether it is to be marked. */
const parts = ({ now, ends, memory, place, node, environment }) => {
  const found = [];
  if (ends) {
    const left = (ends - now) * SECOND;
    found.push([`${lasting(left)} left`, "Time until this session reaches its time limit", left < SHORT]);
  }
  if (memory) {
    const [used, granted] = [megabytes(memory.used), megabytes(memory.granted)];
    const what = "Memory in use, of what this session asked for. What takes more is ended: a kernel, or a program of a terminal";
    found.push([`${used} of ${granted} MB`, what, memory.used > NEARLY * memory.granted]);
  }
  const where = place === "container" ? [place] : [place, node]; // the host name of a container says nothing
  found.push([where.filter(Boolean).join(", "), "Where this session runs", false]);
  const own = (environment ?? "").startsWith("/");
  const name = own ? environment.slice(environment.lastIndexOf("/") + 1) : (environment || "facility").replace("/", " ");
  found.push([`Environment: ${name}`, own ? environment : "What JupyterLab runs in", false]);
  return found;
};

export default async ({ load }) => {
  const [{ IStatusBar }, { Widget }] = await Promise.all([load("@jupyterlab/statusbar"), load("@lumino/widgets")]);

  const activate = (app, bar) => {
    const status = own(app, "status");
    const item = new Widget();
    item.id = "benchtop-status";
    item.node.setAttribute("aria-label", "This session");
    item.node.setAttribute("role", "group");
    bar.registerStatusItem("benchtop:status", { item, align: "left", rank: 100 });

    const show = (told) => {
      const shown = parts(told).map(([text, title, marked]) => {
        const part = document.createElement("span");
        part.className = "jp-StatusBar-TextItem";
        part.style.cssText = `padding: 0 6px; ${marked ? "font-weight: bold; text-decoration: underline" : ""}`;
        part.textContent = text;
        part.title = title;
        return part;
      });
      item.node.replaceChildren(...shown);
    };

    let silent = 0;
    const look = async () => {
      if (!document.hidden || !silent) {
        const told = await ask(status);
        if (told) show(told);
        silent = told ? 0 : silent + 1;
        if (silent === SILENT) window.dispatchEvent(new Event("benchtop:silent")); // ended.js
      }
      setTimeout(look, EVERY);
    };
    void look();
  };
  return { id: "benchtop:status", autoStart: true, requires: [IStatusBar], activate };
};
