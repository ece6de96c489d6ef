// Follows the campaign: a page is brought up to date unless somebody is typing in it.
(function () {
  "use strict";
  var seen = document.body.dataset.version, work = null, first = true, touched = false;
  document.addEventListener("input", function () { touched = true; });
  document.addEventListener("change", function (event) {
    var most = event.target.dataset.most, file = most && event.target.files[0];
    if (most) {
      event.target.setCustomValidity(file && file.size > most ? "This file is larger than " + most / 1e6 + " MB." : "");
      event.target.reportValidity();
    }
  });
  function copies() {
    document.querySelectorAll("[data-copy]").forEach(function (button) { button.hidden = false; });
  }
  document.addEventListener("click", function (event) {
    var button = event.target.closest("[data-copy]");
    if (!button) { return; }
    // navigator.clipboard is missing where the page is not on this machine
    var place = document.createElement("textarea");
    place.value = button.dataset.copy;
    button.after(place);
    place.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Not copied";
    place.remove();
    button.focus();
  });
  document.addEventListener("htmx:afterSwap", copies);
  copies();
  function refresh(what) {
    htmx.ajax("GET", location.href, { target: what, select: what, swap: "outerHTML" });
  }
  var news = new EventSource("/events");
  news.onmessage = function (event) {
    var now = JSON.parse(event.data), state = now.job ? now.job.what + now.job.state : "";
    var line = document.getElementById("job-news");
    if (line && now.job && now.job.state === "running") {
      line.textContent = now.job.time + (now.job.news ? ": " + now.job.news : "");
    }
    if (!first && state !== work) { refresh("#job"); }
    if (now.version !== seen) {
      seen = now.version;
      if (touched || document.querySelector("[name=draft]")) {
        document.getElementById("changed").hidden = false;
      } else if (document.querySelector("nav [aria-current]") || location.pathname.indexOf("/point/") === 0) {
        refresh("#main");
      }
    }
    work = state;
    first = false;
  };
  ["htmx:responseError", "htmx:sendError"].forEach(function (name) {
    document.body.addEventListener(name, function (event) {
      var place = event.detail.elt;
      if (!place.hasAttribute("aria-busy")) { return; }
      place.removeAttribute("aria-busy");
      var words = place.querySelector("[role=status]");
      if (words) { words.textContent = "This could not be loaded. Reload the page to try again."; }
    });
  });
  window.addEventListener("pagehide", function () { news.close(); });
})();
