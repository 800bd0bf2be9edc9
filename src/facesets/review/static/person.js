// One person: faces are picked by click, Shift, drag or x, and then rejected, confirmed, moved, split off.
import { act, ask, failed, go, isTyping, undo, url } from "./app.js";
import { WindowedList, arrows } from "./list.js";
import { keep, offer, restore } from "./names.js";
import { pick } from "./picker.js";

const main = document.getElementById("content");
const set = main.dataset.set;
const filters = document.querySelector("[data-filters]");
const actions = document.getElementById("actions");
const look = document.getElementById("look");
const selected = new Set();
const query = () => String(new URLSearchParams(new FormData(filters)));
const lists = [...document.querySelectorAll("ul[data-list]")].map((list) => new WindowedList(list, { query, selected }));
const listOf = (element) => lists.find((list) => list.list.contains(element)) ?? lists[0];
const current = () => document.activeElement?.closest?.("ul[data-list] [data-id]") ?? null;
let looked = null; // the face that is shown large

// ---- the name
const title = () => main.querySelector("input.title");
main.addEventListener("input", ({ target }) => target === title() && offer(target));
main.addEventListener("change", ({ target }) => target === title() && keep(target, set));
main.addEventListener("keydown", ({ target, key }) => {
  if (target !== title()) return;
  if (key === "Escape") restore(target);
  if (key === "Enter" || key === "Escape") target.blur();
});

/** What stands above the lists, as it is by now: the name, what can be done, the years. */
async function heading() {
  const who = main.querySelector(".who");
  if (!who || title() === document.activeElement) return;
  let page;
  try {
    page = new DOMParser().parseFromString(await (await ask(location.pathname)).text(), "text/html");
  } catch {
    return; // the lists, which are asked for as well, say so
  }
  document.title = page.title;
  if (!page.querySelector(".who")) {
    lists.length = 0; // part of another one by now
    return main.replaceChildren(...page.getElementById("content").childNodes);
  }
  main.querySelector("h1").textContent = page.querySelector("h1").textContent;
  const held = who.contains(document.activeElement);
  who.replaceWith(page.querySelector(".who"));
  if (held) main.querySelector(".who button").focus({ preventScroll: true });
  const [band, years] = [main, page].map((each) => each.querySelector(".band"));
  if (band && years && !band.contains(document.activeElement)) {
    band.replaceChildren(...years.childNodes);
    drawYears();
  }
}
let timer = 0;
function headingSoon() {
  clearTimeout(timer); // once after many quick acts
  timer = setTimeout(heading, 250);
}

// ---- years and order
function drawYears() {
  const [from, to] = [filters.from.value, filters.to.value];
  for (const year of document.querySelectorAll(".year")) {
    const pressed = from !== "" && Number(year.dataset.year) >= Number(from) && Number(year.dataset.year) <= Number(to);
    year.setAttribute("aria-pressed", String(pressed));
    year.style.setProperty("--share", year.dataset.share);
  }
}
if (filters) drawYears();
function within(from, to) {
  filters.from.value = from;
  filters.to.value = to;
  drawYears();
  const said = filters.querySelector("[data-years]");
  said.hidden = from === "";
  said.firstElementChild.textContent = from === to ? `Only ${from}` : `Only ${from}–${to}`;
  reload();
}
function reload() {
  for (const list of lists) list.refresh({ reset: true, scroll: false });
}
filters?.addEventListener("input", reload);
filters?.addEventListener("submit", (event) => event.preventDefault());
main.addEventListener("click", (event) => {
  const year = event.target.closest("[data-year]");
  const era = event.target.closest("[data-from]");
  if (era) within(era.dataset.from, era.dataset.to);
  else if (event.target.closest("[data-all-years]")) within("", "");
  else if (year) {
    const value = year.dataset.year;
    if (event.shiftKey && filters.from.value) {
      const years = [Number(filters.from.value), Number(filters.to.value), Number(value)];
      within(String(Math.min(...years)), String(Math.max(...years)));
    } else if (year.getAttribute("aria-pressed") === "true" && filters.from.value === filters.to.value) within("", "");
    else within(value, value);
  }
});
document.querySelector(".band")?.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const years = [...document.querySelectorAll(".year:not(:disabled)")];
  const at = years.indexOf(event.target.closest(".year"));
  if (!by || at < 0) return;
  event.preventDefault();
  event.stopPropagation();
  const next = years[Math.max(0, Math.min(years.length - 1, at + by))];
  next.focus();
  within(next.dataset.year, next.dataset.year);
});

// ---- picking
document.addEventListener("list:selected", () => {
  actions.hidden = selected.size === 0;
  document.getElementById("chosen").textContent = `${selected.size.toLocaleString("en")} selected`;
  actions.querySelector("[data-do=best]").hidden = selected.size !== 1;
});
document.addEventListener("list:total", (event) => {
  const section = event.target.closest("[data-section]");
  section.querySelector("h2 span").textContent = event.detail.toLocaleString("en");
  const none = section.querySelector(".none");
  if (none) none.hidden = event.detail > 0;
  else section.hidden = event.detail === 0;
});
let dragged = false;
main.addEventListener("click", (event) => {
  const face = event.target.closest("ul[data-list] [data-id]");
  if (!face || dragged) return;
  face.focus({ preventScroll: true });
  if (event.target.closest("span")) open(face);
  else listOf(face).choose(face, { range: event.shiftKey });
});
main.addEventListener("dblclick", (event) => {
  const face = event.target.closest("ul[data-list] [data-id]");
  if (face && !event.target.closest("span")) open(face);
});

// a band drawn with the mouse picks what it touches
const rubber = document.getElementById("rubber");
main.addEventListener("pointerdown", (start) => {
  dragged = false;
  if (start.pointerType !== "mouse" || start.button !== 0 || start.target.closest("button, a, input, select, label")) return;
  const [x, y] = [start.pageX, start.pageY];
  const area = (event) => [Math.min(x, event.pageX), Math.min(y, event.pageY), Math.max(x, event.pageX), Math.max(y, event.pageY)];
  const moved = (event) => {
    const [left, top, right, bottom] = area(event);
    if (!dragged && right - left < 8 && bottom - top < 8) return;
    dragged = true;
    rubber.hidden = false;
    Object.assign(rubber.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
  };
  const ended = (event) => {
    removeEventListener("pointermove", moved);
    rubber.hidden = true;
    if (!dragged) return;
    const [left, top, right, bottom] = area(event);
    for (const list of lists) {
      const inside = [...list.list.children].filter((face) => {
        const at = face.getBoundingClientRect();
        return face.dataset.id && at.left + scrollX < right && at.right + scrollX > left && at.top + scrollY < bottom && at.bottom + scrollY > top;
      });
      list.chooseAll(inside);
    }
    setTimeout(() => (dragged = false));
  };
  addEventListener("pointermove", moved);
  addEventListener("pointerup", ended, { once: true });
});

// ---- what is done with them
const targets = () => (look.open ? [looked] : selected.size ? [...selected] : current() ? [current().dataset.id] : []);

async function perform(what) {
  const faces = targets();
  if (what === "none") return lists[0].clear();
  if (what === "confirm-all") return act("confirm", { set });
  if (what === "merge") {
    const into = await pick({ title: "Who are they the same as?", but: set });
    const answer = into && (await act("merge", { sets: set, into: into.set }, { quiet: true }));
    if (answer) go(url("person", into.set), answer, "merge");
    return null;
  }
  if (!faces.length) return null;
  if (what === "move") {
    const to = await pick({ title: faces.length === 1 ? "Whose face is it?" : `Whose are these ${faces.length} faces?`, anew: main.dataset.made === "true" ? "Somebody new" : "" });
    if (!to) return null;
    return to.set ? act("move", { set, faces, to: to.set }) : act("split", { set, faces, name: to.name });
  }
  if (what === "split") {
    const to = await pick({ title: "Who is it?", but: set, anew: "Somebody new" });
    if (!to) return null;
    return to.set ? act("move", { set, faces, to: to.set }) : act("split", { set, faces, name: to.name });
  }
  return act(what, { set, faces });
}
document.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-do]");
  if (chosen) perform(chosen.dataset.do);
});
document.addEventListener("facesets:changed", async ({ detail }) => {
  headingSoon();
  if (detail.name === "name") return;
  lists[0].clear();
  const gone = ["reject", "move", "split"].includes(detail.name) && detail.values.to !== set;
  if (look.open && gone && !(await step(1)) && !(await step(-1))) look.close();
  if (gone) for (const list of lists) list.remove(detail.values.faces);
  else {
    if (look.open) show(looked);
    await refresh();
  }
});
const refresh = () => Promise.all([...lists].sort((a, b) => b.isSeen - a.isSeen).map((list) => list.refresh()));
const anew = () => Promise.all([heading(), refresh()]);
document.addEventListener("facesets:outdated", () => {
  lists[0]?.clear();
  anew();
});
document.addEventListener("facesets:run-ended", anew);

// ---- a face large
async function show(key) {
  looked = key;
  let card;
  try {
    card = await (await ask(url("look", key))).text();
  } catch (error) {
    return failed(error);
  }
  if (looked !== key) return;
  look.firstElementChild.innerHTML = card;
  look.querySelector("image")?.addEventListener("error", () => {
    look.querySelector("svg").remove();
    look.querySelector(".none").hidden = false;
  });
}
function open(face) {
  face.focus({ preventScroll: true });
  if (!look.open) look.showModal();
  show(face.dataset.id);
}
async function step(by) {
  const list = lists.find((each) => each.placeOf(looked) >= 0);
  const place = list ? list.placeOf(looked) + by : -1;
  if (place < 0 || place >= list.total) return false;
  await list.load(place, place + 1);
  const next = list.at(place);
  if (next?.dataset.id) show(next.dataset.id);
  return true;
}
look.addEventListener("click", (event) => {
  if (event.target === look || event.target.closest("[data-close]")) look.close();
  const by = event.target.closest("[data-step]");
  if (by) step(Number(by.dataset.step));
});
look.addEventListener("close", () => {
  const list = lists.find((each) => each.placeOf(looked) >= 0);
  list?.focusAt(list.placeOf(looked));
});

// ---- keys
const KEYS = { r: "reject", c: "confirm", m: "move", s: "split", p: "best" };
document.addEventListener("keydown", (event) => {
  if (!lists.length || isTyping(event) || document.querySelector("dialog[open]:not(#look)")) return;
  if (look.open) {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
    else if (event.key === "z") undo();
    else if (KEYS[event.key] && event.key !== "s") perform(KEYS[event.key]);
    else return;
    return event.preventDefault();
  }
  const face = current();
  const list = listOf(face);
  const inList = face !== null || document.activeElement === document.body;
  if (inList && arrows(list, event)) return null;
  if (face && (event.key.toLowerCase() === "x" || event.key === " ")) list.choose(face, { range: event.shiftKey });
  else if (face && event.key === "Enter") open(face);
  else if (event.key === "a") list.load(0, list.total).then(() => list.chooseAll(Array.from({ length: list.total }, (_, i) => list.at(i)).filter((each) => each?.dataset.id)));
  else if (event.key === "Escape") list.clear();
  else if (event.key === "n") title().select();
  else if (KEYS[event.key] && targets().length) perform(KEYS[event.key]);
  else return null;
  return event.preventDefault();
});

addEventListener("focus", anew);
