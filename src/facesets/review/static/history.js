// The history is shown anew after each undo and each run, from its top: what stands on what has changed.
async function show() {
  const answer = await fetch(location.href, { headers: { "X-Facesets": "1" } });
  if (!answer.ok) return;
  const anew = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("history");
  const at = document.activeElement.closest("#history li")?.id;
  document.getElementById("history").replaceWith(anew);
  if (at) document.getElementById(at)?.querySelector("a, button")?.focus({ preventScroll: true });
  window.htmx.process(anew);
}
document.addEventListener("facesets:changed", show);
document.addEventListener("facesets:run-ended", show);
