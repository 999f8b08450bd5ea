/* The voucher: it can be printed, and closed when a shop's page shows it in a dialog. */
(function () {
  "use strict";
  var shop = document.body.dataset.origin;
  var close = document.getElementById("close");
  if (shop && window.parent !== window) {
    close.hidden = false;
    close.addEventListener("click", function () {
      window.parent.postMessage({ rehearsal: "voucher-closed" }, shop);
    });
    document.body.classList.add("framed");
    close.focus({ preventScroll: true });
  }
  document.getElementById("print").addEventListener("click", function () {
    window.print();
  });
})();
