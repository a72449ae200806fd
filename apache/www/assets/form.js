// The spawn form shows what fits together. What fits stands beside it as JSON, written by
// hub/benchtop_hub/backends/*/form.py; the form works without this script, and the hub believes neither.
"use strict";

(() => {
  const form = document.getElementById("spawn_form");
  const data = JSON.parse(document.getElementById("offers").textContent);
  const selects = ["pool", "partition", "account", "qos", "reservation"]
    .map((name) => form.elements[name])
    .filter((field) => field);
  const options = new Map(
    [...selects, form.elements.gpu].filter((field) => field).map((field) => [field, [...field.options]]),
  );
  const reduced = new Map(); // field → the number that it had before another choice made that too large
  const names = (offer, field) => data.lists[offer.fits[field.name]];
  const most = (offers, what) => {
    const values = offers.map((offer) => offer.most[what]);
    return values.includes(null) ? null : Math.max(...values); // null: no limit
  };

  // Shows the options that are allowed; what was chosen stays chosen, or else the first one is.
  function narrow(field, allowed) {
    const chosen = field.value;
    field.replaceChildren(...options.get(field).filter((option) => allowed(option.value)));
    field.value = chosen;
    if (field.selectedIndex < 0) field.selectedIndex = 0;
  }

  // A number that somebody typed is theirs: if it is too large, the field says so. One that another choice
  // makes too large follows that choice, which the field says too, and is back when a later choice allows it.
  function limitTo(field, limit, changed) {
    const help = document.getElementById(`${field.name}-help`);
    if (changed === field) reduced.delete(field);
    const wanted = reduced.get(field) ?? Number(field.value);
    const fitted = reduced.has(field) || field.max === "" || wanted <= Number(field.max);
    const over = limit !== null && wanted > limit;
    if (over && fitted && changed && changed !== field) {
      reduced.set(field, wanted);
      field.value = limit;
    } else if (!over && reduced.delete(field)) field.value = wanted;
    field.toggleAttribute("max", limit !== null);
    if (limit !== null) field.max = limit;
    const tooLarge = over && !reduced.has(field);
    if (tooLarge) field.setAttribute("aria-invalid", "true");
    else if (changed) field.removeAttribute("aria-invalid");
    help.classList.toggle("bt-problem", tooLarge);
    if (limit === null) help.textContent = "";
    else if (tooLarge) help.textContent = `${wanted} is more than the maximum of ${limit}.`;
    else help.textContent = `Maximum ${limit}${reduced.has(field) ? `. Reduced from ${wanted}.` : ""}`;
  }

  // changed: the field that somebody has just changed
  function update(changed) {
    let left = data.offers;
    const job = !form.elements.where || form.elements.where.value === "batch"; // else nothing of a job limits
    for (const field of selects) {
      const before = left;
      narrow(field, (value) => before.some((offer) => names(offer, field).includes(value)));
      left = left.filter((offer) => names(offer, field).includes(field.value));
    }
    if (form.elements.gpu) {
      const fits = (value) => {
        const [kind, count] = value.split(":");
        return value === "none" ? left : left.filter((offer) => (offer.gpus[kind] || 0) >= Number(count));
      };
      narrow(form.elements.gpu, (value) => value === "none" || fits(value).length > 0);
      left = fits(form.elements.gpu.value);
      showFree(form.elements.partition.value);
    }
    for (const name of ["cpus", "memory", "disk", "runtime"]) {
      const field = form.elements[name];
      if (!field || !left.length) continue;
      limitTo(field, job ? most(left, name) : null, changed);
    }
  }

  function showFree(partition) {
    const free = data.free[partition] || {};
    const part = (kind, unit) => `${free[kind][0]} of ${free[kind][1]} ${unit}`;
    const kinds = Object.keys(free).filter((kind) => !["cpus", "memory", "any"].includes(kind));
    const help = document.getElementById("gpu-help");
    if (free.cpus)
      document.getElementById("partition-help").textContent =
        `Free now: ${part("cpus", "CPUs")}, ${part("memory", "MB memory")}.`;
    if (help && form.elements.gpu.options.length > 1)
      help.textContent = `Free now: ${kinds.map((kind) => part(kind, kind)).join(", ")}.`;
    else if (help) help.textContent = "";
  }

  // ---- when would it start? The scheduler works it out for what is chosen, when nothing has changed for a while.
  const expected = document.getElementById("expected");
  let timer;
  let asking = false;
  let again = false;
  async function expect() {
    again = asking; // one question at a time: the next one is asked when this one is answered
    if (asking) return;
    asking = true;
    const fields = Object.fromEntries(new FormData(form));
    delete fields._xsrf;
    const { base_url: base, xsrf_token: token } = window.jhdata;
    try {
      const answer = await fetch(`${base}api/users/${form.dataset.person}/expected-start`, {
        method: "POST",
        body: JSON.stringify(fields),
        headers: { "Content-Type": "application/json", "X-XSRFToken": token },
      });
      expected.textContent = (await answer.json()).sentence || "";
    } catch {
      expected.textContent = ""; // a wish, not a need: the form works without it
    }
    asking = false;
    if (again) expect();
  }
  function soon() {
    clearTimeout(timer);
    timer = setTimeout(expect, 500);
  }

  form.addEventListener("input", (event) => {
    update(event.target);
    soon();
  });
  update();
  soon();
})();
