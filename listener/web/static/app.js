// Countdowns, times in the reader's own zone, and pages that follow what happens. Everything works without it too.
"use strict";

const REFRESH_MS = 4000;
const root = document.documentElement;
const speed = Number(root.dataset.speed || 1);

// ---- the server's clock: it may run at another speed (the demo), and the computer may sleep -----------------

let serverThen = Date.parse(root.dataset.now);
let hereThen = Date.now();

function now() {
  return serverThen + (Date.now() - hereThen) * speed;
}

function setNow(text) {
  const then = Date.parse(text);
  if (!Number.isNaN(then)) {
    serverThen = then;
    hereThen = Date.now();
  }
}

// ---- countdowns ---------------------------------------------------------------------------------------------

function hands(ms) {
  const seconds = Math.floor(Math.abs(ms) / 1000);
  if (seconds >= 48 * 3600) {
    return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
  }
  const two = (n) => String(n).padStart(2, "0");
  const hour = Math.floor(seconds / 3600);
  const minute = Math.floor(seconds / 60) % 60;
  return hour ? `${hour}:${two(minute)}:${two(seconds % 60)}` : `${minute}:${two(seconds % 60)}`;
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const levels = new Map(); // by clock: a change is said once, even when the page's parts are exchanged

function tick() {
  const said = [];
  for (const node of document.querySelectorAll("[data-due]")) {
    const left = Date.parse(node.dataset.due) - now();
    const level = left < 0 ? "late" : left < Number(node.dataset.target) * 250 ? "soon" : "ok";
    set(node.querySelector("b"), hands(left));
    set(node.querySelector("span"), left < 0 ? "late" : "left");
    if (node.dataset.level !== level) node.dataset.level = level;
    const before = levels.get(node.dataset.name);
    if (before !== undefined && before !== level && level !== "ok") {
      said.push(`${node.dataset.name}: ${level === "late" ? "late now" : `only ${hands(left)} left`}`);
    }
    levels.set(node.dataset.name, level);
  }
  if (said.length) set(document.getElementById("announce"), [...new Set(said)].join(". "));
  for (const node of document.querySelectorAll("time[data-ago]")) set(node, ago(Date.parse(node.dateTime)));
}

// ---- times --------------------------------------------------------------------------------------------------

const sameDay = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const otherDay = new Intl.DateTimeFormat([], {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const full = new Intl.DateTimeFormat([], { dateStyle: "full", timeStyle: "long" });

function ago(then) {
  const seconds = (now() - then) / 1000;
  const size = Math.abs(seconds);
  const [n, unit] =
    size < 5 ? [0, ""] : size < 60 ? [size, "s"] : size < 3600 ? [size / 60, "min"]
    : size < 48 * 3600 ? [size / 3600, "h"] : [size / 86400, "d"];
  if (!unit) return "now";
  return seconds > 0 ? `${Math.floor(n)} ${unit} ago` : `in ${Math.floor(n)} ${unit}`;
}

function localTimes(within) {
  for (const node of within.querySelectorAll("time[data-when], time[data-ago]")) {
    const then = new Date(node.dateTime);
    node.title = full.format(then);
    if ("ago" in node.dataset) continue;
    const today = then.toDateString() === new Date(now()).toDateString();
    set(node, (today ? sameDay : otherDay).format(then));
  }
}

// ---- what has changed ---------------------------------------------------------------------------------------

const shown = new Map(); // what the server last sent of each part, before our own times went in
let tag = "";
let timer = 0;

function busy(part) {
  const active = document.activeElement;
  const writing = part.contains(active) && active.matches("input:not([type=hidden]), select, textarea");
  const dirty = [...part.querySelectorAll("input:not([type=hidden]), textarea")].some(
    (field) => field.value !== field.defaultValue,
  );
  const chosen = [...part.querySelectorAll("select")].some(
    (field) => field.selectedIndex !== Math.max(0, [...field.options].findIndex((o) => o.defaultSelected)),
  );
  const selection = document.getSelection();
  const selecting = selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  return { writing: writing || dirty || chosen, selecting };
}

const FOCUSABLE = "a[href], button, summary";

function exchange(part, fresh) {
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const key = active && active.dataset.key;
  const place = active ? [...part.querySelectorAll(FOCUSABLE)].indexOf(active) : -1;
  const open = new Map([...part.querySelectorAll("details[id]")].map((d) => [d.id, d.open]));
  part.replaceChildren(...fresh.childNodes);
  for (const details of part.querySelectorAll("details[id]")) {
    if (open.has(details.id)) details.open = open.get(details.id);
  }
  const again = key
    ? part.querySelector(`[data-key="${CSS.escape(key)}"]`)
    : part.querySelectorAll(FOCUSABLE)[place];
  if (active && again) again.focus({ preventScroll: true });
  localTimes(part);
}

function follow(page) {
  let all = true; // whether every change could be shown
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const name = fresh.dataset.live;
    const part = document.querySelector(`[data-live="${name}"]`);
    const html = fresh.innerHTML;
    if (!part || shown.get(name) === html) continue;
    const first = !shown.has(name);
    const { writing, selecting } = busy(part);
    if (selecting || writing) all = false;
    if (selecting) continue;
    if (writing) {
      // Nobody loses what they write; they are only told. The very first answer is no change.
      const stale = part.querySelector(".stale");
      if (stale && !first) stale.hidden = false;
      if (first) shown.set(name, html);
      continue;
    }
    shown.set(name, html);
    exchange(part, fresh);
  }
  if (page.title) document.title = page.title;
  tick();
  return all;
}

function lost(text) {
  const node = document.getElementById("lost");
  set(node, text);
  node.hidden = !text;
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return; // visibilitychange calls again
  let again = REFRESH_MS;
  try {
    const headers = { "Listener-Live": "1" };
    if (tag) headers["If-None-Match"] = tag;
    // After a refused form the address is that of the form; the page itself is elsewhere.
    const page = root.dataset.path;
    const url = page === location.pathname ? page + location.search : page;
    const answer = await fetch(url, { headers, credentials: "same-origin", cache: "no-store", redirect: "error" });
    if (answer.status === 401) {
      lost("You were logged out. Reload the page to log in.");
      return;
    }
    setNow(answer.headers.get("Listener-Now"));
    if (answer.status === 200) {
      const all = follow(new DOMParser().parseFromString(await answer.text(), "text/html"));
      tag = (all && answer.headers.get("ETag")) || "";
    } else if (answer.status !== 304) {
      throw new Error(`HTTP ${answer.status}`);
    }
    lost("");
  } catch {
    again = 3 * REFRESH_MS;
    lost("Listener can't be reached just now; what you see may be old. Trying again.");
  }
  timer = setTimeout(refresh, again);
}

// ---- copying ------------------------------------------------------------------------------------------------

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const field = document.getElementById(button.dataset.copy);
    field.focus();
    field.select();
    try {
      await navigator.clipboard.writeText(field.value); // missing where the page came without https
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected: press Ctrl+C";
    }
  });
}

// ---- start --------------------------------------------------------------------------------------------------

if (root.dataset.now) {
  localTimes(document);
  tick();
  setInterval(tick, 1000);
  // The message is said once: not again when the page is reloaded or shared.
  const place = new URL(location.href);
  if (place.searchParams.has("done")) {
    place.searchParams.delete("done");
    history.replaceState(null, "", place.pathname + place.search + place.hash);
  }
  if (document.querySelector("[data-live]")) {
    document.addEventListener("visibilitychange", () => {
      tick();
      refresh();
    });
    addEventListener("online", refresh);
    timer = setTimeout(refresh, REFRESH_MS);
  }
}
