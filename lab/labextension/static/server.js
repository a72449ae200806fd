/* What this page asks, and how. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;

export const wait = (time) => new Promise((done) => setTimeout(done, time));

const { baseUrl, token } = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");

/* This page's own token, by which JupyterLab itself asks its server, and nobody else. It is good for as long as the
 * page: the login at the front door, by which a cookie counts, may have ended before. */
const shown = (url) =>
  token && new URL(url, location).pathname.startsWith(baseUrl) ? { Authorization: `token ${token}` } : {};

/** JSON of this server or of the facility; nothing where there is none, or nobody answers. */
export const ask = async (url, method = "GET", body = undefined) => {
  const [, xsrf = ""] = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) ?? [];
  const signal = AbortSignal.timeout(20 * SECOND);
  const headers = { "X-XSRFToken": xsrf, ...shown(url) };
  try {
    const answer = await fetch(url, { method, signal, cache: "no-store", headers, body: body && JSON.stringify(body) });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
};

/** The address of something that lab/benchtop_lab/session/ answers. */
export const own = (app, path) => `${app.serviceManager.serverSettings.baseUrl}benchtop/${path}`;
