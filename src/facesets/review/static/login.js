// The password, sent with the header that only a page of ours can send.
const form = document.querySelector("[data-login]");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await fetch(`${document.body.dataset.base}/login`, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    headers: { "X-Facesets": "1" },
  });
  if (answer.ok) location.assign(`${document.body.dataset.base}/`);
  else {
    form.querySelector("[data-said]").textContent = "That is not the password.";
    form.password.select();
  }
});
