/* Says why a kernel died, in place of "appears to have died", and that a message is too large to be sent. */
import { ending, go } from "./ended.js";
import { ask, own, SECOND, wait } from "./server.js";

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
  const [{ NotebookPanel }, { Dialog, showDialog, showErrorMessage }, { JupyterFrontEnd }] = await Promise.all([
    load("@jupyterlab/notebook"),
    load("@jupyterlab/apputils"),
    load("@jupyterlab/application"),
  ]);
  let app, urls;

  const explain = async (panel) => {
    const { session } = panel.sessionContext;
    const death = session?.kernel && (await ask(own(app, `kernels/${session.kernel.id}`)));
    const reason = death?.reason ?? "it died, and nobody knows why.";
    const title = death?.memory ? "The kernel ran out of memory" : "The kernel died";
    const body = `The kernel of “${session?.path}” died: ${reason} It is being restarted; its variables are lost.`;
    const again = Dialog.warnButton({ label: "Start again with more memory" });
    const buttons = [...(death?.memory ? [again] : []), Dialog.okButton()];
    const { button } = await showDialog({ title, body, buttons, defaultButton: buttons.length - 1 });
    if (button.label === again.label) await startAgain(app, urls);
  };

  // Upstream's method shows the other words. One that is not there is not missed: then upstream's stay.
  const upstream = NotebookPanel.prototype._onSessionStatusChanged;
  if (upstream) {
    NotebookPanel.prototype._onSessionStatusChanged = function changed(sender, status) {
      if (!app || status !== "autorestarting" || this._autorestarting) {
        upstream.call(this, sender, status);
        return;
      }
      this._autorestarting = true;
      void explain(this);
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
    for (const manager of [app.serviceManager.kernels, app.serviceManager.sessions]) {
      const settings = manager.serverSettings;
      if (settings?.WebSocket) settings.WebSocket = bounded(settings.WebSocket);
    }
  };
  return { id: "benchtop:kernels", autoStart: true, requires: [JupyterFrontEnd.IPaths], activate };
};
