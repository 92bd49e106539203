// What the viewer hears: lists and buttons, keys, pointers.
const BY = { ArrowLeft: -2, ArrowRight: 2, ArrowDown: -2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
const MOVES = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const KEYS = {
  "+": () => step("zoom", 1), "=": () => step("zoom", 1), "-": () => step("zoom", -1),
  n: () => step("picture", 1), p: () => step("picture", -1),
  c: () => choose("crop", (state.crop + 1) % report.pictures[state.picture].crops.length),
  e: () => choose("view", state.view === "error" ? "slider" : "error"),
  s: () => { [at("left").value, at("right").value] = [key("right"), key("left")]; show(); },
};
const withCommand = (event) => event.ctrlKey || event.metaKey || event.altKey;

function hearLists() {
  strip.addEventListener("change", (event) => {
    setPicture(Number(event.target.value));
    event.target.parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  at("crops").addEventListener("change", (event) => { state.crop = Number(event.target.value); show(); });
  for (const id of ["left", "right", "gain"]) at(id).addEventListener("change", show);
  for (const input of document.querySelectorAll('input[name="view"]')) {
    input.addEventListener("change", () => { state.view = input.value; show(); });
  }
  for (const input of document.querySelectorAll('input[name="zoom"]')) {
    input.addEventListener("change", () => zoomTo(Number(input.value)));
  }
  for (const link of document.querySelectorAll("a[data-picture]")) {
    link.href = "#viewer";
    link.addEventListener("click", () => choose("picture", link.dataset.picture));
  }
}

function hearKeys() {
  handle.addEventListener("keydown", (event) => {
    if (!(event.key in BY) || withCommand(event)) return;
    splitTo(state.split + BY[event.key] * (event.shiftKey ? 5 : 1));
    event.preventDefault(); event.stopPropagation();
  });
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage || !(event.key in MOVES) || withCommand(event)) return;
    const [x, y] = MOVES[event.key];
    if (state.zoom > 1) { state.x += x * stage.clientWidth / 8; state.y += y * stage.clientHeight / 8; place(); }
    else if (x) splitTo(state.split - 2 * x);
    else return;
    event.preventDefault();
  });
  at("viewer").addEventListener("keydown", (event) => {
    const act = KEYS[event.key.toLowerCase()];
    if (!act || event.target.matches("select") || withCommand(event)) return;
    act(); event.preventDefault();
  });
}

let drag = null;
function follow(event) {
  const box = stage.getBoundingClientRect();
  if (drag.pan) {
    state.x = drag.from[0] + event.clientX - drag.x; state.y = drag.from[1] + event.clientY - drag.y; place();
  } else splitTo(100 * (event.clientX - box.left) / box.width);
}

function hearPointers() {
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const onHandle = handle.contains(event.target);
    if (state.view === "error" && state.zoom === 1) return;
    drag = { pan: state.zoom > 1 && !onHandle, x: event.clientX, y: event.clientY, from: [state.x, state.y] };
    stage.setPointerCapture(event.pointerId);
    if (!drag.pan) follow(event);
  });
  stage.addEventListener("pointermove", (event) => { if (drag) follow(event); });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { drag = null; });
}

if (at("viewer")) {
  hearLists();
  hearKeys();
  hearPointers();
  new ResizeObserver(place).observe(stage);
  state.view = chosen("view").value;
  state.zoom = Number(chosen("zoom").value);
  setPicture(Number(chosen("picture").value));
}
