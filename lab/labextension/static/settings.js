/* Says which of a person's own settings files cannot be read, and when a session does without all of them.
 *
 * Which these are is the server's to say: lab/benchtop_lab/home/.
 */
import { element } from "./elements.js";
import { ask, own } from "./server.js";

const LONGEST = 138; // characters of a notice: JupyterLab cuts off what is longer, and all is in the dialogue
const SHOW = "benchtop:own-settings";

const listed = (broken) => broken.map(({ path, why }) => `${path} ${why}`);

const list = (lines) => element("ul", "", ...lines.map((line) => element("li", line)));

/** All that is known, for a dialogue. */
const details = ({ without, left_out: left, broken }) => {
  const body = element("div");
  if (without) {
    body.append(
      element("p", "This session uses none of your own settings. Your files are as they were, and what you change in the settings now is gone when the session ends."),
      element("p", left.length ? "Left out:" : "There was nothing to leave out."),
      list(left),
    );
  }
  body.append(element("p", broken.length ? "Cannot be used as it is:" : "All settings files that were looked at can be read."));
  body.append(list(listed(broken)));
  if (broken.length) {
    body.append(element("p", "Mend such a file or rename it, for example in a terminal (File > New > Terminal), then start a new session."));
  }
  return body;
};

export default async ({ load }) => {
  const [{ Dialog, showDialog }, { Widget }] = await Promise.all([load("@jupyterlab/apputils"), load("@lumino/widgets")]);

  /** A line above everything, which stays: this is not the JupyterLab that its owner knows. */
  const banner = (app, told) => {
    const line = new Widget();
    line.id = "benchtop-without-settings";
    line.node.setAttribute("role", "status");
    line.node.style.cssText = "background: #ffe0b2; border-bottom: 1px solid #ef6c00";
    const text = element("div");
    text.style.cssText =
      "display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 12px; padding: 4px 12px; color: #1f1300; overflow-wrap: anywhere";
    const left = told.left_out.join(", ") || "nothing was there";
    const broken = told.broken.map(({ path }) => path).join(", ");
    text.append(
      element("span", `Started without your own settings (left out: ${left}).`),
      element("strong", broken ? `Broken: ${broken}.` : "None of them looks broken."),
    );
    const buttons = [["Details", SHOW], ["Open a terminal", "terminal:create-new"]];
    for (const [label, command] of buttons) {
      const button = element("button", label);
      button.style.cssText = "background: none; border: 0; padding: 2px 0; font: inherit; color: inherit; text-decoration: underline; cursor: pointer";
      button.onclick = () => void app.commands.execute(command);
      text.append(button);
    }
    line.node.append(text);
    app.shell.add(line, "header", { rank: 0 });
    // JupyterLab's layout gives a line the height that it says it needs at least: as many rows as there are now
    new ResizeObserver(() => {
      line.node.style.minHeight = `${text.offsetHeight + 1}px`;
      line.parent?.fit();
    }).observe(text);
  };

  const notice = (app, { broken }) => {
    const what = broken.length === 1 ? "A settings file of yours cannot" : `${broken.length} settings files of yours cannot`;
    const names = broken.map(({ path }) => path.slice(path.lastIndexOf("/") + 1));
    const all = `${what} be read, and ${broken.length === 1 ? "is" : "are"} not used: ${names.join(", ")}`;
    return app.commands.execute("apputils:notify", {
      message: all.length < LONGEST ? `${all}.` : `${all.slice(0, LONGEST - 2)} …`,
      type: "warning",
      options: { autoClose: false, actions: [{ label: "Details", commandId: SHOW, displayType: "accent" }] },
    });
  };

  const activate = async (app) => {
    const address = own(app, "settings");
    const show = async () => {
      const told = await ask(address);
      const body = new Widget({ node: told ? details(told) : element("p", "The server does not answer.") });
      await showDialog({ title: "Your own settings", body, buttons: [Dialog.okButton({ label: "Close" })] });
    };
    app.commands.addCommand(SHOW, { label: "Your Own Settings: What Is Used and What Is Broken", execute: show });
    await app.restored; // the commands that show a notice are there then
    const told = await ask(address);
    if (told?.without) banner(app, told);
    else if (told?.broken.length) await notice(app, told);
  };
  return { id: "benchtop:settings", autoStart: true, activate: (app) => void activate(app) };
};
