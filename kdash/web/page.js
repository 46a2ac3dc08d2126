"use strict";
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("again").addEventListener("click", () => window.location.reload());
  // The keyboard belongs to the dashboard as soon as it has drawn something.
  new MutationObserver((_, observer) => {
    if (document.body.classList.contains("-first-byte")) {
      observer.disconnect();
      document.querySelector(".xterm-helper-textarea").focus();
    }
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
});
