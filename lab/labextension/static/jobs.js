/* The panel "Jobs": the person's jobs on both batch systems, with why they wait, what they use, and their logs.
 *
 * What is asked for is answered by lab/benchtop_lab/jobs/, and nothing is asked while nobody sees the panel. Whatever
 * a job is called is text here, never HTML. Rows are changed in place: who is on one with the keyboard stays there.
 */
import { element } from "./elements.js";
import { ask, own, SECOND } from "./server.js";

const EVERY = 5 * SECOND;
const SHOW = "benchtop:jobs";
const AT_FIRST = 50; // rows of a list, until somebody wants more
const STATES = {
  running: "Running", suspended: "Suspended", ending: "Ending", held: "On hold", waiting: "Waiting",
  failed: "Failed", cancelled: "Cancelled", done: "Done",
};
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M9 3h6v3h6v14H3V6h6zm2 2v1h2V5zM5 12v6h14v-6h-5v2h-4v-2zm0-4v2h14V8z"/></svg>`;
const STYLE = `
.benchtop-jobs { display: flex; flex-direction: column; min-width: 180px; overflow: auto; padding: 8px 10px;
  color: var(--jp-ui-font-color1); background: var(--jp-layout-color1); font-size: var(--jp-ui-font-size1); }
.benchtop-jobs h2 { font-size: var(--jp-ui-font-size2); margin: 0; flex: 1; }
.benchtop-jobs h3 { font-size: var(--jp-ui-font-size1); margin: 14px 0 2px; }
.benchtop-jobs h3:focus { outline: none; }
.benchtop-jobs p { margin: 4px 0; overflow-wrap: anywhere; }
.benchtop-jobs ul { list-style: none; margin: 0; padding: 0; }
.benchtop-jobs [hidden] { display: none; }
.benchtop-jobs-head, .benchtop-job-line, .benchtop-job-actions { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 8px; }
.benchtop-job { border-left: 3px solid var(--jp-border-color1); margin: 6px 0; padding: 2px 0 2px 8px; }
.benchtop-job .benchtop-job { margin: 3px 0; }
.benchtop-job[data-state=running], .benchtop-job[data-state=ending] { border-color: var(--jp-brand-color1); }
.benchtop-job[data-state=held], .benchtop-job[data-state=suspended] { border-color: var(--jp-warn-color1); }
.benchtop-job[data-state=failed] { border-color: var(--jp-error-color1); }
.benchtop-job[data-state=done] { border-color: var(--jp-success-color1); }
.benchtop-job > div { overflow-wrap: anywhere; }
.benchtop-job-name { flex: 1 1 8em; min-width: 0; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.benchtop-job-bar { height: 3px; max-width: 220px; margin: 1px 0 3px; background: var(--jp-border-color2); }
.benchtop-job-bar > div { height: 100%; background: var(--jp-brand-color1); }
.benchtop-jobs button { background: none; border: 1px solid transparent; border-radius: 2px; padding: 2px 6px;
  min-height: 24px; font: inherit; color: var(--jp-content-link-color); text-decoration: underline; cursor: pointer; }
.benchtop-job-actions { margin-left: -7px; }
.benchtop-jobs button:focus-visible { border-color: var(--jp-brand-color1); outline: 1px solid var(--jp-brand-color1); }
.benchtop-jobs-trouble { border: 1px solid var(--jp-error-color1); padding: 4px 8px; }
`;

/** "20:14", with the day where that is another one */
const clock = (seconds, now) => {
  const [moment, today] = [new Date(seconds * SECOND), new Date(now * SECOND)];
  const time = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const same = moment.toDateString() === today.toDateString();
  return same ? time : `${moment.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
};

const megabytes = (bytes) => (bytes >= 10240 * 2 ** 20 ? `${(bytes / 2 ** 30).toFixed(1)} GB` : `${Math.round(bytes / 2 ** 20)} MB`);

const percent = (share) => `${Math.round(share * 100)} %`;

/** "1 running, 9 waiting" */
const counted = (counts) => Object.entries(counts).map(([state, number]) => `${number} ${(STATES[state] ?? state).toLowerCase()}`).join(", ");

/** What of it was used of what was asked for, in words, and as shares of each bar. */
const use = ({ cpu, cpus, memory, memory_used: used }) => {
  const parts = [];
  if (cpu !== null) parts.push([`CPU: ${percent(cpu)} of ${cpus}`, cpu]);
  if (used !== null) parts.push([memory ? `Memory: ${megabytes(used)} of ${megabytes(memory)}` : `Memory: ${megabytes(used)}`, memory ? used / memory : null]);
  return parts;
};

const set = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = !text;
};

const button = (label, action) => {
  const made = element("button", label);
  made.type = "button";
  made.onclick = action;
  return made;
};

const keyOf = ({ cluster, number }) => `${cluster} ${number}`;

/** One job or array. */
class Row {
  /** tools: what its buttons do; inner: is it one of an array? */
  constructor(tools, inner = false) {
    this.tools = tools;
    this.node = element("li");
    this.node.className = "benchtop-job";
    this.head = element("div");
    this.head.className = "benchtop-job-line";
    this.name = element("span");
    this.name.className = "benchtop-job-name";
    this.state = element("span");
    this.head.append(this.name, this.state);
    [this.where, this.reason, this.use, this.path] = ["div", "div", "div", "div"].map((tag) => element(tag));
    this.actions = element("div");
    this.actions.className = "benchtop-job-actions";
    this.log = button("Log", () => void tools.openLog(this.job));
    this.more = button("", () => this.toggle());
    this.cancel = button("Cancel", () => void tools.cancel(this.job));
    this.actions.append(this.log, this.more, this.cancel);
    this.members = inner ? undefined : new List({ ...tools }, true);
    this.node.append(this.head, this.where, this.reason, this.use, this.path, this.actions);
    if (this.members) this.node.append(this.members.node);
    this.open = false;
  }

  toggle() {
    this.open = !this.open;
    this.show(this.job, this.now);
  }

  show(job, now) {
    this.job = job;
    this.now = now;
    const { name, number, system, state, counts, session, node, since, active, count, jobs } = job;
    const own = { this: "this session", other: "a session" }[session] ?? "";
    this.node.dataset.state = state;
    set(this.name, name ?? number);
    this.name.title = name ?? number;
    const many = counts ? counted(counts) : count > 1 ? `${count} ${STATES[state].toLowerCase()}` : STATES[state];
    set(this.state, own ? `${many} (${own})` : many);
    const when = since ? `${active ? "since" : "ended"} ${clock(since, now)}` : "";
    set(this.where, [name === undefined ? "" : `${system} ${number}`, node, when].filter(Boolean).join(" · "));
    set(this.reason, job.reason && job.reason[0].toUpperCase() + job.reason.slice(1));
    this.showUse(job);
    set(this.path, job.log && !job.open ? `Log: ${job.log}` : "");
    const about = name === undefined ? number : `${system} ${number} ${name}`;
    this.log.hidden = !job.open;
    this.log.title = job.log;
    this.log.setAttribute("aria-label", `Log of ${about}`);
    this.cancel.hidden = !active || Boolean(session) || number.includes("[");
    this.cancel.setAttribute("aria-label", `Cancel ${about}`);
    this.more.hidden = !jobs;
    this.actions.hidden = [this.log, this.more, this.cancel].every((one) => one.hidden);
    if (jobs) {
      set(this.more, this.open ? "Hide its jobs" : "Show its jobs");
      this.more.setAttribute("aria-expanded", String(this.open));
      this.more.setAttribute("aria-label", `Jobs of ${about}`);
    }
    this.members?.show(jobs && this.open ? jobs : [], now, job.more ?? 0);
  }

  showUse(job) {
    const parts = use(job);
    const text = parts.map(([words]) => words).join();
    this.use.hidden = !text;
    if (this.use.dataset.text === text) return;
    this.use.dataset.text = text;
    this.use.replaceChildren(...parts.map(([words, share]) => {
      const filled = element("div");
      filled.style.width = `${Math.min(100, share * 100)}%`;
      const bar = element("div", "", filled);
      bar.className = "benchtop-job-bar";
      bar.setAttribute("aria-hidden", "true");
      bar.hidden = share === null;
      return element("div", words, bar);
    }));
  }
}

/** Rows in their order, each kept as long as its job is there. */
class List {
  constructor(tools, inner = false) {
    this.tools = tools;
    this.inner = inner;
    this.rows = new Map();
    this.most = AT_FIRST;
    this.list = element("ul");
    this.left = element("p");
    this.further = button("Show more", () => {
      this.most *= 4;
      this.show(...this.last);
    });
    this.node = element("div", "", this.list, this.further, this.left);
  }

  show(jobs, now, left = 0) {
    this.last = [jobs, now, left];
    this.node.hidden = !jobs.length;
    const shown = jobs.slice(0, this.most);
    const keys = new Set(shown.map(keyOf));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    shown.forEach((job, at) => {
      const key = keyOf(job);
      if (!this.rows.has(key)) this.rows.set(key, new Row(this.tools, this.inner));
      const row = this.rows.get(key);
      row.show(job, now);
      // what is where it belongs is not moved: it would lose the keyboard
      if (this.list.children[at] !== row.node) this.list.insertBefore(row.node, this.list.children[at] ?? null);
    });
    this.further.hidden = jobs.length <= shown.length;
    set(this.left, left && jobs.length <= shown.length ? `${left} more are not shown here. In a notebook: benchtop_batch.jobs()` : "");
  }
}

export default async ({ load }) => {
  const [{ Dialog, ICommandPalette, showDialog }, { LabIcon }, { ILayoutRestorer }, { Widget }] = await Promise.all([
    load("@jupyterlab/apputils"), load("@jupyterlab/ui-components"), load("@jupyterlab/application"), load("@lumino/widgets"),
  ]);

  const activate = (app, palette, restorer) => {
    const address = own(app, "jobs");
    const { baseUrl } = app.serviceManager.serverSettings;

    // ---- what there is to see ----
    const status = element("p");
    status.setAttribute("role", "status");
    const trouble = element("p");
    trouble.setAttribute("role", "alert");
    trouble.className = "benchtop-jobs-trouble";
    trouble.hidden = true;
    const missing = element("div");
    const say = (text) => set(trouble, text);

    const openLog = async ({ open, log }) => {
      say("");
      const there = await ask(`${baseUrl}api/contents/${open.split("/").map(encodeURIComponent).join("/")}?content=0`);
      if (there) await app.commands.execute("docmanager:open", { path: open, factory: "Editor" });
      else say(`The log ${log} is not there: the job has printed nothing yet, or it was removed.`);
    };

    const cancel = async (job) => {
      say("");
      const { number, cluster, name, system, counts, jobs } = job;
      const what = name === undefined ? `job ${number}` : `${system} ${number}, “${name}”`;
      const whole = jobs ? ` That are all its jobs that have not ended (${counted(counts)}).` : "";
      const { button: chosen } = await showDialog({
        title: "Cancel this job?",
        body: `${what[0].toUpperCase()}${what.slice(1)}, is ended at once; what it has not saved is lost.${whole}`,
        buttons: [Dialog.cancelButton({ label: "Keep it" }), Dialog.warnButton({ label: "Cancel the job" })],
        defaultButton: 0,
      });
      if (!chosen.accept) return;
      const told = await ask(`${address}/${cluster}/${number}`, "DELETE");
      say(told ? told.message : `The server does not answer: it is not known whether ${what} was cancelled.`);
      await look();
    };

    const tools = { cancel, openLog };
    const sections = [["Waiting or running", "active"], ["Ended within a day", "ended"]].map(([title, part]) => {
      const heading = element("h3", title);
      heading.tabIndex = -1;
      const list = new List(tools);
      const node = element("section", "", heading, list.node);
      node.hidden = true;
      return { heading, title, part, list, node };
    });
    const again = button("Refresh", () => void look());
    const style = element("style", STYLE);
    const header = element("div", "", element("h2", "Jobs"), again);
    header.className = "benchtop-jobs-head";

    class Panel extends Widget {
      onAfterShow(message) {
        super.onAfterShow(message);
        void look();
      }
    }
    const panel = new Panel();
    panel.id = "benchtop-jobs";
    panel.addClass("benchtop-jobs");
    panel.node.setAttribute("role", "region");
    panel.node.setAttribute("aria-label", "Jobs");
    panel.title.icon = new LabIcon({ name: "benchtop:jobs", svgstr: ICON });
    panel.title.caption = "Jobs";
    panel.node.append(style, header, status, trouble, missing, ...sections.map(({ node }) => node));

    const show = (told) => {
      const { now, counts, missing: why } = told;
      const inside = panel.node.contains(document.activeElement);
      const nothing = why.length ? "No jobs are known." : "No jobs within a day. What you submit from a notebook or a terminal is shown here.";
      const some = told.active.groups.length + told.ended.groups.length;
      set(status, some ? counted(counts) || "Nothing runs or waits." : nothing);
      if (missing.dataset.text !== why.join("\n")) {
        missing.dataset.text = why.join("\n");
        missing.replaceChildren(...why.map((text) => element("p", text)));
      }
      for (const { heading, title, part, list, node } of sections) {
        const { groups, more } = told[part];
        node.hidden = !groups.length;
        set(heading, `${title} (${groups.length + more})`);
        list.show(groups, now, more);
      }
      // who was on a row that is gone goes on from the list, and not from the page's beginning
      if (inside && !panel.node.contains(document.activeElement)) (sections.find(({ node }) => !node.hidden)?.heading ?? again).focus();
    };

    // ---- when it is asked ----
    let timer;
    let asking = false;
    let once = false; // … more, because something was done meanwhile
    let silent = false;
    const look = async () => {
      clearTimeout(timer);
      timer = setTimeout(() => void look(), EVERY);
      once = asking;
      if (asking || document.hidden || !panel.isVisible) return;
      asking = true;
      try {
        const told = await ask(address);
        if (told) show(told);
        if (told && silent) say("");
        if (!told) say("The server does not answer: what is shown may be old.");
        silent = !told;
      } finally {
        asking = false;
      }
      if (once) await look();
    };
    document.addEventListener("visibilitychange", () => void look());

    app.shell.add(panel, "left", { rank: 300 });
    restorer?.add(panel, panel.id);
    app.commands.addCommand(SHOW, { label: "Jobs: See and Cancel Your Batch Jobs", execute: () => app.shell.activateById(panel.id) });
    palette?.addItem({ command: SHOW, category: "Batch Jobs" });
    void app.restored.then(look);
  };
  return { id: "benchtop:jobs", autoStart: true, optional: [ICommandPalette, ILayoutRestorer], activate };
};
