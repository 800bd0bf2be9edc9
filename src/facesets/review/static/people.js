// The grid of people: search and sort, names typed into tiles, and what is done with several at once.
import { act, isTyping } from "./app.js";
import { WindowedList, arrows } from "./list.js";
import { keep, offer, restore } from "./names.js";
import { pick } from "./picker.js";

const filters = document.querySelector("[data-filters]");
const query = () => String(new URLSearchParams(new FormData(filters)));
const list = new WindowedList(document.getElementById("people"), { query });
const actions = document.getElementById("actions");
const standing = list.list.dataset.standing;

// ---- search, sort, filter
let timer = 0;
filters.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    history.replaceState(null, "", `?${query()}`);
    list.refresh({ reset: true });
  }, 120);
});
filters.addEventListener("submit", (event) => event.preventDefault());
list.list.addEventListener("list:total", (event) => {
  document.getElementById("total").textContent = event.detail.toLocaleString("en");
  document.getElementById("empty").hidden = event.detail > 0;
});

// ---- names
list.list.addEventListener("input", (event) => {
  if (event.target.matches("input.name")) offer(event.target);
});
list.list.addEventListener("change", async ({ target }) => {
  if (!target.matches("input.name")) return;
  const tile = target.closest("[data-id]");
  if (await keep(target, tile.dataset.id)) tile.classList.add("named");
});
list.list.addEventListener("keydown", (event) => {
  if (!event.target.matches("input.name")) return;
  const tile = event.target.closest("[data-at]");
  if (event.key === "Escape") {
    restore(event.target);
    tile.querySelector("a").focus();
  } else if (event.key === "Enter") {
    event.preventDefault();
    // the next field, whose focus keeps this name
    const next = list.at(Number(tile.dataset.at) + 1)?.querySelector("input.name");
    if (next?.isConnected) next.select();
    else event.target.blur();
  }
});

// ---- selection
list.list.addEventListener("click", (event) => {
  const box = event.target.closest("input[type=checkbox]");
  if (box) list.choose(box.closest("[data-id]"), { on: box.checked, range: event.shiftKey });
  const yes = event.target.closest("[data-yes]");
  if (yes) {
    const input = yes.closest("[data-id]").querySelector("input.name");
    input.value = input.dataset.hint;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    yes.remove();
    input.focus();
  }
  const back = event.target.closest("[data-back]");
  if (back) act("bring-back", { sets: back.dataset.back });
});
list.list.addEventListener("list:selected", (event) => {
  actions.hidden = event.detail === 0;
  document.getElementById("chosen").textContent = `${event.detail.toLocaleString("en")} selected`;
});

const perform = {
  none: () => list.clear(),
  ignore: () => act("ignore", { sets: [...list.selected] }),
  "bring-back": () => act("bring-back", { sets: list.selected.size ? [...list.selected] : [list.current.dataset.id] }),
  merge: async () => {
    const sets = [...list.selected];
    const into = await pick({ title: `Who are these ${sets.length}?`, anew: "They are" });
    if (into?.set) act("merge", { sets, into: into.set });
    else if (into) act("merge", { sets, name: into.name });
  },
};
actions.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-do]");
  if (chosen) perform[chosen.dataset.do]();
});

document.addEventListener("facesets:changed", ({ detail }) => {
  if (detail.name !== "name") anew(); // a tile that got its name stays where it is
});
function anew() {
  list.clear();
  list.refresh();
}
document.addEventListener("facesets:outdated", anew);
document.addEventListener("facesets:run-ended", () => list.refresh());

document.addEventListener("keydown", (event) => {
  if (isTyping(event) || document.querySelector("dialog[open]")) return;
  const tile = list.current;
  if (arrows(list, event)) return;
  if (event.key === "/") filters.q.focus();
  else if (event.key === "Escape") list.clear();
  else if (event.key.toLowerCase() === "x" && tile) list.choose(tile, { range: event.shiftKey });
  else if (event.key === "n" && tile) tile.querySelector("input.name")?.select();
  else if (event.key === "b" && standing === "ignored" && (list.selected.size || tile)) perform["bring-back"]();
  else if (event.key === "i" && list.selected.size && standing !== "ignored") perform.ignore();
  else if (event.key === "m" && list.selected.size > 1 && standing !== "ignored") perform.merge();
  else return;
  event.preventDefault();
});

// another window may have changed something meanwhile
addEventListener("focus", () => list.refresh());
