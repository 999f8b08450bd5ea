// Ask how the order stands: often at first, then with patience; and lead the shopper to their bank when it asks.
"use strict";
(() => {
  const standing = document.getElementById("standing");
  const began = performance.now();
  const initial = standing.dataset.state;
  // A voucher waits for days: it is asked for seldom, and not at all by a page that nobody looks at.
  const patient = initial.startsWith("konbini");
  const late = document.getElementById("late");
  let wait = patient ? 2000 : 60;
  let timer = 0;
  let looking = false;
  async function look() {
    if (looking) return;
    looking = true;
    try {
      const answer = await fetch(standing.dataset.status, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.ok && (await answer.json()).state !== initial) { location.reload(); return; }
    } catch { /* The network was away for a moment: we ask again. */ }
    looking = false;
    if (patient && document.hidden) return;
    const passed = performance.now() - began;
    if (late && passed > Number(late.dataset.after || 15000)) late.removeAttribute("hidden");
    if (patient) wait = passed > 600000 ? 30000 : passed > 60000 ? 5000 : 2000;
    else wait = passed > 20000 ? 2000 : Math.min(wait * 1.5, 1000);
    timer = setTimeout(look, wait);
  }
  timer = setTimeout(look, wait);
  if (patient) document.addEventListener("visibilitychange", () => { clearTimeout(timer); if (!document.hidden) look(); });

  const button = document.getElementById("authenticate");
  if (!button || !window.Stripe) return;
  const stripe = Stripe(button.dataset.key, { locale: button.dataset.locale });
  const back = document.getElementById("back");
  async function authenticate() {
    if (button.disabled) return;
    button.disabled = true;
    try { await stripe.handleNextAction({ clientSecret: button.dataset.secret }); } catch { /* Stripe tells the shop. */ }
    // Whatever the window said, the shop looks for itself.
    try { await fetch(back.action, { method: "POST", body: new FormData(back), redirect: "manual" }); } catch { /* The poller knocks too. */ }
    wait = 100;
    setTimeout(() => { button.disabled = false; }, 8000);
  }
  button.addEventListener("click", authenticate);
  // By itself it opens once only: whoever loads the page again may want to give up, and needs to see how.
  const once = `asked ${location.pathname} ${button.dataset.attempt}`;
  let asked = null;
  try { asked = sessionStorage.getItem(once); sessionStorage.setItem(once, "yes"); } catch { /* No memory: it opens. */ }
  if (!asked) authenticate();
})();
