// A long list of which only what can be seen is in the page. Items come from the server in parts; all have the same height.

import { ask, failed } from "./app.js";

const NODES = 1000; // of items in the page, about: a screen, a row against the direction of travel, and a screen in it as far as they fit
const SCREENS = 3; // so many are asked for ahead, once there is less than one
const MOST = 240; // items a request
const KEPT = 3000; // items kept beside the page

export class WindowedList {
  #items = new Map(); // place in the list -> element
  #requests = new Set(); // under way: { first, end, done, aborter, needed }
  #age = 0;
  #drawn = [-1, -1];
  #top = Infinity;
  #down = true; // the direction of travel
  #width = 0;
  #high = 200;
  #nodes = 8; // of an item
  #silent = false; // that the server does not answer was said

  /**
   * `list`: an element with items in it, `data-src` and `data-total`; `query`: what is added to the address; `selected`: ids, which
   * several lists may share; `onDraw`: told of each item shown.
   */
  constructor(list, { query = () => "", selected = new Set(), onDraw = () => {} } = {}) {
    this.list = list;
    this.query = query;
    this.onDraw = onDraw;
    this.total = Number(list.dataset.total);
    this.selected = selected;
    this.anchor = null;
    for (const item of [...list.children]) this.#items.set(Number(item.dataset.at), item);
    const draw = () => this.draw();
    addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(draw).observe(list.parentElement);
    this.draw();
  }

  at(place) {
    return this.#items.get(place);
  }

  placeOf(id) {
    for (const [place, item] of this.#items) if (item.dataset.id === id) return place;
    return -1;
  }

  get columns() {
    return getComputedStyle(this.list).gridTemplateColumns.split(" ").length;
  }

  /** From the top of a row to that of the next. Rows that wait are as high as those that are here. */
  #pitch() {
    const width = this.list.clientWidth;
    const item = [...this.list.children].find((each) => each.dataset.id && each.offsetHeight);
    if (item && width !== this.#width) {
      this.list.style.gridAutoRows = "";
      const high = item.offsetHeight;
      this.list.style.gridAutoRows = `${high}px`;
      this.#high = high + parseFloat(getComputedStyle(this.list).rowGap || 0);
      this.#nodes = item.querySelectorAll("*").length + 1;
      this.#width = width;
    }
    return this.#high;
  }

  /** Put into the page what can be seen, and ask for what is not here yet. */
  draw(force = false) {
    const pitch = this.#pitch();
    const columns = this.columns;
    const rows = Math.ceil(this.total / columns);
    const { top } = this.list.getBoundingClientRect();
    if (top !== this.#top) this.#down = top < this.#top;
    this.#top = top;
    const seen = Math.ceil(innerHeight / pitch) + 1;
    const ahead = Math.max(1, Math.min(seen, Math.floor(NODES / (columns * this.#nodes)) - seen - 1));
    const [above, below] = this.#down ? [1, ahead] : [ahead, 1];
    const [upper, lower] = [Math.min(rows - 1, Math.floor(-top / pitch)), Math.ceil((innerHeight - top) / pitch)];
    const firstRow = Math.max(0, upper - above);
    const lastRow = Math.min(rows, Math.max(firstRow + 1, lower + below));
    const [from, to] = [firstRow * columns, Math.min(this.total, lastRow * columns)];
    this.list.style.paddingTop = `${firstRow * pitch}px`;
    this.list.style.paddingBottom = `${Math.max(0, rows - lastRow) * pitch}px`;
    if (!force && from === this.#drawn[0] && to === this.#drawn[1]) return;
    this.#drawn = [from, to];
    const wanted = new Set();
    for (let place = from; place < to; place += 1) wanted.add(this.#items.get(place) ?? this.#waiting(place));
    for (const child of [...this.list.children]) if (!wanted.has(child)) leave(child);
    let next = this.list.firstElementChild;
    for (const item of wanted) {
      if (item === next) next = next.nextElementSibling;
      else {
        this.list.insertBefore(item, next);
        come(item);
      }
      this.#mark(item);
      this.onDraw(item);
    }
    this.#ask(from, to, [upper * columns, lower * columns]);
  }

  /** What is seen first, then the rest of what is in the page, then what comes next; what was left behind is not waited for. */
  async #ask(from, to, seen) {
    const screen = to - from;
    for (const request of this.#requests) {
      if (!request.needed && (request.end <= from - screen || request.first >= to + screen)) request.aborter.abort();
    }
    const isHere = () => from === this.#drawn[0] && to === this.#drawn[1];
    for (const part of [seen, [from, to]]) {
      await this.load(...part, { needed: false });
      if (!isHere()) return;
    }
    const ahead = (n) => (this.#down ? [to + n * screen, to + (n + 1) * screen] : [from - (n + 1) * screen, from - n * screen]);
    if (!this.#gap(...ahead(0))) return;
    // one after the other, so that a jump elsewhere waits for one at most
    for (let n = 0; n < SCREENS && isHere() && this.isSeen; n += 1) await this.load(...ahead(n), { needed: false });
  }

  #waiting(place) {
    const item = document.createElement(this.list.firstElementChild?.tagName ?? "li");
    item.className = "tile waiting";
    item.dataset.at = place;
    item.setAttribute("aria-hidden", "true");
    item.append(document.createElement("span"));
    this.#items.set(place, item);
    return item;
  }

  /** See that the items from `from` to `to` are here; `needed`: also where they are not looked at any more. */
  async load(from, to, { needed = true } = {}) {
    for (let gap, place = from; (gap = this.#gap(place, to)); place = gap[1]) this.#request(...gap);
    const wanted = [...this.#requests].filter((request) => request.first < to && request.end > from);
    for (const request of wanted) request.needed ||= needed;
    await Promise.all(wanted.map((request) => request.done));
  }

  /** The first places within these that are neither here nor on their way, as many as one request brings. */
  #gap(from, to) {
    const lacks = (place) =>
      (this.#items.get(place)?.classList.contains("waiting") ?? true) &&
      ![...this.#requests].some((request) => request.first <= place && place < request.end);
    let first = Math.max(0, from);
    const last = Math.min(to, this.total);
    while (first < last && !lacks(first)) first += 1;
    let end = first;
    while (end < last && end - first < MOST && lacks(end)) end += 1;
    return end > first ? [first, end] : null;
  }

  #request(first, end) {
    const aborter = new AbortController();
    const request = { first, end, aborter, needed: false };
    request.done = this.#fetch(first, end - first, aborter.signal).finally(() => this.#requests.delete(request));
    aborter.signal.addEventListener("abort", () => this.#requests.delete(request));
    this.#requests.add(request);
    return request;
  }

  async #fetch(first, most, signal) {
    const age = this.#age;
    let text, total;
    try {
      const answer = await ask(`${this.list.dataset.src}?${this.query()}&first=${first}&most=${most}`, { signal });
      total = Number(answer.headers.get("x-total"));
      text = await answer.text();
      this.#silent = false;
    } catch (error) {
      if (error.name !== "AbortError" && !this.#silent) failed(error);
      this.#silent ||= error.name !== "AbortError"; // said once
      return;
    }
    if (age !== this.#age) return;
    const holder = document.createElement("template");
    holder.innerHTML = text;
    for (const item of [...holder.content.children]) {
      const before = this.#items.get(Number(item.dataset.at));
      if (before?.contains(document.activeElement) && before.dataset.id === item.dataset.id && isTypedInto(document.activeElement)) continue;
      this.#items.set(Number(item.dataset.at), item);
    }
    if (this.#items.size > KEPT && ![...this.#requests].some((request) => request.needed)) {
      for (const place of this.#items.keys()) if (place < this.#drawn[0] - MOST || place > this.#drawn[1] + MOST) this.#items.delete(place);
    }
    if (total !== this.total) this.#resize(total);
    this.draw(true);
  }

  #resize(total) {
    this.total = total;
    this.list.dataset.total = total;
    for (const place of [...this.#items.keys()]) if (place >= total) this.#items.delete(place);
    this.list.dispatchEvent(new CustomEvent("list:total", { detail: total, bubbles: true }));
  }

  /** Answers that are on their way are of the list as it was. */
  #forget() {
    this.#age += 1;
    for (const request of this.#requests) request.aborter.abort();
  }

  /** Ask anew for what is shown; `reset`: it is another list, from its top on. */
  async refresh({ reset = false, scroll = reset } = {}) {
    const focused = reset ? -1 : this.#focused;
    this.#forget();
    const from = reset ? 0 : Math.max(0, this.#drawn[0]);
    const to = from + Math.max(60, this.#drawn[1] - this.#drawn[0]);
    if (scroll) scrollTo({ top: 0 });
    for (const [place, item] of [...this.#items]) if (!item.isConnected) this.#items.delete(place);
    const shown = new Map(this.#items);
    const request = this.#request(from, to);
    request.needed = true;
    await request.done;
    for (const [place, item] of shown) if (this.#items.get(place) === item && !item.contains(document.activeElement) && (place < from || place >= to)) this.#items.delete(place);
    this.draw(true);
    this.#refocus(focused);
  }

  /** Where what has the focus is in the list: -1 where it is elsewhere. */
  get #focused() {
    return this.list.contains(document.activeElement) ? Number(this.current.dataset.at) : -1;
  }

  /** What had the focus has left the page: the one in its place has it now, so that keys go on from there. */
  #refocus(place) {
    if (place >= 0 && document.activeElement === document.body) this.focusAt(Math.min(place, this.total - 1));
  }

  /** These are not in the list any more: without asking, since the server has said so. */
  remove(ids) {
    const focused = this.#focused;
    const gone = new Set(ids);
    const items = [...this.#items].sort(([one], [other]) => one - other);
    let less = 0;
    this.#items.clear();
    for (const [place, item] of items) {
      if (gone.has(item.dataset.id)) {
        less += 1;
        item.remove();
        continue;
      }
      item.dataset.at = place - less;
      if (item.hasAttribute("aria-posinset")) item.setAttribute("aria-posinset", place - less + 1);
      this.#items.set(place - less, item);
    }
    if (!less) return;
    this.#forget();
    this.#resize(this.total - less);
    this.draw(true);
    this.#refocus(focused);
  }

  /** Whether any of it is on the screen. */
  get isSeen() {
    const { top, bottom } = this.list.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  }

  // ---- selection

  #mark(item) {
    const chosen = this.selected.has(item.dataset.id);
    item.classList.toggle("chosen", chosen);
    const box = item.querySelector("input[type=checkbox]");
    if (box) box.checked = chosen;
    if (item.getAttribute("role") === "option") {
      item.setAttribute("aria-selected", String(chosen));
      item.tabIndex = item === this.list.firstElementChild || item === document.activeElement ? 0 : -1;
    }
  }

  /** Select or not; `range`: all from the one that was chosen last up to this one. */
  async choose(item, { on = !this.selected.has(item.dataset.id), range = false } = {}) {
    const place = Number(item.dataset.at);
    let places = [place];
    if (range && this.anchor !== null) {
      const [low, high] = [Math.min(this.anchor, place), Math.max(this.anchor, place)];
      await this.load(low, high + 1);
      places = Array.from({ length: high - low + 1 }, (_, i) => low + i);
      on = true;
    }
    this.anchor = place;
    this.chooseAll(places.map((each) => this.#items.get(each)).filter((each) => each?.dataset.id), on);
  }

  chooseAll(items, on = true) {
    for (const item of items) {
      if (on) this.selected.add(item.dataset.id);
      else this.selected.delete(item.dataset.id);
    }
    this.#selectionChanged();
  }

  clear() {
    this.selected.clear();
    this.anchor = null;
    this.#selectionChanged();
  }

  #selectionChanged() {
    for (const item of this.list.children) this.#mark(item);
    this.list.dispatchEvent(new CustomEvent("list:selected", { detail: this.selected.size, bubbles: true }));
  }

  // ---- moving by keys

  /** The item that has the focus, or holds what has it. */
  get current() {
    return document.activeElement?.closest?.("[data-at]") ?? null;
  }

  /** Focus the item `by` places on; scrolls there. */
  async move(by) {
    const from = this.current && this.list.contains(this.current) ? Number(this.current.dataset.at) : -1;
    await this.focusAt(Math.max(0, Math.min(this.total - 1, from < 0 ? Math.max(0, this.#drawn[0]) : from + by)));
  }

  /** Focus the item at a place; scrolls there. */
  async focusAt(place) {
    if (place < 0 || place >= this.total) return;
    await this.load(place, place + 1);
    let item = this.#items.get(place);
    if (item && !item.isConnected) {
      const down = Math.floor(place / this.columns) * this.#pitch();
      scrollTo({ top: scrollY + this.list.getBoundingClientRect().top + down - innerHeight / 2 });
      this.draw(true);
      item = this.#items.get(place);
    }
    const goal = item?.matches("[tabindex]") ? item : item?.querySelector("a, button");
    goal?.focus({ preventScroll: true });
    item?.scrollIntoView({ block: "nearest" });
  }
}

const isTypedInto = (field) => field.matches("input:not([type=checkbox])") && field.value !== field.defaultValue;

/** Out of the page: what its pictures are still to bring is not waited for, so that those that are seen come first. */
function leave(item) {
  item.remove();
  for (const image of item.querySelectorAll("img[src]")) {
    if (image.complete) continue;
    image.dataset.src = image.getAttribute("src");
    image.dataset.srcset = image.srcset;
    image.removeAttribute("srcset");
    image.removeAttribute("src");
  }
}

function come(item) {
  for (const image of item.querySelectorAll("img[data-src]")) {
    if (image.dataset.srcset) image.srcset = image.dataset.srcset;
    image.src = image.dataset.src;
    delete image.dataset.src;
  }
}

/** Arrow keys in a list; true where the key was one. */
export function arrows(list, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -list.columns, ArrowDown: list.columns, Home: -1e9, End: 1e9 }[event.key];
  if (by === undefined) return false;
  list.move(getComputedStyle(list.list).direction === "rtl" && Math.abs(by) === 1 ? -by : by);
  event.preventDefault();
  return true;
}
