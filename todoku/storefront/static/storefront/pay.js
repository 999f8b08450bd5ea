// The payment form: Stripe's own, in a frame, with a tab for each way to pay. One press makes one confirmation
// token, and the form goes to the shop, which asks Stripe for the money. Nothing here knows or decides an amount.
"use strict";
(() => {
  const form = document.getElementById("order-form");
  const card = document.getElementById("card");
  const button = document.getElementById("press");
  const problem = document.getElementById("card-error");
  const methods = card.dataset.methods.split(" ");
  let busy = false;
  // What the page says, of the button too, is about the way to pay that the form stands at.
  let words = "";
  const chosen = (method) => {
    words = button.dataset[method] || button.dataset.card;
    if (!busy) button.textContent = words;
    document.querySelectorAll("[data-for]").forEach((about) => { about.hidden = about.dataset.for !== method; });
  };
  chosen(methods[0]);
  if (!window.Stripe) { problem.textContent = card.dataset.away; card.replaceChildren(); card.removeAttribute("aria-busy"); return; }
  const stripe = Stripe(card.dataset.key, { locale: card.dataset.locale });
  const elements = stripe.elements({
    mode: "payment",
    amount: Number(card.dataset.amount),
    currency: "jpy",
    allowedPaymentMethodTypes: methods,
    appearance: {
      theme: "stripe",
      variables: { colorPrimary: "#1f4b7a", colorText: "#22303c", colorDanger: "#9f2a2a", borderRadius: "10px", fontSizeBase: "16px" },
    },
  });
  const billing = JSON.parse(document.getElementById("billing").textContent);
  const payment = elements.create("payment", {
    layout: "tabs",
    paymentMethodOrder: methods,
    fields: { billingDetails: "never" },
    // No wallets: a wallet would want origins that this page does not let in.
    wallets: { applePay: "never", googlePay: "never", link: "never" },
  });
  const ready = () => { card.removeAttribute("aria-busy"); card.querySelector(".waiting")?.remove(); button.disabled = false; };
  payment.on("ready", ready);
  payment.on("change", (event) => chosen(event.value.type));
  payment.on("loaderror", () => { problem.textContent = card.dataset.away; });
  const frame = document.createElement("div");
  card.append(frame);
  payment.mount(frame);
  const idle = () => { busy = false; button.disabled = false; button.textContent = words; };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || button.disabled) return;
    busy = true;
    button.disabled = true;
    button.textContent = button.dataset.busy;
    problem.textContent = "";
    try {
      const checked = await elements.submit();
      if (checked.error) throw checked.error;
      const made = await stripe.createConfirmationToken({
        elements,
        params: { return_url: card.dataset.return, payment_method_data: { billing_details: billing } },
      });
      if (made.error) throw made.error;
      form.elements.confirmation_token.value = made.confirmationToken.id;
      form.submit();
    } catch (error) {
      problem.textContent = error && error.message ? error.message : card.dataset.failed;
      idle();
    }
  });
  // Shown again out of the browser's memory: the prices may be others now, so the page is asked for anew.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
