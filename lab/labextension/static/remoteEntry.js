/* What the facility adds to JupyterLab: each thing in a module of its own beside this file, named in FEATURES.
 *
 * Written as a bundler would put it out (a container of module federation), so that nothing has to be built. A
 * module's default export makes a plugin of JupyterLab, or several: it is given `load`, by which it gets a
 * module of JupyterLab's own, such as "@jupyterlab/statusbar", where it needs more than commands.
 */
(() => {
  const FEATURES = [
    "notices", "status", "ended", "kernels", "elsewhere", "help", "settings", "home", "environments", "jobs",
    "tutorials",
  ];

  const here = document.currentScript.src.replace(/[^/]*$/, "");
  let shared = {}; // JupyterLab's own modules: name → version → how to get it

  /** A module of JupyterLab. Fails where this JupyterLab has none of that name. */
  const load = async (name) => {
    const [version] = Object.values(shared[name] ?? {});
    if (!version) throw new Error(`this JupyterLab has no ${name}`);
    return (await version.get())();
  };

  /** The plugins of one feature; none where it does not load, so that the others are there all the same. */
  const plugins = async (feature) => {
    try {
      return await (await import(`${here}${feature}.js`)).default({ load });
    } catch (error) {
      console.error(`benchtop: ${feature} is missing:`, error);
      return [];
    }
  };

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB.benchtop = {
    init: (scope) => void (shared = scope),
    get: async () => {
      const made = (await Promise.all(FEATURES.map(plugins))).flat();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
