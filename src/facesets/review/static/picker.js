// Choosing a person by the beginning of a name or a number, with their faces; or a new name.
import { ask, failed, url } from "./app.js";

const dialog = document.getElementById("picker");
const input = dialog.querySelector("input");
const options = dialog.querySelector("ul");
let settle = () => {};
let asked = 0;
let wanted = {};
let found = Promise.resolve(); // what was asked for last is here

/** Resolves to {set}, {name} (somebody new; only with `anew`), or null. `but`: the set that is not offered. */
export function pick({ title, but = "", anew = "" }) {
  settle(null); // of one that was closed a moment ago
  wanted = { but, anew };
  dialog.querySelector("h2").textContent = title;
  input.value = "";
  options.replaceChildren();
  dialog.showModal();
  found = find();
  return new Promise((resolve) => (settle = resolve));
}

function option(content, data) {
  const item = document.createElement("li");
  item.setAttribute("role", "option");
  item.id = `picker-${options.children.length}`;
  Object.assign(item.dataset, data);
  item.append(...content);
  options.append(item);
}

function text(tag, value) {
  const element = document.createElement(tag);
  element.textContent = value;
  return element;
}

async function find() {
  const turn = (asked += 1);
  let people;
  try {
    people = await (await ask(`${url("names")}?${new URLSearchParams({ q: input.value, but: wanted.but })}`)).json();
  } catch (error) {
    if (turn === asked) {
      options.replaceChildren(); // nobody is taken who was found for what was typed before
      failed(error);
    }
    return;
  }
  if (turn !== asked) return; // more was typed meanwhile
  options.replaceChildren();
  for (const each of people) {
    const image = document.createElement("img");
    image.alt = "";
    image.width = image.height = 44;
    if (each.face) image.src = url("face", each.face, "small");
    const name = text("bdi", each.name ?? each.set);
    option([image, name, text("small", each.name ? `${each.set} · ${each.faces}` : `${each.faces} faces`)], { set: each.set });
  }
  const name = input.value.trim();
  if (wanted.anew) option([text("span", name ? `${wanted.anew}: ` : wanted.anew), text("bdi", name)], { name });
  mark(0);
}

function mark(place) {
  const all = [...options.children];
  if (!all.length) return input.removeAttribute("aria-activedescendant");
  const at = (place + all.length) % all.length;
  all.forEach((each, i) => each.setAttribute("aria-selected", String(i === at)));
  input.setAttribute("aria-activedescendant", all[at].id);
  all[at].scrollIntoView({ block: "nearest" });
}

const marked = () => [...options.children].findIndex((each) => each.getAttribute("aria-selected") === "true");

function take(item) {
  const chosen = item.dataset.set ? { set: item.dataset.set } : { name: item.dataset.name };
  const done = settle;
  settle = () => {};
  dialog.close();
  done(chosen);
}

input.addEventListener("input", () => (found = find()));
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") mark(marked() + 1);
  else if (event.key === "ArrowUp") mark(marked() - 1);
  else if (event.key === "Enter") found.then(() => marked() >= 0 && take(options.children[marked()])); // a quick hand is waited for
  else return;
  event.preventDefault();
});
options.addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) take(item);
});
// closing it means that nothing happened
dialog.addEventListener("close", () => dialog.open || settle(null));
