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
    [...selects, form.elements.gpu].filter((field) => field?.options).map((field) => [field, [...field.options]]),
  );
  const reduced = new Map(); // field → the number that it had before another choice made that too large
  const names = (offer, field) => data.lists[offer.fits[field.name]];
  const most = (offers, what) => {
    const values = offers.map((offer) => offer.most[what]);
    return values.includes(null) ? null : Math.max(...values); // null: no limit
  };

  // ---- amounts, as people write them. The hub reads them by itself: hub/benchtop_hub/backends/written.py
  const MINUTES = { w: 10080, d: 1440, h: 60, m: 1, s: 1 / 60 };
  const MEGABYTES = { k: 1 / 1024, m: 1, g: 1024, t: 1024 * 1024 };
  const NEXT = { w: "d", d: "h", h: "m", m: "s" };
  const plain = (text) => text.normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");
  const decimal = (text) => Number(text.replace(",", "."));
  const up = (amount) => Math.ceil(amount - 1e-6);

  function minutes(text) {
    if (/^\d{1,12}$/.test(text)) return Number(text);
    const clock = text.replace(/ ?h$/, "").match(/^(?:(\d{1,4})-)?(\d{1,5}):([0-5]\d)(?::([0-5]\d))?$/);
    if (clock) {
      const [days, hours, rest, seconds] = clock.slice(1).map((part) => Number(part || 0));
      return days * 1440 + hours * 60 + rest + (seconds > 0);
    }
    const part = /\s*(?:,|and|und|\+)?\s*(\d{1,12}(?:[.,]\d{1,6})?|[.,]\d{1,6})\s*(w(?:eeks?|ks?)?|d(?:ays?)?|h(?:ours?|rs?)?|std|stunden?|tage?n?|m(?:in(?:ute[sn]?|s)?)?|s(?:ec(?:ond)?s?)?|sekunden?)?\.?(?![a-z])\s*/y;
    let total = 0;
    let smallest = "";
    while (part.lastIndex < text.length || !smallest) {
      const found = part.exec(text);
      if (!found) return NaN;
      let unit = found[2]?.startsWith("st") ? "h" : (found[2] || "").charAt(0).replace("t", "d");
      unit = unit || NEXT[smallest];
      if (!unit || (smallest && MINUTES[unit] >= MINUTES[smallest])) return NaN;
      total += decimal(found[1]) * MINUTES[unit];
      smallest = unit;
    }
    return up(total);
  }

  function megabytes(text) {
    const found = text.match(
      /^(\d{1,12}(?:[.,]\d{1,6})?|[.,]\d{1,6})\s*(?:([kmgt])i?(?:b|bytes?)?|([kmgt])(?:iga|ega|era|ibi|ebi|ilo)\w*bytes?)?$/,
    );
    if (!found) return NaN;
    const bare = /^\d+$/.test(text) && Number(text) >= 100 ? "m" : "g";
    return up(decimal(found[1]) * MEGABYTES[found[2] || found[3] || bare]);
  }

  function duration(amount) {
    const [hours, rest] = [Math.floor(amount / 60), amount % 60];
    return [hours ? `${hours} h` : "", rest || !hours ? `${rest} min` : ""].filter((word) => word).join(" ");
  }

  function size(amount) {
    return amount >= 512 && amount % 512 === 0 ? `${amount / 1024} GB` : `${amount} MB`;
  }

  const KINDS = {
    minutes: {
      read: minutes,
      show: duration,
      wrong: "This is not a length of time. Write it like 90 min, 12 h or 1:30.",
      example: "For example 90 min, 12 h or 1:30.",
    },
    megabytes: {
      read: megabytes,
      show: size,
      wrong: "This is not an amount. Write it like 2 GB or 1500 MB.",
      example: "For example 2 GB, 1.5 GB or 1500 MB.",
    },
  };
  const PLAIN = { read: Number, show: String };
  const kind = (field) => KINDS[field.dataset.amount] || PLAIN;
  // the number that a field holds; null: nothing, NaN: none that anybody could read
  const amount = (field) => (field.value.trim() ? kind(field).read(plain(field.value)) : null);

  // Shows the options that are allowed; what was chosen stays chosen, or else the first one is.
  function narrow(field, allowed) {
    const chosen = field.value;
    field.replaceChildren(...options.get(field).filter((option) => allowed(option.value)));
    const offered = new Set([...field.options].map((option) => option.value.split(":")[0]));
    for (const line of document.querySelectorAll(`#${field.name}-lines > li`))
      line.hidden = !offered.has(line.dataset.value);
    field.value = chosen;
    if (field.selectedIndex < 0) field.selectedIndex = 0;
  }

  // A number that somebody typed is theirs: if it is too large, the field says so. One that another choice
  // makes too large follows that choice, which the field says too, and is back when a later choice allows it.
  function limitTo(field, limit, changed) {
    const help = document.getElementById(`${field.name}-help`);
    const { show, wrong, example } = kind(field);
    if (changed === field) reduced.delete(field);
    const wanted = reduced.get(field) ?? amount(field);
    const before = field.getAttribute("max");
    const fitted = reduced.has(field) || !before || wanted <= Number(before);
    const over = limit !== null && wanted > limit;
    if (over && fitted && changed && changed !== field) {
      reduced.set(field, wanted);
      field.value = show(limit);
    } else if (!over && reduced.has(field)) {
      field.value = show(wanted);
      reduced.delete(field);
    }
    field.toggleAttribute("max", limit !== null);
    if (limit !== null) field.setAttribute("max", limit);
    const unread = Number.isNaN(wanted);
    const tooLarge = over && !reduced.has(field);
    const problem = unread ? wrong : tooLarge ? `${show(wanted)} is more than the maximum of ${show(limit)}.` : "";
    // (a field that does not count for what is chosen is not shown, and must not stop anybody)
    if (field.dataset.amount) field.setCustomValidity(field.offsetParent ? problem : "");
    if (problem) field.setAttribute("aria-invalid", "true");
    else if (changed) field.removeAttribute("aria-invalid");
    help.classList.toggle("bt-problem", Boolean(problem));
    const words = limit === null ? [] : [`Maximum ${show(limit > 10240 ? limit - (limit % 512) : limit)}`];
    if (reduced.has(field)) words.push(`Reduced from ${show(wanted)}.`);
    else if (field.dataset.amount && wanted !== null && plain(field.value) !== plain(show(wanted)))
      words.push(`That is ${show(wanted)}.`);
    else if (example) words.push(example);
    help.textContent = problem || words.join(". ");
  }

  // changed: the field that somebody has just changed
  function update(changed) {
    showChosen("environment");
    showChosen("image");
    let left = data.offers;
    // what is no job has limits of its own, which stand beside its choice
    const place = document.querySelector(`#where-lines > li[data-value="${form.elements.where?.value}"]`);
    const own = place && place.dataset.value !== "batch" ? JSON.parse(place.dataset.most || "{}") : null;
    for (const field of selects) {
      const before = left;
      narrow(field, (value) => before.some((offer) => names(offer, field).includes(value)));
      left = left.filter((offer) => names(offer, field).includes(field.value));
    }
    if (form.elements.partition) showFree(form.elements.partition.value);
    if (form.elements.gpu?.options) {
      const fits = (value) => {
        const [kind, count] = value.split(":");
        return value === "none" ? left : left.filter((offer) => (offer.gpus[kind] || 0) >= Number(count));
      };
      narrow(form.elements.gpu, (value) => value === "none" || fits(value).length > 0);
      left = fits(form.elements.gpu.value);
    }
    for (const name of ["cpus", "memory", "disk", "runtime"]) {
      const field = form.elements[name];
      if (field && own) limitTo(field, own[name] ?? null, changed);
      else if (field && left.length) limitTo(field, most(left, name), changed);
    }
  }

  // Of environments and images, only what is said of the chosen one is shown; these fields need nothing else of this script.
  function showChosen(name) {
    for (const line of document.querySelectorAll(`#${name}-lines > li`))
      line.hidden = line.dataset.value !== form.elements[name].value;
  }

  function showFree(partition) {
    const free = data.free[partition] || {};
    const part = (kind, unit) => `${free[kind][0]} of ${free[kind][1]} ${unit}`;
    const gigabytes = free.memory?.map((amount) => Number((amount / 1024).toFixed(1)));
    const kinds = Object.keys(free).filter((kind) => !["cpus", "memory", "any"].includes(kind));
    const help = document.getElementById("gpu-help");
    if (free.cpus)
      document.getElementById("partition-help").textContent =
        `Free now: ${part("cpus", "CPUs")}, ${gigabytes.join(" of ")} GB memory.`;
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
