// What all pages share: asking for a change, saying what it did with an undo beside it, keys, and the list of keys.

// on a phone the page's own name may lie beyond the edge of the row that it stands in
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

export const base = document.body.dataset.base;
export const url = (...parts) => [base, ...parts.map(encodeURIComponent)].join("/");

/** Whether a key belongs to what is typed into, or goes with Ctrl, Alt or Meta. */
export const isTyping = (event) =>
  event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

/** The server's answer to a request of ours: a POST where there is a form. Throws an error whose message is for the reader; `status` is HTTP's. */
export async function ask(address, { form, signal } = {}) {
  let answer;
  try {
    const sent = form ? { method: "POST", body: new URLSearchParams(form) } : {};
    answer = await fetch(address, { ...sent, headers: { "X-Facesets": "1" }, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const done = form ? " The history says whether this was still done." : "";
    throw new Error(`facesets review does not answer. Is it still running?${done}`);
  }
  if (answer.ok) return answer;
  if (answer.headers.get("content-type")?.startsWith("application/json")) throw Object.assign(new Error((await answer.json()).error), { status: answer.status });
  throw new Error("facesets review was started again. Open the new link that it printed; nothing you decided is lost.");
}

let last = []; // the decisions of the last act on this page: what z takes back

/** Ask for a change. Resolves to the server's answer; where it said no, that is said, and the answer is null. */
export async function act(name, values, { quiet = false } = {}) {
  let answer;
  try {
    answer = await (await ask(url("act", name), { form: values })).json();
  } catch (error) {
    failed(error);
    if (error.status === 404) document.dispatchEvent(new CustomEvent("facesets:outdated")); // what the page shows is not there any more
    return null;
  }
  if (answer.decisions.length) last = name === "undo" ? [] : answer.decisions;
  if (!quiet) say(answer, name);
  document.dispatchEvent(new CustomEvent("facesets:changed", { detail: { name, values, answer } }));
  return answer;
}

/** Say what an act did, with an undo and what may follow. */
export function say(answer, name = "") {
  const buttons = answer.offers.map((offer) => [offer.label, () => act(offer.act, offer.values)]);
  if (answer.decisions.length) {
    const label = name === "undo" ? "Do it again" : "Undo";
    buttons.push([label, () => act("undo", { decisions: answer.decisions })]);
  }
  toast([...answer.said, ...answer.notes], { buttons });
}

/** To another page, which says what an act did. */
export function go(address, answer, name) {
  sessionStorage.setItem("facesets-said", JSON.stringify({ answer, name }));
  location.assign(address);
}
const before = sessionStorage.getItem("facesets-said");
if (before) {
  sessionStorage.removeItem("facesets-said");
  const { answer, name } = JSON.parse(before);
  last = answer.decisions;
  say(answer, name);
}

/** Say what went wrong. */
export function failed(error) {
  toast([error.message], { failed: true });
}

/** A message at the bottom; it goes by itself once it was there to be read, or when there are many. */
export function toast(lines, { failed = false, buttons = [] } = {}) {
  const box = document.createElement("div");
  box.className = failed ? "toast failed" : "toast";
  const text = document.createElement("div");
  text.append(
    ...lines.slice(0, 4).map((line) => {
      const p = document.createElement("p");
      p.dir = "auto";
      p.textContent = line;
      return p;
    }),
  );
  box.append(text);
  for (const [label, run] of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => (box.remove(), run()));
    box.append(button);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.className = "plain";
  close.setAttribute("aria-label", "Close");
  close.textContent = "×";
  close.addEventListener("click", () => box.remove());
  box.append(close);
  const toasts = document.getElementById("toasts");
  // what lies behind a dialog can neither be read nor clicked
  const front = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
  if (toasts.parentElement !== front) front.append(toasts);
  toasts.append(box);
  while (toasts.children.length > 3) toasts.firstElementChild.remove();
  let timer = 0;
  const wait = () => (timer = setTimeout(() => (box.matches(":hover, :focus-within") ? wait() : box.remove()), failed ? 20000 : 12000));
  wait();
  return box;
}

document.addEventListener(
  "close",
  (event) => {
    const toasts = document.getElementById("toasts");
    if (event.target.contains(toasts)) document.body.append(toasts);
  },
  true,
);

export const undo = () => act("undo", last.length ? { decisions: last } : {});

document.addEventListener("click", (event) => {
  const asks = event.target.closest("[data-act]");
  if (asks) act(asks.dataset.act, JSON.parse(asks.dataset.values));
  else if (event.target.closest("[data-undo]")) undo();
  else if (event.target.closest("[data-help]")) document.getElementById("help").showModal();
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || document.querySelector("dialog[open]")) return;
  if (event.key === "z") undo();
  else if (event.key === "?") document.getElementById("help").showModal();
  else return;
  event.preventDefault();
});

// every request of htmx is one of ours
document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-Facesets"] = "1";
});
