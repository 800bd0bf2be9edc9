// A field in which a name is typed: known names are offered, Enter or leaving it keeps the name, Escape takes it back.
import { act, ask, url } from "./app.js";

const known = document.getElementById("names");
let asked = "";

export async function offer(input) {
  if (!input.value.trim() || input.value === asked) return;
  asked = input.value;
  const answer = await ask(`${url("names")}?${new URLSearchParams({ q: asked, also: "sources" })}`).catch(() => null); // keeping the name will say so
  const found = (await answer?.json()) ?? [];
  if (asked !== input.value) return; // more was typed meanwhile
  const names = new Set(found.map((each) => each.name).filter(Boolean));
  known.replaceChildren(...[...names].map((value) => Object.assign(document.createElement("option"), { value })));
}

/** Resolves to whether the name is kept. */
export async function keep(input, set) {
  const name = input.value.trim();
  const before = input.defaultValue;
  if (!name || name === before) {
    input.value = before;
    return false;
  }
  input.defaultValue = input.value = name;
  if (await act("name", { set, name })) return true;
  input.defaultValue = input.value = before;
  return false;
}

export function restore(input) {
  input.value = input.defaultValue;
}
