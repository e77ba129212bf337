// The page works without this file; with it, it follows the run, says when the server is away, and has a few keys.
(function () {
  "use strict";
  var away = document.getElementById("away");
  var lastHeard = new Date();

  // -- the poll: which folds are open, and what if it fails --------------------------------------------------------
  document.addEventListener("htmx:configRequest", function (event) {
    if (!event.target.hasAttribute("data-polls")) return;
    var open = [];
    document.querySelectorAll("details[data-fold][open]").forEach(function (each) { open.push(each.dataset.fold); });
    event.detail.parameters.folds = open.join(".");
  });

  function isAway(why) {
    if (away.hidden) {
      document.getElementById("away-since").textContent = lastHeard.toLocaleTimeString();
      away.hidden = false;
    }
    away.querySelector(".away-why").textContent = why;
  }
  ["htmx:sendError", "htmx:timeout"].forEach(function (name) {
    document.addEventListener(name, function () { isAway("the server does not answer."); });
  });
  document.addEventListener("htmx:responseError", function (event) {
    isAway(event.detail.xhr.status >= 500 ? "the database does not answer." : "the server refuses to tell more (" + event.detail.xhr.status + ").");
  });
  document.addEventListener("htmx:afterRequest", function (event) {
    if (!event.detail.successful) return;
    lastHeard = new Date();
    away.hidden = true;
  });

  // -- ticks survive a redrawn list --------------------------------------------------------------------------------
  var ticked = null;
  document.addEventListener("htmx:oobBeforeSwap", function (event) {
    if (event.target.id !== "part-runs") return;
    ticked = Array.from(event.target.querySelectorAll("input[name=run]:checked"), function (each) { return each.value; });
  });
  document.addEventListener("htmx:oobAfterSwap", function () {
    if (!ticked) return;
    document.querySelectorAll("#part-runs input[name=run]").forEach(function (each) { each.checked = ticked.indexOf(each.value) >= 0; });
    ticked = null;
  });
  document.addEventListener("change", function (event) {
    if (!event.target.matches("[data-tick-all]")) return;
    document.querySelectorAll("input[name=run]").forEach(function (each) { each.checked = event.target.checked; });
  });

  // -- the sheet ---------------------------------------------------------------------------------------------------
  var opener = null;
  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[hx-target='#sheet']");
    if (link && !link.closest("[data-sheet]")) opener = link.id;
    var close = event.target.closest("[data-close]");
    if (close && window.history.replaceState) { event.preventDefault(); closeSheet(); }
    var copy = event.target.closest("[data-copy]");
    if (copy) copyText(copy);
  });
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.target.id !== "sheet") return;
    var title = document.getElementById("sheet-title");
    if (title) title.focus();
  });
  function closeSheet() {
    var slot = document.getElementById("sheet");
    if (!slot || !slot.firstElementChild) return;
    slot.replaceChildren();
    var url = new URL(window.location.href);
    ["sheet", "task", "attempt", "artifact"].forEach(function (name) { url.searchParams.delete(name); });
    window.history.replaceState(null, "", url);
    var back = opener && document.getElementById(opener);
    if (back) back.focus();
  }

  // -- copying -----------------------------------------------------------------------------------------------------
  function copyText(button) {
    function told(word) {
      button.dataset.told = word;
      window.setTimeout(function () { delete button.dataset.told; }, 1200);
    }
    if (!navigator.clipboard) { told("not here"); return; }
    navigator.clipboard.writeText(button.dataset.copy).then(function () { told("copied"); }, function () { told("not here"); });
  }

  // -- keys: / finds, j and k walk, Esc closes ---------------------------------------------------------------------
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") { closeSheet(); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, [contenteditable]")) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("find").focus();
    } else if (event.key === "j" || event.key === "k") {
      var rows = Array.from(document.querySelectorAll("[data-row], .timeline .open a"));
      var at = rows.indexOf(document.activeElement);
      var next = rows[event.key === "j" ? at + 1 : Math.max(0, at - 1)];
      if (next) next.focus();
    }
  });

  document.querySelectorAll("[data-autofocus]").forEach(function (each) { each.focus(); });
})();
