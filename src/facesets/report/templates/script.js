"use strict";
// Search on the first page; arrow keys and Escape where a face is shown large. Every page works without it.
(() => {
  const search = document.getElementById("search");
  if (search) {
    const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
    const rows = [...document.querySelectorAll("[data-find]")].map((row) => [row, plain(row.dataset.find)]);
    const found = document.getElementById("found");
    // a short number is a set's, whole: within years and other numbers it is nearly everywhere
    const fits = (text, word) => (/^[1-9]\d{0,2}$/.test(word) ? ` ${text} `.includes(` ${word} `) : text.includes(word));
    const filter = () => {
      const words = plain(search.value).split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of rows) {
        row.hidden = !words.every((word) => fits(text, word));
        if (!row.hidden && row.tagName === "ARTICLE") shown += 1;
      }
      for (const section of document.querySelectorAll(".sets")) {
        const cards = [...section.querySelectorAll("article")];
        section.hidden = cards.length > 0 && cards.every((card) => card.hidden);
      }
      found.textContent = words.length ? `${shown} ${shown === 1 ? "set" : "sets"}` : "";
    };
    search.closest("[hidden]").hidden = false;
    search.addEventListener("input", filter);
    filter();
  }
  const open = () => document.querySelector("figure.large:target");
  let opener = null;
  addEventListener("hashchange", () => {
    const figure = open();
    if (figure) figure.focus({ preventScroll: true });
    else if (opener) opener.focus();
  });
  addEventListener("click", (event) => {
    const link = event.target.closest(".faces a");
    if (link) opener = link;
  });
  addEventListener("keydown", (event) => {
    const figure = open();
    const which = { Escape: ".close", ArrowLeft: ".prev", ArrowRight: ".next" }[event.key];
    if (!figure || !which || event.altKey || event.ctrlKey || event.metaKey) return;
    const link = figure.querySelector(which);
    if (!link) return;
    event.preventDefault();
    opener = document.querySelector(`.faces a[href="#${CSS.escape(figure.id)}"]`) || opener;
    link.click();
  });
})();
