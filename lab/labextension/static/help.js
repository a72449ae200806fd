/* The Help menu leads to the facility's pages. */
import { ask, own } from "./server.js";

export default async ({ load }) => {
  const [{ IMainMenu }, { JupyterFrontEnd }, { ICommandPalette }] = await Promise.all([
    load("@jupyterlab/mainmenu"),
    load("@jupyterlab/application"),
    load("@jupyterlab/apputils"),
  ]);

  const activate = async (app, paths, menu, palette) => {
    const add = (id, label, address) => {
      const command = `benchtop:${id}`;
      app.commands.addCommand(command, { label, execute: () => window.open(address(), "_blank", "noopener") });
      palette?.addItem({ command, category: "Facility" });
      return { command };
    };
    let support = "";
    const group = [
      add("start-page", "Start Page of the Facility", () => "/"),
      add("how-it-works", "Help with the Facility", () => "/help"),
      add("sessions", "My Sessions", () => `${paths.urls.hubPrefix}home`),
      add("support", "Contact the Support", () => (support.includes("@") ? `mailto:${support}` : "/")),
    ];
    menu.helpMenu.addGroup(group, 0);
    support = (await ask(own(app, "status")))?.support ?? "";
  };
  return {
    id: "benchtop:help",
    autoStart: true,
    requires: [JupyterFrontEnd.IPaths, IMainMenu],
    optional: [ICommandPalette],
    activate: (...given) => void activate(...given),
  };
};
