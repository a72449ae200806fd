/* Says why a kernel died, in place of "appears to have died", and that a message is too large to be sent. And
 * looks which kernels there are, so that one that was published now is in the Launcher within a minute. */
import { element } from "./elements.js";
import { ending, go } from "./ended.js";
import { ask, own, SECOND, wait } from "./server.js";

const ANEW = 30 * SECOND; // until it is looked again which kernels there are; upstream takes 61 s

const LARGEST = 100 * 2 ** 20; // bytes, as the server has it: lab/config/jupyter/jupyter_server_config.py
const MORE = 2; // times the memory that was not enough
const PATIENCE = 60; // questions to the hub until the session is gone

/** Save, end this session, and lead to the form of the next one with more memory. */
const startAgain = async (app, urls) => {
  const base = app.serviceManager.serverSettings.baseUrl;
  const { memory } = (await ask(own(app, "status"))) ?? {};
  await app.commands.execute("docmanager:save-all").catch(() => undefined);
  await ask(`${base}api/shutdown`, "POST");
  for (let asked = 0; asked < PATIENCE; asked += 1) {
    const told = await ending(urls);
    if (told?.state === "stopped") {
      const more = memory ? `?where=batch&memory=${Math.round((MORE * memory.granted) / 2 ** 20)}+MB` : "";
      go(app, `${told.start}${more}`);
      return;
    }
    await wait(SECOND);
  }
};

/** The size of what is sent, in bytes at most. */
const size = (message) => (typeof message === "string" ? message.length : (message.byteLength ?? message.size ?? 0));

export default async ({ load }) => {
  const [{ NotebookPanel }, { Dialog, showDialog, showErrorMessage }, { JupyterFrontEnd }, { Widget }] = await Promise.all([
    load("@jupyterlab/notebook"),
    load("@jupyterlab/apputils"),
    load("@jupyterlab/application"),
    load("@lumino/widgets"),
  ]);
  let app, urls;

  /** Sentences, and below them what the kernel printed last. */
  const body = (text, lines) => {
    const node = element("div", "", ...text.split("\n").filter(Boolean).map((sentence) => element("p", sentence)));
    if (lines) {
      const printed = element("pre", lines);
      printed.style.cssText = "white-space: pre-wrap; overflow-wrap: anywhere; max-height: 40vh; overflow: auto";
      node.append(element("p", "Its last lines:"), printed);
    }
    return new Widget({ node });
  };

  const explain = async (panel, kernel) => {
    const path = panel.sessionContext.session?.path;
    const death = kernel && (await ask(own(app, `kernels/${kernel}`)));
    if (death?.final) return; // the words for the end are on their way
    const reason = death?.reason ?? "it died, and nobody knows why.";
    const title = death?.memory ? "The kernel ran out of memory" : "The kernel died";
    const text = `The kernel of “${path}” died: ${reason} It is being restarted; its variables are lost.`;
    const again = Dialog.warnButton({ label: "Start again with more memory" });
    const buttons = [...(death?.memory ? [again] : []), Dialog.okButton()];
    const { button } = await showDialog({ title, body: body(text, death?.lines), buttons, defaultButton: buttons.length - 1 });
    if (button.label === again.label) await startAgain(app, urls);
  };

  /** A kernel that is not started again. */
  const explainEnd = async (kernel) => {
    const death = await ask(own(app, `kernels/${kernel}`));
    if (!death?.final) return;
    Dialog.flush(); // what was said while it was still being restarted
    const [text, lines] = death.reason.split("\n\nIts last lines:\n");
    const buttons = [Dialog.okButton()];
    await showDialog({ title: "The kernel is not started again", body: body(text, lines ?? death.lines), buttons });
  };

  // Upstream's method shows the other words. One that is not there is not missed: then upstream's stay.
  const upstream = NotebookPanel.prototype._onSessionStatusChanged;
  if (upstream) {
    NotebookPanel.prototype._onSessionStatusChanged = function changed(sender, status) {
      const kernel = this.sessionContext.session?.kernel?.id;
      if (app && status === "dead" && kernel) void explainEnd(kernel);
      if (!app || status !== "autorestarting" || this._autorestarting) {
        upstream.call(this, sender, status);
        return;
      }
      this._autorestarting = true;
      void explain(this, kernel);
    };
  }

  /** A websocket that refuses what the server would not take: it would close the connection without a word. */
  const bounded = (Socket) =>
    class extends Socket {
      send(message) {
        if (size(message) > LARGEST) {
          const megabytes = Math.round(size(message) / 2 ** 20);
          const advice = "Put the data into a file, upload it, and read it from there.";
          const text = `${megabytes} MB are more than a kernel takes at once (${LARGEST / 2 ** 20} MB). ${advice}`;
          void showErrorMessage("The cell is too large", text);
          throw new Error(`The cell is too large. ${text}`);
        }
        super.send(message);
      }
    };

  const activate = (jupyterlab, paths) => {
    app = jupyterlab;
    urls = paths.urls;
    // Upstream shows why a kernel did not start in one line, however long
    document.head.append(element("style", ".jp-Dialog-body pre { white-space: pre-wrap; overflow-wrap: anywhere; }"));
    const { kernelspecs } = app.serviceManager;
    setInterval(() => void (document.hidden || kernelspecs.refreshSpecs().catch(() => undefined)), ANEW);
    for (const manager of [app.serviceManager.kernels, app.serviceManager.sessions]) {
      const settings = manager.serverSettings;
      if (settings?.WebSocket) settings.WebSocket = bounded(settings.WebSocket);
    }
  };
  return { id: "benchtop:kernels", autoStart: true, requires: [JupyterFrontEnd.IPaths], activate };
};
