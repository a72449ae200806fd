// Loaded before the proxy: tells the hub that this one has just started, and so knows no route.
//
// The hub would find out by itself only when it looks next, after minutes in which nobody reaches a session.
"use strict";
const fs = require("fs");
const http = require("http");

const AGAIN = 200; // ms
const TIMEOUT = 10000; // ms, for the hub to put all routes in
const options = {
  host: "hub",
  port: 8081,
  method: "POST",
  path: `/jupyterhub/${process.env.CLUSTER}/hub/api/proxy`,
  headers: { Authorization: `token ${fs.readFileSync("/keys/routes.token", "utf8").trim()}` },
  timeout: TIMEOUT,
};
let said = "";

function again(why) {
  if (why !== said) console.log(`announce: ${why}; trying until the hub has given the routes`);
  said = why;
  setTimeout(announce, AGAIN);
}

function announce() {
  let over = false;
  const once = (why) => {
    if (!over) again(why);
    over = true;
  };
  const request = http.request(options, (answer) => {
    answer.resume();
    if (answer.statusCode !== 200) return once(`the hub answers ${answer.statusCode}`);
    over = true;
    console.log("announce: the hub has given the routes");
  });
  request.on("timeout", () => request.destroy(new Error("no answer")));
  request.on("error", (error) => once(`the hub: ${error.message}`));
  request.end();
}

// (the proxy itself listens some instants later; a hub that finds it deaf says so, and is asked again)
setTimeout(announce, AGAIN);
