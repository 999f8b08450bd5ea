// The numbers for the till: copied by a press, and all stores opened for the printer.
"use strict";
(() => {
  const copied = document.getElementById("copied");
  document.querySelectorAll("[data-copy]").forEach((button) => {
    const words = button.firstChild;
    const before = words.nodeValue;
    let timer = 0;
    button.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(button.dataset.copy); } catch {
        // No clipboard (an old browser, or a page without https): mark the number, so that it can be copied by hand.
        getSelection().selectAllChildren(button.parentElement.querySelector("code"));
        return;
      }
      words.nodeValue = copied.dataset.words;
      copied.textContent = `${copied.dataset.words}: ${button.dataset.copy}`;
      clearTimeout(timer);
      timer = setTimeout(() => { words.nodeValue = before; copied.textContent = ""; }, 2500);
    });
  });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.store:not([open])")];
    document.querySelectorAll("details.store").forEach((store) => { store.removeAttribute("name"); store.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach((store) => { store.open = false; });
    document.querySelectorAll("details.store").forEach((store) => { store.setAttribute("name", "store"); });
  });
})();
