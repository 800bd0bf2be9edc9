// One question at a time: y, n, s, z. The next one is loaded, with its pictures, while this one is looked at.
import { act, ask, failed, isTyping, say, url } from "./app.js";
import { offer } from "./names.js";

const main = document.getElementById("content");
const here = document.getElementById("question");
const coming = document.getElementById("coming");
const lane = main.dataset.lane;
const shown = () => here.querySelector("[data-question]");
const idOf = (element) => element?.dataset.question;
const past = []; // questions that were answered or put off here, with what they decided: undo asks them again
let loading = null;
let busy = false;

function load() {
  const held = [idOf(shown()), idOf(coming.querySelector("[data-question]"))].filter(Boolean);
  loading = ask(`${url("decide", "next")}?${new URLSearchParams({ lane, held: held.join(",") })}`)
    .then(async (answer) => {
      for (const [each, left] of Object.entries(JSON.parse(answer.headers.get("x-left")))) {
        main.querySelector(`[data-left="${each}"]`).textContent = left.toLocaleString("en");
      }
      coming.innerHTML = await answer.text();
      for (const image of coming.querySelectorAll("img")) new Image().src = image.src;
      for (const image of coming.querySelectorAll("svg image")) new Image().src = image.getAttribute("href");
    })
    .catch(failed);
  return loading;
}

async function next() {
  await loading;
  if (!coming.firstElementChild) await load();
  here.replaceChildren(...coming.childNodes);
  here.querySelector(".who-is-it")?.focus({ preventScroll: true });
  load();
}

async function answer(word) {
  const question = shown();
  if (!question || busy) return;
  const name = question.querySelector(".who-is-it")?.value ?? "";
  if (word === "yes" && question.dataset.kind === "who" && !name.trim()) return question.querySelector(".who-is-it").focus();
  if (!question.querySelector(`[data-answer="${word}"]`)) return;
  busy = true;
  try {
    const made = await (await ask(url("decide", "answer"), { form: { question: idOf(question), answer: word, name } })).json();
    count(made);
    past.push({ question, decisions: made.decisions });
    if (past.length > 40) past.shift();
    document.getElementById("toasts").replaceChildren(); // one is enough, and none covers the next question
    if (made.said.length) say(made, "decide");
    question.remove();
    await next();
  } catch (error) {
    failed(error);
    if (error.status !== 404) return;
    question.remove(); // decided elsewhere meanwhile: nothing is left to answer
    await next();
  } finally {
    busy = false;
  }
}

function count({ right }) {
  main.querySelector("[data-right]").textContent = right.toLocaleString("en");
}

async function takeBack() {
  if (busy) return;
  busy = true;
  const last = past.at(-1);
  if (last.decisions.length) await act("undo", { decisions: last.decisions });
  else reask(past.pop().question); // put off: nothing to take back
  busy = false;
}

/** Ask it in the place of the one that is shown, which is then the next. */
async function reask(question) {
  const shelved = shown();
  here.replaceChildren(question);
  await loading;
  if (shelved) coming.replaceChildren(shelved);
}

// an undo asks the question again, in its place; an undo of that answers it as before
document.addEventListener("facesets:changed", async ({ detail: { answer } }) => {
  count(answer);
  const undone = String(answer.undone);
  const back = past.findLastIndex(({ decisions }) => decisions.length && String(decisions) === undone);
  const question = shown();
  if (back >= 0) {
    const [again] = past.splice(back, 1);
    again.question.dataset.undo = answer.decisions;
    reask(again.question);
  } else if (question?.dataset.undo === undone) {
    past.push({ question, decisions: answer.decisions });
    question.remove();
    await next();
  }
});

here.addEventListener("click", (event) => {
  const button = event.target.closest("[data-answer]");
  if (button) answer(button.dataset.answer);
});
here.addEventListener("input", (event) => {
  if (event.target.matches(".who-is-it")) offer(event.target);
});
here.addEventListener("keydown", (event) => {
  if (!event.target.matches(".who-is-it")) return;
  if (event.key === "Enter") answer("yes");
  else if (event.key === "Escape") event.target.blur();
});
document.addEventListener(
  "keydown",
  (event) => {
    if (isTyping(event) || document.querySelector("dialog[open]")) return;
    const word = { y: "yes", n: "no", s: "later", i: "ignore" }[event.key];
    if (event.key === "z" && past.length) {
      event.stopImmediatePropagation();
      takeBack();
    } else if (word) answer(word);
    else return;
    event.preventDefault();
  },
  { capture: true },
);

// there may be something to ask by now
document.addEventListener("facesets:run-ended", async () => {
  if (busy || shown()) return;
  await load();
  next();
});

here.querySelector(".who-is-it")?.focus({ preventScroll: true });
load();
if (here.querySelector("[data-searching]")) next();
