/* The facility's tutorials: a card in the Launcher opens a list of them, which copies one into the home when it is
 * opened, and offers a newer version beside somebody's copy, with what differs.
 *
 * What is asked for is answered by lab/benchtop_lab/tutorials/, and nothing is asked before the list is opened.
 */
import { element } from "./elements.js";
import { ask, own } from "./server.js";

const SHOW = "benchtop:tutorials";
const AFTER_NOTEBOOKS = 5; // the Launcher has Notebook at 0, environments at 10, Console at 20
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 24 24">
  <path class="jp-icon3" fill="#616161" d="M12 3 1 9l11 6 9-4.9V17h2V9zM5 13.2v4L12 21l7-3.8v-4L12 17z"/></svg>`;
const STYLE = `
.benchtop-tutorials { overflow: auto; padding: 12px 20px; color: var(--jp-ui-font-color1); font-size: var(--jp-ui-font-size1); }
.benchtop-tutorials > * { max-width: 46em; }
.benchtop-tutorials ol { list-style: none; margin: 0; padding: 0; }
.benchtop-tutorials li { border-left: 3px solid var(--jp-border-color1); margin: 14px 0; padding: 0 0 0 12px; }
.benchtop-tutorials li[data-newer] { border-color: var(--jp-warn-color1); }
.benchtop-tutorials h3 { font-size: var(--jp-ui-font-size2); margin: 0; }
.benchtop-tutorials p { margin: 2px 0 4px; overflow-wrap: anywhere; }
.benchtop-tutorials-buttons { display: flex; flex-wrap: wrap; gap: 6px; }
.benchtop-tutorials [role=alert] { border: 1px solid var(--jp-error-color1); padding: 4px 8px; }
.benchtop-tutorials [role=alert]:empty { display: none; }
.benchtop-difference { max-height: 60vh; overflow: auto; margin: 0; border: 1px solid var(--jp-border-color1); }
.benchtop-difference > div { white-space: pre-wrap; overflow-wrap: anywhere; padding: 0 8px; border-left: 4px solid transparent;
  font-family: var(--jp-code-font-family); font-size: var(--jp-code-font-size); }
.benchtop-difference > [data-kind="+"] { border-color: var(--jp-success-color1); background: var(--jp-layout-color2); font-weight: 600; }
.benchtop-difference > [data-kind="-"] { border-color: var(--jp-error-color1); background: var(--jp-layout-color2); }
.benchtop-difference > [data-kind="@"] { border-top: 1px dashed var(--jp-border-color1); height: 0; margin: 4px 0; }
`;
const SIGNS = { "+": "+ ", "-": "− ", " ": "  ", "@": "" };

/** "About 2 minutes · Slurm and HTCondor · kernel Python 3" */
const facts = ({ minutes, systems, kernel }) => [
  minutes ? `About ${minutes} ${minutes === 1 ? "minute" : "minutes"}` : "",
  systems.join(" and "),
  kernel ? `kernel ${kernel}` : "",
].filter(Boolean).join(" · ");

/** What there is of it in the home, as a sentence. */
const standing = ({ path, newer, edited }) => {
  if (!path) return "";
  if (!newer) return edited ? `Your copy, which you have changed: ~/${path}` : `Your copy: ~/${path}`;
  const changed = edited ? "which you have changed" : "which you have not changed";
  return `The facility has a newer version than your copy ~/${path}, ${changed}. Yours stays as it is.`;
};

export default async ({ load }) => {
  const [{ Dialog, ICommandPalette, MainAreaWidget, showDialog }, { ILauncher }, { IMainMenu }, { LabIcon }, { Widget }] = await Promise.all([
    load("@jupyterlab/apputils"),
    load("@jupyterlab/launcher"),
    load("@jupyterlab/mainmenu"),
    load("@jupyterlab/ui-components"),
    load("@lumino/widgets"),
  ]);

  const activate = (app, launcher, palette, menu) => {
    const address = own(app, "tutorials");
    const icon = new LabIcon({ name: "benchtop:tutorials", svgstr: ICON });
    let panel, list, trouble;

    const say = (text) => void (trouble.textContent = text);
    const silent = "The server does not answer. Try again.";

    /** Open the copy of one; made: a new one, whatever there is. */
    const open = async ({ name }, made = false) => {
      say("");
      const told = await ask(`${address}/${name}`, "POST", { new: made });
      if (!told || told.message) {
        say(told?.message ?? silent);
        return;
      }
      await app.commands.execute("docmanager:open", { path: told.path, factory: "Notebook" });
      void fill();
    };

    /** What differs between a copy and the facility's version, and the choice. */
    const compare = async (tutorial) => {
      say("");
      const told = await ask(`${address}/${tutorial.name}`);
      if (!told) {
        say(silent);
        return;
      }
      const lines = element("div", "", ...told.lines.map((line) => {
        const shown = element("div", line[0] === "@" ? "" : `${SIGNS[line[0]] ?? ""}${line.slice(1)}`);
        shown.dataset.kind = line[0];
        return shown;
      }));
      lines.className = "benchtop-difference";
      lines.tabIndex = 0;
      lines.setAttribute("role", "region");
      lines.setAttribute("aria-label", "What differs");
      const body = element("div", "",
        element("p", `Lines with − are in your copy ~/${told.path} alone, lines with + in the facility’s version alone. Outputs are not compared.`),
        told.lines.length ? lines : element("p", "Nothing differs."),
      );
      const { button: chosen } = await showDialog({
        title: `${tutorial.title}: what differs`,
        body: new Widget({ node: body }),
        buttons: [Dialog.cancelButton({ label: "Keep mine" }), Dialog.okButton({ label: "Take the new one as a new file" })],
        defaultButton: 0,
      });
      if (chosen.accept) await open(tutorial, true);
    };

    const button = (label, about, action, accept = false) => {
      const made = element("button", label);
      made.className = accept ? "jp-mod-styled jp-mod-accept" : "jp-mod-styled";
      made.setAttribute("aria-label", `${label}: ${about}`);
      made.onclick = () => void action();
      return made;
    };

    const row = (tutorial) => {
      const { title, about, path, newer, unreadable } = tutorial;
      const buttons = element("div", "", button(path ? "Open my copy" : "Open", title, () => open(tutorial), true));
      buttons.className = "benchtop-tutorials-buttons";
      if (newer) buttons.append(button("Show what differs", title, () => compare(tutorial)));
      if (path) buttons.append(button(newer ? "Take the new one as a new file" : "Open a fresh copy", title, () => open(tutorial, true)));
      const words = [about, facts(tutorial), standing(tutorial), ...unreadable.map((one) => `${one} It stays as it is.`)];
      const made = element("li", "", element("h3", title), ...words.filter(Boolean).map((text) => element("p", text)), buttons);
      if (newer) made.dataset.newer = "";
      return made;
    };

    const fill = async () => {
      const told = await ask(address);
      if (!told) {
        say(silent);
        return;
      }
      const at = [...list.querySelectorAll("button")].indexOf(document.activeElement);
      list.replaceChildren(...told.tutorials.map(row));
      if (!told.tutorials.length) say("There are no tutorials in this session.");
      list.querySelectorAll("button")[at]?.focus(); // who uses the keyboard stays where they were
    };

    const show = async () => {
      if (!panel || panel.isDisposed) {
        const content = new Widget();
        content.addClass("benchtop-tutorials");
        content.node.tabIndex = 0;
        [list, trouble] = [element("ol"), element("p")];
        trouble.setAttribute("role", "alert");
        content.node.append(
          element("style", STYLE),
          element("h2", "Tutorials"),
          element("p", "Notebooks that you run from top to bottom. The first time that you open one, it is copied into the folder tutorials of your home; the copy is yours to change."),
          trouble,
          list,
        );
        panel = new MainAreaWidget({ content }); // which calls it “main area content”
        content.node.setAttribute("role", "region");
        content.node.setAttribute("aria-label", "Tutorials");
        panel.id = "benchtop-tutorials";
        panel.title.label = "Tutorials";
        panel.title.icon = icon;
        panel.title.closable = true;
      }
      if (!panel.isAttached) app.shell.add(panel, "main");
      app.shell.activateById(panel.id);
      say("");
      await fill();
    };

    app.commands.addCommand(SHOW, {
      label: (given) => (given?.isPalette ? "Tutorials of the Facility" : "Tutorials"),
      caption: "Notebooks from first steps to the whole pool",
      icon: (given) => (given?.isPalette ? undefined : icon),
      execute: show,
    });
    launcher?.add({ command: SHOW, category: "Tutorials", categoryRank: AFTER_NOTEBOOKS, rank: 0 });
    palette?.addItem({ command: SHOW, category: "Facility", args: { isPalette: true } });
    menu?.helpMenu.addGroup([{ command: SHOW }], 0.5);
  };
  return { id: "benchtop:tutorials", autoStart: true, optional: [ILauncher, ICommandPalette, IMainMenu], activate };
};
