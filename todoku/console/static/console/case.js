// What a case's page and the resuming of many fetch after they are there; both work without it.
"use strict";

(() => {
  document.addEventListener("DOMContentLoaded", () => {
    for (const part of document.querySelectorAll("[data-part]")) fetchPart(part);
    for (const part of document.querySelectorAll("[data-follow]")) follow(part);
  });

  // A part of the page that has to ask somebody else first comes afterwards, so that the page itself is there at once.
  async function fetchPart(part) {
    try {
      const answer = await fetch(part.dataset.part, { headers: { "X-Part": "yes" } });
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      part.innerHTML = await answer.text();
    } catch {
      const again = document.createElement("a");
      again.className = "tk-button";
      again.href = part.dataset.part;
      again.textContent = part.dataset.again;
      part.replaceChildren(again);
    }
    part.removeAttribute("aria-busy");
  }

  // What is under way shows how far it has come; at its end the whole page shows itself anew.
  function follow(part) {
    const ask = async () => {
      try {
        const answer = await fetch(part.dataset.follow, { headers: { "X-Part": "yes", "X-By-Itself": "yes" } });
        if (answer.redirected) {
          location.reload();
          return;
        }
        if (answer.ok) part.innerHTML = await answer.text();
        if (answer.headers.get("X-Ended") === "yes") {
          setTimeout(() => location.reload(), 700);
          return;
        }
      } catch {
        // The network comes back.
      }
      setTimeout(ask, 2000);
    };
    setTimeout(ask, 1000);
  }
})();
