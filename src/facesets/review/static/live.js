// How far a run is, on every page: the line below the header says it, and pages hear when it has ended.
import { base } from "./app.js";

const line = document.querySelector("[data-busy]");
let stream = null;
let run; // the last that had ended; null: none since this page is here, which was opened while one was at work

function say({ busy, progress, run: now }) {
  line.hidden = !busy;
  if (busy) {
    const [what, far] = line.children;
    if (what.textContent !== `facesets ${busy}`) what.textContent = `facesets ${busy}`; // read out once, and not each second
    far.textContent = progress ? `: ${told(progress)}` : "";
  } else if (run !== undefined && now !== run) document.dispatchEvent(new CustomEvent("facesets:run-ended"));
  run = busy ? run ?? null : now;
}

function told({ what, done, total, unit, rate, left_s: left }) {
  const number = (value) => value.toLocaleString("en");
  const much = total ? `${number(done)} of ${number(total)} ${unit}` : `${number(done)} ${unit}`;
  const wait = left === null ? "" : left < 90 ? `, ${Math.max(left, 1)} s left` : left < 5400 ? `, ${Math.round(left / 60)} min left` : `, ${Math.round(left / 3600)} h left`;
  return `${what}: ${much.trim()}, ${rate.toFixed(1)}/s${wait}`;
}

function listen() {
  // a page that nobody sees listens to nothing: a browser has six connections to a server for all its tabs
  if (document.hidden) {
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource(`${base}/live`);
    stream.addEventListener("message", (event) => say(JSON.parse(event.data)));
  }
}
document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => stream?.close());
listen();
