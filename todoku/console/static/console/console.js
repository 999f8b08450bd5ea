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
    for (const part of document.querySelectorAll("[data-live]")) live(part, Number(part.dataset.live) * 1000);
    const refund = document.querySelector("form[data-refund]");
    if (refund) sum(refund);
  });

  // The refund's form adds up what was typed; the server counts again.
  function sum(form) {
    const told = form.querySelector("[data-refund-sum]");
    const priced = form.querySelectorAll("[data-refund-price]");
    const add = () => {
      let whole = 0;
      for (const field of priced) {
        const typed = Number(field.value.normalize("NFKC").replace(/[,、¥円\s]/g, "") || 0);
        whole += typed * Number(field.dataset.refundPrice);
      }
      told.hidden = !(whole > 0 && Number.isInteger(whole));
      const yen = whole.toLocaleString("en");
      told.querySelector("strong").textContent = document.documentElement.lang === "ja" ? `${yen}円` : `¥${yen}`;
      told.querySelector("[data-refund-over]").hidden = whole <= Number(form.dataset.left);
    };
    form.addEventListener("input", add);
    add();
  }

  // While an execution runs, its page asks how it stands and shows itself anew when something has changed.
  function watch(head) {
    let pause = 1000;
    const ask = async () => {
      try {
        const answer = await fetch(head.dataset.watch, { headers: { Accept: "application/json", "X-By-Itself": "yes" } });
        const told = answer.ok ? await answer.json() : null;
        // A case waits for the play's end; the play's own page shows every step.
        const now = told && (head.dataset.by === "status" ? told.status : told.mark);
        if (told && now !== head.dataset.mark) {
          const said = head.querySelector("[data-ended]");
          if (said) said.textContent = said.dataset.ended;
          setTimeout(() => location.reload(), said ? 700 : 0);
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

  // A part of a page shows itself anew while somebody looks. What is open stays open, and the focus stays where it is.
  function live(part, every) {
    let asking = false;
    const ask = async () => {
      if (asking || document.visibilityState !== "visible") return;
      asking = true;
      try {
        const answer = await fetch(part.dataset.from, { redirect: "manual", headers: { Accept: "text/html", "X-By-Itself": "yes" } });
        // The session has ended, or the role has changed: the page says what to do.
        if (answer.type === "opaqueredirect" || answer.status === 403) location.reload();
        else if (answer.ok) show(part, await answer.text());
      } catch {
        // The network comes back, or the operator looks again.
      } finally {
        asking = false;
      }
    };
    setInterval(ask, every);
    document.addEventListener("visibilitychange", ask);
  }

  function show(part, text) {
    const fresh = part.cloneNode(false);
    fresh.innerHTML = text;
    for (const open of part.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector(`#${open.id}`);
      if (same) same.open = true;
    }
    if (fresh.innerHTML === part.innerHTML) return;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.replaceChildren(...fresh.childNodes);
    if (focused) for (const link of part.querySelectorAll("a")) if (link.getAttribute("href") === focused) { link.focus(); break; }
    tell(part);
  }

  // The tab's title carries how many cases are open; who listens to the page hears when that changes.
  function tell(part) {
    const counted = part.querySelector("[data-count]");
    if (!counted) return;
    const count = Number(counted.dataset.count);
    const title = `${count ? `(${count}) ` : ""}${document.title.replace(/^\(\d+\) /, "")}`;
    if (title === document.title) return;
    document.title = title;
    const told = document.querySelector("[data-told]");
    if (told) told.textContent = counted.querySelector("[data-says]").textContent;
  }
})();
