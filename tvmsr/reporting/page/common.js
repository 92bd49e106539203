// What all parts of the page share: the report's data, and words and elements. The parts are one module, in this order:
// common, difference, viewer, inputs, layers.
const report = JSON.parse(document.getElementById("report").textContent);
const root = document.documentElement;
const at = (id) => document.getElementById(id);
const sources = new Map(report.sources.map((source) => [source.key, source]));
root.classList.add("script");

const number = (value, digits) => (value === null || value === undefined ? "∞" : value.toFixed(digits));
const duration = (value) => (value === null || value === undefined ? "–" : value.toFixed(value >= 10 ? 1 : 2));
const text = (id, value) => { at(id).textContent = value; };
const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`);
const choose = (name, value) => {
  const input = document.querySelector(`input[name="${name}"][value="${value}"]`);
  if (input) { input.checked = true; input.dispatchEvent(new Event("change", { bubbles: true })); }
};

// Browsers keep what was chosen when a page is loaded again, so that everything begins with what its elements say.
const paint = () => {
  const theme = chosen("theme").value;
  if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
};
for (const input of document.querySelectorAll('input[name="theme"]')) input.addEventListener("change", paint);
paint();

const closed = () => [...document.querySelectorAll("details:not([open]):not(.keys)")];
let opened = [];
addEventListener("beforeprint", () => { opened = closed(); for (const one of opened) one.open = true; });
addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
