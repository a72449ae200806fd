/* What this page asks, and how. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;

/** JSON of this server or of the facility; nothing where there is none, or nobody answers. */
export const ask = async (url, method = "GET", body = undefined) => {
  const [, xsrf = ""] = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/) ?? [];
  const signal = AbortSignal.timeout(20 * SECOND);
  const headers = { "X-XSRFToken": xsrf };
  try {
    const answer = await fetch(url, { method, signal, cache: "no-store", headers, body: body && JSON.stringify(body) });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
};

/** The address of something that lab/benchtop_lab/session/ answers. */
export const own = (app, path) => `${app.serviceManager.serverSettings.baseUrl}benchtop/${path}`;
