// What every page does in the browser: swap fragments (htmx), open a receipt in
// the drawer, run its check, and keep the age of the data honest. Each page
// works without any of it.
import "htmx.org/dist/htmx.esm.js";
import { showMaps } from "./heat.js";

const drawer = document.getElementById("drawer");
const drawerBody = document.getElementById("drawer-body");

// A URL holds the filters that are set, and no empty ones.
document.addEventListener("htmx:config:request", (event) => {
  const { request, target } = event.detail.ctx;
  if (target === drawerBody) return;
  const url = new URL(request.action, location.href);
  for (const [name, value] of [...url.searchParams]) if (!value) url.searchParams.delete(name);
  request.action = url.pathname + url.search;
  for (const [name, value] of [...(request.body?.entries?.() ?? [])]) if (!value) request.body.delete(name);
});

document.addEventListener("htmx:after:swap", () => {
  showAges();
  showMaps();
  checkReceipts();
  const receipt = drawerBody?.querySelector("[data-receipt]");
  if (receipt && !drawer.open && !receipt.dataset.shown) {
    receipt.dataset.shown = "yes";
    drawer.showModal();
  }
});

// A click beside the drawer closes it; Escape does so natively.
drawer?.addEventListener("click", (event) => {
  if (event.target === drawer) drawer.close();
});
drawer?.addEventListener("close", () => drawerBody.replaceChildren());

async function checkReceipts() {
  for (const receipt of document.querySelectorAll("[data-receipt]:not([data-checked])")) {
    receipt.dataset.checked = "running";
    try {
      const { check } = await import(receipt.dataset.script);
      await check(receipt);
    } catch (error) {
      // What was said is erased: a page of its own tells so.
      if (error.message === "410") location.assign(`/receipts/${receipt.dataset.receipt}?check=server`);
      const verdict = receipt.querySelector("[data-verdict]");
      verdict.className = "verdict is-stated";
      verdict.replaceChildren(receipt.querySelector("[data-unavailable]").content.cloneNode(true));
    }
    receipt.dataset.checked = "done";
  }
}

function showAges() {
  const words = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "always", style: "narrow" });
  for (const age of document.querySelectorAll("[data-age]")) {
    const seconds = Math.max(0, Math.round((Date.now() - Date.parse(age.dataset.age)) / 1000));
    const [count, unit] = seconds < 60 ? [seconds, "second"] : seconds < 3600 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
    age.textContent = `(${words.format(-Math.floor(count), unit)})`;
  }
}

// An open menu closes when the reader turns elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.documentElement.classList.add("scripted");
showAges();
showMaps();
setInterval(showAges, 10_000);
checkReceipts();
