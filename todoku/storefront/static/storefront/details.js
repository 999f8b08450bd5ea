// Fill the address in from the postal code as it is typed. The button does the same without this file.
"use strict";
(() => {
  const button = document.getElementById("find-place");
  const code = document.getElementById("postal_code");
  const said = document.getElementById("place-said");
  const fields = ["prefecture", "city", "street"].map((id) => document.getElementById(id));
  const ours = new Map(); // what we filled in ourselves may be replaced; what was typed may not
  let last = "";
  const digits = () => code.value.normalize("NFKC").replace(/[^0-9]/g, "");
  async function find(asked) {
    const wanted = digits();
    if (wanted.length !== 7) { if (asked) button.form.requestSubmit(button); return; }
    if (wanted === last && !asked) return;
    last = wanted;
    let place;
    try {
      const answer = await fetch(button.dataset.url.replace("0000000", wanted));
      place = await answer.json();
    } catch { return; }
    if (digits() !== wanted) return;
    if (!place.found) { said.textContent = button.dataset.unknown; return; }
    for (const field of fields) {
      const value = place[field.id];
      if (!value || (field.value && field.value !== ours.get(field) && !asked)) continue;
      if (field.value.startsWith(value)) continue;
      field.value = value;
      ours.set(field, value);
    }
    said.textContent = button.dataset.found;
  }
  code.addEventListener("input", () => find(false));
  button.addEventListener("click", (event) => {
    if (digits().length === 7) { event.preventDefault(); find(true); }
  });
})();
