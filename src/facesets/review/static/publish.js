// Ask what would be written, and write it: both take their time, so the part below is asked for again until it is done.
import { ask, failed, url } from "./app.js";

const EVERY = 700; // milliseconds
const result = document.getElementById("result");

async function text(address, form) {
  try {
    return await (await ask(address, { form })).text();
  } catch (error) {
    failed(error);
    return null;
  }
}

function show(part) {
  result.replaceChildren(...new DOMParser().parseFromString(part, "text/html").body.childNodes);
  wait();
}

function wait() {
  const working = result.querySelector("[data-working]") !== null;
  for (const button of document.querySelectorAll(".publish form button")) button.disabled = working;
  if (working) setTimeout(async () => again(await text(url("publish", "part"))), EVERY);
}

function again(part) {
  if (part !== null) show(part);
}

document.addEventListener("submit", async (event) => {
  if (!["look", "apply"].includes(event.target.id)) return;
  event.preventDefault();
  again(await text(url("publish", event.target.id), new FormData(event.target)));
});
// what is shown is not what is chosen any more: look first
document.getElementById("look")?.addEventListener("change", () => document.getElementById("apply")?.remove());
if (result) wait();
