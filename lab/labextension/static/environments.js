/* The Launcher shows kernels by environment, and a notebook whose kernel is not here says where it is.
 *
 * What belongs to which environment is in the kernels' own metadata (lab/benchtop_lab/kernels/specs.py); which
 * environments there are elsewhere is the server's to say: lab/benchtop_lab/session/offered.py.
 */
import { ask, own } from "./server.js";

const OPEN = "benchtop:new-notebook";
const UPSTREAM = "notebook:create-new";
const AFTER_NOTEBOOKS = 10; // the Launcher has Notebook at 0 and Console at 20

/** The name of the section that a kernel of an environment stands in; "" for one of JupyterLab's own section. */
const section = (spec) => {
  const { title, environment, version, source } = spec?.metadata?.benchtop ?? {};
  if (environment) return [title || environment, version].filter(Boolean).join(" ");
  return source === "facility" ? "" : (title ?? "");
};

/** "HEP 2026.1 and ROOT 6.40" */
const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]);

/** Where the form is with an environment chosen: of a session beside this one, or on the other cluster. */
const form = (urls, cluster, environment) => {
  const chosen = `environment=${encodeURIComponent(environment.name)}`;
  if (environment.clusters.includes(cluster)) {
    const name = environment.name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 30);
    return `${urls.hubPrefix}spawn/${encodeURIComponent(urls.hubUser)}/${name}?${chosen}`;
  }
  return `${urls.hubPrefix.replace(`/${cluster}/`, `/${environment.clusters[0]}/`)}spawn?${chosen}`;
};

export default async ({ load }) => {
  const [{ INotebookTracker }, { Dialog, ISessionContextDialogs, showDialog }, { LauncherModel }, { LabIcon }, { JupyterFrontEnd }] =
    await Promise.all([
      load("@jupyterlab/notebook"),
      load("@jupyterlab/apputils"),
      load("@jupyterlab/launcher"),
      load("@jupyterlab/ui-components"),
      load("@jupyterlab/application"),
    ]);

  // ---- the Launcher ----
  /** A logo as an icon: of a section that is not JupyterLab's own, the Launcher shows the icon of the command. */
  const icons = new Map();
  const icon = (address) => {
    if (!icons.has(address)) {
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><image href="${address.replace(/[&"<]/g, encodeURIComponent)}" width="64" height="64"/></svg>`;
      icons.set(address, new LabIcon({ name: `benchtop:kernel-${icons.size}`, svgstr: svg }));
    }
    return icons.get(address);
  };

  const groupKernels = (app) => {
    const spec = (name) => app.serviceManager.kernelspecs.specs?.kernelspecs[name];
    app.commands.addCommand(OPEN, {
      label: ({ kernelName }) => spec(kernelName)?.display_name ?? "Notebook",
      caption: ({ kernelName }) => `Notebook with ${spec(kernelName)?.display_name ?? "another kernel"}`,
      icon: ({ kernelName }) => {
        const { "logo-svg": svg, "logo-64x64": png } = spec(kernelName)?.resources ?? {};
        return svg || png ? icon(svg || png) : app.commands.icon(UPSTREAM, {});
      },
      execute: ({ kernelName, cwd }) => app.commands.execute(UPSTREAM, { kernelName, cwd }),
    });
    // What the Launcher keeps of an item belongs to the object: so it is given the same one each time.
    const moved = new WeakMap();
    const grouped = (item) => {
      const { kernelName } = item.args ?? {};
      const category = item.command === UPSTREAM && kernelName ? section(spec(kernelName)) : "";
      if (!category) return item;
      if (moved.get(item)?.category !== category) {
        moved.set(item, { ...item, command: OPEN, args: { kernelName }, category, categoryRank: AFTER_NOTEBOOKS });
      }
      return moved.get(item);
    };
    const { items } = LauncherModel.prototype;
    LauncherModel.prototype.items = function* groupedItems() {
      for (const item of items.call(this)) yield grouped(item);
    };
  };

  // ---- a kernel that is not here ----
  const activate = (app, { urls }, tracker, dialogs) => {
    groupKernels(app);
    const { kernelspecs } = app.serviceManager;

    /** Says which environments have the kernel of a notebook. Resolves when somebody has answered. */
    const explain = async (path, wanted) => {
      const { cluster, environments = [] } = (await ask(own(app, "environments"))) ?? {};
      const has = environments.filter(({ kernels }) => kernels.some(({ name }) => name === wanted.name));
      const name = wanted.display_name ?? wanted.name;
      const body = document.createElement("div");
      const say = (text) => body.append(Object.assign(document.createElement("p"), { textContent: text }));
      const buttons = has.slice(0, 3).map((environment) => {
        const elsewhere = environment.clusters.includes(cluster) ? "" : ` on ${environment.clusters[0].toUpperCase()}`;
        const label = `Start a session in ${environment.title}${elsewhere}`;
        return { environment, button: Dialog.okButton({ label }) };
      });
      say(`“${path}” was written for the kernel “${name}”, which this session does not have.`);
      if (has.length) {
        say(`It is part of ${listed(has.map(({ title, version }) => `${title} ${version}`))}.`);
        say("A session that you start there runs beside this one, and has the same files.");
      } else {
        say("No environment that you may use has it. Choose another kernel, or ask whoever gave you the notebook where it comes from.");
      }
      const { Widget } = await load("@lumino/widgets");
      const other = Dialog.cancelButton({ label: "Choose another kernel" });
      const { button } = await showDialog({
        title: "This notebook’s kernel is not here",
        body: new Widget({ node: body }),
        buttons: [other, ...buttons.map((one) => one.button)],
      });
      const chosen = buttons.find((one) => one.button.label === button.label);
      if (chosen) window.open(form(urls, cluster, chosen.environment), "_blank", "noopener");
    };

    const missing = (wanted) => wanted?.name && kernelspecs.specs && !kernelspecs.specs.kernelspecs[wanted.name];
    const told = new WeakMap(); // session context → when somebody has answered
    const look = async (panel) => {
      await Promise.all([panel.context.ready, kernelspecs.ready]);
      const wanted = panel.content.model?.getMetadata?.("kernelspec");
      const { sessionContext } = panel;
      if (!missing(wanted) || told.has(sessionContext) || sessionContext.session?.kernel?.name === wanted.name) return;
      await kernelspecs.refreshSpecs(); // what was published meanwhile is here
      if (missing(wanted)) told.set(sessionContext, explain(panel.context.localPath ?? panel.context.path, wanted));
      await told.get(sessionContext);
    };
    const panels = new WeakMap(); // session context → its notebook, being looked at
    tracker.widgetAdded.connect((_, panel) => panels.set(panel.sessionContext, look(panel).catch(console.error)));

    // JupyterLab would ask for another kernel at once: it waits until somebody has read why
    const select = dialogs?.selectKernel?.bind(dialogs);
    if (select) {
      dialogs.selectKernel = async (sessionContext) => {
        await panels.get(sessionContext);
        panels.delete(sessionContext); // who asks for it by the menu is not kept
        return select(sessionContext);
      };
    }
  };
  return {
    id: "benchtop:environments",
    autoStart: true,
    requires: [JupyterFrontEnd.IPaths, INotebookTracker],
    optional: [ISessionContextDialogs],
    activate,
  };
};
