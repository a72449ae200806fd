/* Shows how full the home is, warns before it is full, and helps to find what is large.
 *
 * What is asked for is answered by lab/benchtop_lab/home/.
 */
import { element } from "./elements.js";
import { ask, MINUTE, own } from "./server.js";

const EVERY = 2 * MINUTE;
const SHOW = "benchtop:home";
const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** "1.2 GB" */
const size = (bytes) => {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${value >= 100 || power === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
};

const percent = (share) => `${Math.min(100, Math.floor(share * 100))} %`;

/** How full it is, as a sentence; "" while there is nothing to warn of. */
const warning = ({ refuses, nearly, share, files, used, size: all }) => {
  if (refuses) {
    return `Nothing can be saved in your home folder: ${refuses}. Delete or move what you no longer need.`;
  }
  if (!nearly) return "";
  const what = files ? `has ${percent(share)} of the files that it may have` : `is ${percent(share)} full (${size(used)} of ${size(all)})`;
  return `Your home folder ${what}. Delete or move what you no longer need before it is full.`;
};

const table = (title, rows, open) => {
  const body = element("tbody", "", ...rows.map(({ path, size: bytes }) => {
    const name = element("button", path);
    name.style.cssText =
      "background: none; border: 0; padding: 1px 0; font: inherit; text-align: left; overflow-wrap: anywhere; " +
      "color: var(--jp-content-link-color); text-decoration: underline; cursor: pointer";
    name.title = "Show it in the file browser";
    name.onclick = () => open(path);
    const amount = element("td", size(bytes));
    amount.style.cssText = "width: 5.5em; text-align: right; white-space: nowrap; padding-right: 16px; font-variant-numeric: tabular-nums";
    const row = element("tr", "", amount, element("td", "", name));
    return row;
  }));
  const made = element("table", "", element("caption", title), body);
  made.style.cssText = "border-collapse: collapse; margin: 8px 0 20px; font-size: var(--jp-ui-font-size1)";
  made.caption.style.cssText = "text-align: left; font-weight: 600; padding-bottom: 4px; white-space: nowrap";
  return made;
};

export default async ({ load }) => {
  const [{ IStatusBar }, { MainAreaWidget }, { Widget }] = await Promise.all([
    load("@jupyterlab/statusbar"), load("@jupyterlab/apputils"), load("@lumino/widgets"),
  ]);

  const activate = (app, bar) => {
    const address = own(app, "home");
    const notify = (message) => app.commands.execute("apputils:notify", {
      message,
      type: "warning",
      options: { autoClose: false, actions: [{ label: "Show what is large", commandId: SHOW, displayType: "accent" }] },
    });

    // ---- the status bar ----
    const item = new Widget();
    item.id = "benchtop-home";
    item.node.style.cssText = "display: flex; align-items: center";
    const button = element("button", "Home");
    button.className = "jp-StatusBar-TextItem jp-mod-highlighted";
    button.style.cssText = "background: none; border: 0; padding: 0 6px; color: inherit; font: inherit; cursor: pointer";
    button.onclick = () => void app.commands.execute(SHOW);
    item.node.append(button);
    bar?.registerStatusItem("benchtop:home", { item, align: "left", rank: 110 });

    let warned = "";
    const look = async () => {
      const told = document.hidden ? undefined : await ask(address);
      if (told) {
        const marked = told.refuses || told.nearly;
        button.textContent = told.refuses ? "Home: nothing can be saved" : `Home ${percent(told.share)} full`;
        button.title = `${size(told.used)} of ${size(told.size)} in use. Click to see what is large`;
        button.style.fontWeight = marked ? "bold" : "";
        button.style.textDecoration = marked ? "underline" : "";
        const level = told.refuses || (told.nearly ? "nearly" : "");
        if (level && level !== warned) await notify(warning(told));
        warned = level;
      }
      setTimeout(look, EVERY);
    };

    // ---- what is large ----
    let panel;
    const fill = async (node) => {
      node.replaceChildren(element("p", "Looking for what is large …"));
      const [full, told] = await Promise.all([ask(address), ask(`${address}/largest`)]);
      if (!told || !full) {
        node.replaceChildren(element("p", "The server does not answer. Try again."));
        return;
      }
      const open = (path) => void app.commands.execute("filebrowser:go-to-path", { path });
      const again = element("button", "Look again");
      again.className = "jp-mod-styled jp-mod-accept";
      again.onclick = () => void fill(node);
      const parts = [
        element("h2", "What is large in your home folder"),
        element("p", `${size(full.used)} of ${size(full.size)} in use on its file system; your files take ${size(told.total)}${told.complete ? "" : " or more"}.`),
      ];
      if (warning(full)) parts.push(element("p", "", element("strong", warning(full))));
      if (!told.complete) parts.push(element("p", "There are too many files to look at all of them within some seconds: what is deep down may be missing."));
      if (told.folders.length) parts.push(table("Folders, with all that is in them", told.folders, open));
      if (told.files.length) parts.push(table("Files", told.files, open));
      parts.push(element("p", "Files whose names begin with a dot are hidden in the file browser; a terminal (File > New > Terminal) removes them, too: rm -r ~/.cache, for example."), again);
      node.replaceChildren(...parts);
    };

    const show = async () => {
      if (!panel || panel.isDisposed) {
        const content = new Widget();
        content.node.style.cssText = "padding: 12px 20px; overflow: auto";
        content.node.tabIndex = 0;
        panel = new MainAreaWidget({ content });
        panel.id = "benchtop-what-is-large";
        panel.title.label = "Home Folder";
        panel.title.closable = true;
      }
      if (!panel.isAttached) app.shell.add(panel, "main");
      app.shell.activateById(panel.id);
      await fill(panel.content.node);
    };

    app.commands.addCommand(SHOW, { label: "Home Folder: How Full It Is and What Is Large", execute: show });
    void app.restored.then(look);
  };
  return { id: "benchtop:home", autoStart: true, optional: [IStatusBar], activate };
};
