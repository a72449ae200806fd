// Loaded before the proxy: whoever answers in a session's place is given nothing.
//
// The hub starts each session with a certificate for a name of its own, and gives its address as
// https://NODE.NAME:PORT (hub/benchtop_hub/sessions/certificates.py). All that is not the hub is spoken to by TLS, and
// must show, on each connection, a certificate of the sessions CA for NODE.NAME. Upstream would check it
// against the Host header, which is the browser's; and by http it would check nothing.
import dns from "node:dns";
import fs from "node:fs";
import https from "node:https";
import { ConfigurableProxy } from "configurable-http-proxy/lib/configproxy.js";

const GONE = ["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT"]; // nobody answers: upstream says so in a line

// No DNS knows a session: to connect, all but NODE is left out.
function lookup(host, options, callback) {
  const [node, ...name] = host.split(".");
  dns.lookup(name.at(-1) === "session" ? node.replaceAll("--", ".") : host, options, callback);
}

class Sessions extends https.Agent {
  createConnection(options, callback) {
    return super.createConnection({ ...options, servername: options.host, lookup }, callback);
  }
}

const agent = new Sessions({
  keepAlive: true,
  ca: fs.readFileSync("/keys/sessions-ca.pem"),
  minVersion: "TLSv1.3",
  rejectUnauthorized: true,
});
const { proxyOptsForTarget, handleProxyError } = ConfigurableProxy.prototype;

ConfigurableProxy.prototype.proxyOptsForTarget = function (target) {
  if (target.origin === new URL(this.options.defaultTarget).origin) return proxyOptsForTarget.call(this, target);
  return { ...proxyOptsForTarget.call(this, new URL(`https://${target.host}`)), agent };
};

// One line for whatever is wrong on the way to a session. Upstream prints a stack trace, certificate included.
const inOneLine = (error) => String(error?.message ?? error).split("\n")[0];
ConfigurableProxy.prototype.handleProxyError = function (code, kind, req, res, error) {
  if (error && !GONE.includes(error.code)) {
    const what = code === 503 ? "the session itself does not answer: " : "";
    error = { code: GONE[0], message: `${what}${inOneLine(error)}` };
  }
  return handleProxyError.call(this, code, kind, req, res, error);
};
// … nor is one needed where a browser or a session goes away in the middle of a message, which upstream listens for
// nowhere. Like upstream, go on.
process.setUncaughtExceptionCaptureCallback((error) =>
  console.log(`${new Date().toISOString()} [ConfigProxy] error: ${inOneLine(error)}`),
);
