// What a cell of a heat map holds, told where the pointer is and as arrow keys move.
//
// The drawing has no text but its labels: what is told is read from the table twin
// below it, by row and column. Without scripts the table is what there is.
import { filled } from "./proofs.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

const listened = new WeakSet();

// Makes each drawing a stop of the Tab key. Done again after a swap, which may keep an
// element and take what was set on it.
export function showMaps() {
  for (const drawing of document.querySelectorAll("svg[data-heat]")) {
    drawing.setAttribute("tabindex", "0");
    drawing.setAttribute("role", "application");
    drawing.setAttribute("aria-roledescription", drawing.closest("[data-map]").dataset.role);
    if (listened.has(drawing)) continue;
    listened.add(drawing);
    drawing.addEventListener("pointermove", (event) => point(drawing, event));
    drawing.addEventListener("pointerleave", () => drawing.matches(":focus-visible") || hide(drawing));
    drawing.addEventListener("focus", () => drawing.matches(":focus-visible") && tell(drawing, ...(at(drawing) ?? [0, 0])));
    drawing.addEventListener("blur", () => hide(drawing));
    drawing.addEventListener("keydown", (event) => move(drawing, event));
  }
}

const table = (drawing) => drawing.closest("figure").querySelector("table");
const tip = (drawing) => drawing.parentElement.querySelector(".tip");
const at = (drawing) => drawing.dataset.at?.split(" ").map(Number);

function size(drawing) {
  const [first] = table(drawing).tBodies[0].rows;
  return [table(drawing).tBodies[0].rows.length, first.cells.length - 2]; // without label and total
}

function move(drawing, event) {
  if (event.key === "Escape") return hide(drawing);
  const [rows, columns] = size(drawing);
  const [row, column] = at(drawing) ?? [0, 0];
  const [down, across] = STEPS[event.key] ?? [0, { Home: -columns, End: columns }[event.key] ?? 0];
  if (!down && !across) return;
  event.preventDefault();
  const within = (place, most) => Math.min(Math.max(place, 0), most - 1);
  tell(drawing, within(row + down, rows), within(column + across, columns));
}

function point(drawing, event) {
  const [left, width, height] = drawing.dataset.heat.split(" ").map(Number);
  const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
  const [row, column] = [Math.floor(place.y / height), Math.floor((place.x - left) / width)];
  const [rows, columns] = size(drawing);
  if (row < 0 || column < 0 || row >= rows || column >= columns) return hide(drawing);
  if (drawing.dataset.at !== `${row} ${column}` || tip(drawing).hidden) tell(drawing, row, column);
}

function tell(drawing, row, column) {
  const { value, hidden, comma, spread } = drawing.closest("[data-map]").dataset;
  const twin = table(drawing);
  const line = twin.tBodies[0].rows[row].cells;
  const cell = line[column + 1];
  const head = twin.tHead.rows[0].cells[column + 1];
  const names = [drawing.closest("figure").dataset.name, line[0].textContent, head.dataset.name ?? head.textContent];
  const where = names.filter(Boolean).join(comma);
  const sentence = cell.classList.contains("hidden-cell") ? hidden : value;
  drawing.dataset.at = `${row} ${column}`;
  const told = { where, value: cell.dataset.value ?? cell.textContent, spread: cell.dataset.spread ?? spread };
  show(drawing, row, column, filled(sentence, told).trim());
}

function show(drawing, row, column, words) {
  const [left, width, height] = drawing.dataset.heat.split(" ").map(Number);
  const scale = drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width;
  const cursor = drawing.querySelector(".cursor");
  cursor.setAttribute("transform", `translate(${left + column * width - 0.5} ${row * height - 0.5})`);
  cursor.setAttribute("visibility", "visible");
  const told = tip(drawing);
  told.textContent = words;
  told.hidden = false;
  const room = drawing.parentElement.clientWidth - told.offsetWidth;
  const x = (left + (column + 0.5) * width) * scale - told.offsetWidth / 2;
  const below = (row + 1) * height * scale + 6;
  const above = row * height * scale - told.offsetHeight - 6;
  told.style.left = `${Math.max(0, Math.min(x, room))}px`;
  told.style.top = `${above > -told.offsetHeight ? above : below}px`;
}

function hide(drawing) {
  tip(drawing).hidden = true;
  drawing.querySelector(".cursor").setAttribute("visibility", "hidden");
}
