// Ask how the order stands: often at first, then with patience; and lead the shopper to their bank when it asks.
"use strict";
(() => {
  const standing = document.getElementById("standing");
  const began = performance.now();
  const initial = standing.dataset.state;
  let wait = 60;
  async function look() {
    try {
      const answer = await fetch(standing.dataset.status, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.ok && (await answer.json()).state !== initial) { location.reload(); return; }
    } catch { /* The network was away for a moment: we ask again. */ }
    const passed = performance.now() - began;
    if (passed > 15000) document.getElementById("late")?.removeAttribute("hidden");
    wait = passed > 20000 ? 2000 : Math.min(wait * 1.5, 1000);
    setTimeout(look, wait);
  }
  setTimeout(look, wait);

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
  authenticate();
})();
