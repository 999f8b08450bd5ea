// Small comforts. Every page works without this file.
"use strict";
document.documentElement.classList.add("js");
// A second press of a form that is on its way is no second wish.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
// Back from another page: what was pressed may be pressed again.
addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((form) => delete form.dataset.sent));
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
});
// A message that must not be missed gets the focus, so that it is read out and seen.
document.querySelector("[data-focus]")?.focus();
