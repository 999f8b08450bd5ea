// The one button of a page for paper; without it, the browser's own menu prints.
"use strict";

document.querySelector("[data-print]")?.addEventListener("click", () => window.print());
