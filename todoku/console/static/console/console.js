// The console's own behaviour; every page works without it.
"use strict";

(() => {
  // A form that acts is sent once per page: a second press of the button does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("form[data-once]")) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  });
  // Back from another page: the form may be sent again.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-once]")) {
      delete form.dataset.sent;
      for (const button of form.querySelectorAll("button")) button.removeAttribute("aria-disabled");
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    const watched = document.querySelector("[data-watch]");
    if (watched) watch(watched);
    const page = document.querySelector("[data-refresh]");
    if (page) refresh(Number(page.dataset.refresh) * 1000);
  });

  // While an execution runs, its page asks how it stands and shows itself anew when something has changed.
  function watch(head) {
    let pause = 1000;
    const ask = async () => {
      try {
        const answer = await fetch(head.dataset.watch, { headers: { Accept: "application/json" } });
        if (answer.ok && (await answer.json()).mark !== head.dataset.mark) {
          location.reload();
          return;
        }
      } catch {
        // The network comes back, or the operator looks again.
      }
      pause = Math.min(pause * 1.3, 10000);
      setTimeout(ask, pause);
    };
    setTimeout(ask, pause);
  }

  // The front page shows itself anew every minute, unless nobody looks or somebody types.
  function refresh(every) {
    setInterval(() => {
      const typed = document.querySelector(".tk-search input");
      if (document.visibilityState === "visible" && !(typed && typed.value)) location.reload();
    }, every);
  }
})();
